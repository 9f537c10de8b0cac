package admin

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestProfiles(t *testing.T) {
	s := newServer(t, Options{})
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile:",
		"/debug/pprof/cmdline":           "",
		"/debug/pprof/symbol":            "num_symbols",
	} {
		if a := ask(s, "GET", path, ""); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
	}
	if a := ask(s, "GET", "/debug/pprof/none", ""); a.status != 404 {
		t.Errorf("a profile that is none: %d", a.status)
	}
	for _, seconds := range []string{"0", "61", "-1", "x", "1.5", "99999999999999999999"} {
		for _, name := range []string{"profile", "trace", "heap"} {
			wantProblem(t, ask(s, "GET", "/debug/pprof/"+name+"?seconds="+seconds, ""), 400, "use seconds=1 to 60")
		}
	}
}

// TestAProfileOutlastsTheTimeouts: the server's timeouts are for requests that
// are answered at once.
func TestAProfileOutlastsTheTimeouts(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer(t, Options{}).HTTP()
	srv.ReadTimeout, srv.WriteTimeout = 300*time.Millisecond, 600*time.Millisecond
	ended := make(chan struct{})
	go func() { srv.Serve(ln); close(ended) }()
	defer func() { srv.Close(); <-ended }()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	start := time.Now()
	res, err := client.Get("http://" + ln.Addr().String() + "/debug/pprof/trace?seconds=1")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if took := time.Since(start); err != nil || res.StatusCode != 200 || len(body) == 0 || took < time.Second {
		t.Errorf("%d with %d bytes after %v: %v", res.StatusCode, len(body), took, err)
	}
}
