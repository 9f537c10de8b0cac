package demo

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/configs"
)

// The demo puts its own addresses into the example's text; one that the text did
// not hold would go unnoticed.
func TestTheExampleHoldsWhatIsReplaced(t *testing.T) {
	text, err := configs.Example("demo")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{declaredListen, declaredAdmin, declaredSecret}
	for _, addr := range declared {
		wanted = append(wanted, addr)
	}
	for _, w := range wanted {
		if !strings.Contains(string(text), w) {
			t.Errorf("the example does not hold %s", w)
		}
	}
}

func TestWriteFile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := new(stage)
	if err := s.startBackends(); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.writeFile("127.0.0.1:18080", "127.0.0.1:19900"); err != nil {
		t.Fatal(err)
	}
	f, err := configs.Load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	if f.Listeners[0].Address != "127.0.0.1:18080" || f.Admin.Address != "127.0.0.1:19900" {
		t.Errorf("%+v", f)
	}
	for key := range declared {
		if got := f.Services[key[0]].Versions[key[1]].Endpoints[0]; got != s.backend(key[0], key[1]).addr {
			t.Errorf("%v: %s", key, got)
		}
	}
	secret := string(f.Override.Keys[0].Secret.Bytes())
	if len(secret) < 32 || strings.Contains(secret, "change-me") {
		t.Errorf("the secret has %d bytes or is everybody's", len(secret))
	}
	if info, err := os.Stat(s.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s.close()
	s.backends = nil
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("the directory stays: %v", err)
	}
}

func TestAddress(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := ln.Addr().String()
	if got := address("", taken, true); got != "127.0.0.1:0" {
		t.Errorf("taken: %s", got)
	}
	ln.Close()
	for _, test := range []struct {
		wanted string
		keep   bool
		want   string
	}{{":1", true, ":1"}, {"", false, "127.0.0.1:0"}, {"", true, taken}} {
		if got := address(test.wanted, taken, test.keep); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

func TestURLOf(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:80": "http://127.0.0.1:80", "[::]:80": "http://127.0.0.1:80",
		"0.0.0.0:80": "http://127.0.0.1:80", "[::1]:80": "http://[::1]:80",
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := urlOf(a); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

func TestBackend(t *testing.T) {
	reports := make(chan struct{})
	b := &backend{service: "web", version: "v3", latency: time.Millisecond, failEvery: 3, reports: reports}
	if err := b.listen(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	v := newVisitor("http://"+b.addr, transport)
	for i := 1; i <= 6; i++ {
		want := 200
		if i%3 == 0 {
			want = 500
		}
		if a := v.get("/"); a.Version != "v3" || a.Status != want {
			t.Errorf("request %d: %+v", i, a)
		}
	}
	done := make(chan answer)
	go func() { done <- v.get(slowPath) }()
	await(t, "the slow request", func() bool { return b.waiting.Load() == 1 })
	close(reports)
	if a := <-done; a.Version != "v3" {
		t.Errorf("slow: %+v", a)
	}
	if n, last := b.requests(); n != 7 || time.Since(last) > time.Minute {
		t.Errorf("%d requests, the last at %v", n, last)
	}
}

func TestVisitorTellsOfNoAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			// A body that ends too early is no answer.
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Answered-By: v1\r\nContent-Length: 9\r\n\r\nshort")
			c.Close()
		}
	}()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	for _, path := range []string{"/", "bad path"} {
		if a := newVisitor("http://"+ln.Addr().String(), transport).get(path); !a.failed() || a.Version != "" || a.Got.Before(a.Sent) {
			t.Errorf("%s: %+v", path, a)
		}
	}
}
