package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Assets of the page, by kind.
const assetsOfAKind = 10

// page is an HTML page with assets of three kinds, of some size each. When all
// is loaded it reports what the browser knows of how that came.
func page(version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><html><head><title>%s</title><link rel=icon href=data:,>\n", version)
	for i := range assetsOfAKind {
		fmt.Fprintf(&b, "<link rel=stylesheet href=/assets/%d.css><script src=/assets/%d.js defer></script>\n", i, i)
	}
	b.WriteString("</head><body>\n")
	for i := range assetsOfAKind {
		fmt.Fprintf(&b, "<img src=/assets/%d.svg>\n", i)
	}
	b.WriteString(`<script>
addEventListener("load", async () => {
	const api = await (await fetch("/api", {method: "POST", body: "x".repeat(100000)})).text();
	const entries = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
		.map(e => ({name: e.name, protocol: e.nextHopProtocol, status: e.responseStatus}));
	fetch("/report", {method: "POST", body: JSON.stringify({api, loaded: window.loaded || 0, entries})});
});
</script></body></html>`)
	return b.String()
}

// report is what the page says.
type report struct {
	API     string // the answer to its POST
	Loaded  int    // how many scripts ran
	Entries []struct {
		Name, Protocol string
		Status         int
	}
}

// website serves the page as one version, and notes what it is asked.
type website struct {
	version string
	mu      sync.Mutex
	asked   []string // "path via"
	reports chan report
}

func (s *website) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path+" "+r.Header.Get("Via"))
	s.mu.Unlock()
	filler := strings.Repeat("/* 0123456789 */", 3000)
	switch {
	case r.URL.Path == "/":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page(s.version))
	case strings.HasSuffix(r.URL.Path, ".css"):
		w.Header().Set("Content-Type", "text/css")
		_, _ = io.WriteString(w, filler+"body {color: black}")
	case strings.HasSuffix(r.URL.Path, ".js"):
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, filler+"window.loaded = (window.loaded || 0) + 1")
	case strings.HasSuffix(r.URL.Path, ".svg"):
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>`)
	case r.URL.Path == "/api":
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d", s.version, n)
	case r.URL.Path == "/report":
		var got report
		if err := json.NewDecoder(r.Body).Decode(&got); err == nil {
			s.reports <- got
		}
	default:
		http.NotFound(w, r)
	}
}

// take returns what was asked since the last time.
func (s *website) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// TestChromium loads a page with assets from one of two versions.
func TestChromium(t *testing.T) {
	need(t, "chromium")
	st := setUp(t)
	reports := make(chan report, 10)
	sites := map[string]*website{"v1": {version: "v1", reports: reports}, "v2": {version: "v2", reports: reports}}
	var endpoints []string
	for _, v := range []string{"v1", "v2"} {
		s := httptest.NewServer(sites[v])
		t.Cleanup(s.Close)
		endpoints = append(endpoints, s.Listener.Addr().String())
	}
	st.rewrite(fmt.Sprintf("services: {web: {versions: {v1: {endpoints: [%q], weight: 50}, v2: {endpoints: [%q], weight: 50}}}}\n",
		endpoints[0], endpoints[1]))
	relay := newRelay(t, st.Secure)
	for range 3 {
		before := relay.heavy.Load()
		got := st.browse(t, "https://"+relay.address()+"/", reports)
		checkVisit(t, got, sites)
		if n := relay.heavy.Load() - before; n != 1 {
			t.Errorf("the page came over %d connections", n)
		}
	}
}

// checkVisit checks that all of a page came over HTTP/2 from one version.
func checkVisit(t *testing.T, got report, sites map[string]*website) {
	t.Helper()
	for _, e := range got.Entries {
		if e.Protocol != "h2" || e.Status != 200 && e.Status != 0 {
			t.Errorf("%+v", e)
		}
	}
	if got.Loaded != assetsOfAKind || len(got.Entries) < 3*assetsOfAKind+2 {
		t.Errorf("%d scripts ran, %d entries", got.Loaded, len(got.Entries))
	}
	v1, v2 := sites["v1"].take(), sites["v2"].take()
	asked, version := v1, "v1"
	if len(v1) == 0 {
		asked, version = v2, "v2"
	} else if len(v2) != 0 {
		t.Errorf("both versions were asked: v1 for %q, v2 for %q", v1, v2)
	}
	if want := version + " 100000"; got.API != want {
		t.Errorf("the POST was answered %q, want %q", got.API, want)
	}
	if len(asked) < 3*assetsOfAKind+3 {
		t.Errorf("%s was asked for %d things", version, len(asked))
	}
	for _, a := range asked {
		if !strings.HasSuffix(a, " 2 sluice") {
			t.Errorf("asked for %q", a)
		}
	}
}

// browse opens an address in a browser without history, and returns what the
// page reports.
func (st *stand) browse(t *testing.T, address string, reports <-chan report) report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var said strings.Builder
	// Some of its processes write there until the last moment.
	profile, err := os.MkdirTemp("", "sluice-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	cmd := exec.CommandContext(ctx, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic", "--no-proxy-server",
		"--remote-debugging-port=0", "--user-data-dir="+profile, "--ignore-certificate-errors-spki-list="+st.shown.SPKI, address)
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others, which end with it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var got report
	select {
	case got = <-reports:
	case <-ctx.Done():
	}
	late := ctx.Err() != nil
	cancel()
	_ = cmd.Wait()
	if late {
		t.Fatalf("the page did not report; the browser says\n%s", said.String())
	}
	return got
}

// relay passes connections on, byte by byte, and counts those that carried more
// than a handshake: a browser may open one that it does not need.
type relay struct {
	ln    net.Listener
	to    string
	heavy atomic.Int64
	work  sync.WaitGroup
}

// heavyBytes is more than a handshake and the settings of HTTP/2 take.
const heavyBytes = 32 << 10

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, to: to}
	r.work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.work.Go(func() { r.carry(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		r.work.Wait()
	})
	return r
}

func (r *relay) address() string { return r.ln.Addr().String() }

// carry serves one connection.
func (r *relay) carry(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer up.Close()
	r.work.Go(func() {
		_, _ = io.Copy(up, c)
		up.Close()
	})
	if n, _ := io.CopyN(c, up, heavyBytes); n == heavyBytes {
		r.heavy.Add(1)
		_, _ = io.Copy(c, up)
	}
}
