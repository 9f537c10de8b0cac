package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// backend2 starts an HTTP/2 server on plain TCP and returns its address.
func backend2(t testing.TB, h http.HandlerFunc, change ...func(*http.Server)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	for _, c := range change {
		c(s)
	}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// speaksHTTP2 has the endpoints spoken to in HTTP/2.
func speaksHTTP2(r *rig) { r.upstream.HTTP2 = true }

func TestHTTP2EndpointGetsWhatAnHTTP1EndpointGets(t *testing.T) {
	seen := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
		var names []string
		for name, values := range r.Header {
			if name != "X-Request-Id" && name != "Connection" && name != "X-Forwarded-Port" {
				names = append(names, fmt.Sprintf("%s: %q\n", name, values))
			}
		}
		slices.Sort(names)
		for _, n := range names {
			io.WriteString(w, n)
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %q", r.ContentLength, body)
	}
	one, two := newRig(t, map[string]string{"v1": backend(t, seen)}), newRig(t, map[string]string{"v1": backend2(t, seen)}, speaksHTTP2)
	c := client(t)
	for _, q := range []struct{ method, target, body string }{
		{"GET", "/", ""},
		{"GET", "/a%2Fb/%C3%BC?q=1&r=%20", ""},
		{"GET", "//elsewhere/x?", ""},
		{"HEAD", "/head", ""},
		{"POST", "/post", "some text"},
		{"PUT", "/empty", ""},
		{"DELETE", "/x", ""},
		{"POST", "/long", strings.Repeat("0123456789", 100_000)},
	} {
		var got [2]string
		for i, r := range []*rig{one, two} {
			req, err := http.NewRequest(q.method, "http://"+r.addr+"/", strings.NewReader(q.body))
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Opaque = q.target
			if strings.HasPrefix(q.target, "//") {
				req.URL.Opaque = ""
				req.URL.Path, req.URL.ForceQuery = strings.TrimSuffix(q.target, "?"), true
			}
			req.Host = "shop.example.com"
			req.Header.Set("X-Mine", "1")
			req.Header.Add("Cookie", "a=1; b=2")
			req.Header.Set("Te", "trailers")
			res, body := r.do(c, req)
			if res.StatusCode != 200 {
				t.Fatalf("%s %s: %d %s", q.method, q.target, res.StatusCode, body)
			}
			got[i] = fmt.Sprint(res.ContentLength >= 0, " ", body)
		}
		if a, b := strings.SplitN(got[0], " ", 2)[1], strings.SplitN(got[1], " ", 2)[1]; a != b {
			t.Errorf("%s %s: over HTTP/1.1:\n%.600s\nover HTTP/2:\n%.600s", q.method, q.target, a, b)
		}
	}
}

func TestHTTP2ResponseReachesAnHTTP1Client(t *testing.T) {
	r := newRig(t, map[string]string{"v1": backend2(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/empty":
			w.Header().Set("X-It", "is")
		case "/204":
			w.WriteHeader(204)
		case "/length":
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "hello")
		case "/trailers":
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "hello")
			w.Header().Set("X-Sum", "five")
			w.Header().Set(http.TrailerPrefix+"X-Unannounced", "too")
		case "/early":
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(103)
			w.WriteHeader(103)
			io.WriteString(w, "late")
		case "/events":
			for i := range 3 {
				fmt.Fprintf(w, "event %d\n", i)
				w.(http.Flusher).Flush()
			}
		case "/500":
			w.WriteHeader(500)
		}
	})}, speaksHTTP2)
	c := client(t)
	for _, q := range []struct {
		method, path, body string
		length             int64
		status             int
	}{
		{"GET", "/empty", "", 0, 200}, {"HEAD", "/length", "", 5, 200}, {"GET", "/204", "", 0, 204},
		{"GET", "/length", "hello", 5, 200}, {"GET", "/trailers", "hello", -1, 200}, {"GET", "/early", "late", 4, 200},
		{"GET", "/events", "event 0\nevent 1\nevent 2\n", -1, 200}, {"GET", "/500", "", 0, 500},
	} {
		req, err := http.NewRequest(q.method, "http://"+r.addr+q.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, body := r.do(c, req)
		if res.StatusCode != q.status || body != q.body || res.ContentLength != q.length {
			t.Errorf("%s %s: %d, length %d, %q", q.method, q.path, res.StatusCode, res.ContentLength, body)
		}
		if q.path == "/trailers" && (res.Trailer.Get("X-Sum") != "five" || res.Trailer.Get("X-Unannounced") != "too") {
			t.Errorf("trailers: %v", res.Trailer)
		}
	}
	if n := r.clusters["v1"].Status()[0].Connections; n != 1 {
		t.Errorf("%d connections to the endpoint, want 1", n)
	}
}

// Interim responses come before the final one, each.
func TestInterimResponsesOfHTTP2ArePassedOn(t *testing.T) {
	r := newRig(t, map[string]string{"v1": backend2(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			w.Header().Set("X-Step", fmt.Sprint(i))
			w.WriteHeader(103)
		}
		w.WriteHeader(200)
	})}, speaksHTTP2)
	nc := r.dial()
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(nc)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for line := range strings.SplitSeq(string(all), "\r\n") {
		if strings.HasPrefix(line, "HTTP/") || strings.HasPrefix(line, "X-Step") {
			steps = append(steps, line)
		}
	}
	want := "HTTP/1.1 103 Early Hints,X-Step: 0,HTTP/1.1 103 Early Hints,X-Step: 1,HTTP/1.1 103 Early Hints,X-Step: 2,HTTP/1.1 200 OK,X-Step: 2"
	if got := strings.Join(steps, ","); got != want {
		t.Errorf("got %s", got)
	}
}

// A long body goes both ways at once, and no more of it is held than windows
// allow.
func TestLongBodiesGoBothWaysOverHTTP2(t *testing.T) {
	r := newRig(t, map[string]string{"v1": backend2(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		io.Copy(flushing{w}, r.Body)
	})}, speaksHTTP2)
	const size = 16 << 20
	block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	in := sha256.New()
	req, err := http.NewRequest("POST", "http://"+r.addr+"/", io.TeeReader(io.LimitReader(repeat(block), size), in))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := sha256.New()
	n, err := io.Copy(out, res.Body)
	if err != nil || n != size || !bytes.Equal(in.Sum(nil), out.Sum(nil)) {
		t.Errorf("%d bytes came back, %v", n, err)
	}
}

// flushing sends at once what is written.
type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	f.w.(http.Flusher).Flush()
	return n, err
}

// repeat reads a block again and again.
type repeat []byte

func (r repeat) Read(p []byte) (int, error) { return copy(p, r), nil }

// What an endpoint breaks off is broken off for the client, and counted.
func TestResetByAnHTTP2EndpointIsSeen(t *testing.T) {
	r := newRig(t, map[string]string{"v1": backend2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/later" {
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	})}, speaksHTTP2)
	if res, _ := r.get(client(t), "/at-once"); res.StatusCode != 502 {
		t.Errorf("reset before the head: %d", res.StatusCode)
	}
	req, _ := http.NewRequest("GET", "http://"+r.addr+"/later", nil)
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a body that was cut off looks whole: %q", body)
	}
	if n := r.clusters["v1"].Status()[0].Failures; n < 2 {
		t.Errorf("%d failures counted", n)
	}
}

func TestHTTP2EndpointThatDoesNotAnswerTimesOut(t *testing.T) {
	gone := make(chan struct{}, 1)
	r := newRig(t, map[string]string{"v1": backend2(t, func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		gone <- struct{}{}
	})}, speaksHTTP2, func(r *rig) { r.settings.ResponseTimeout = 100 * time.Millisecond })
	if res, _ := r.get(client(t), "/"); res.StatusCode != 504 {
		t.Errorf("got %d", res.StatusCode)
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the endpoint was not told")
	}
}

// An endpoint that stops sends away what it did not look at, and that goes to
// another, whatever its method.
func TestRequestsSurviveAnHTTP2EndpointThatStops(t *testing.T) {
	var l net.Listener
	answer := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }
	start := func(address string) (*http.Server, string) {
		var err error
		if l, err = net.Listen("tcp", address); err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(answer), Protocols: new(http.Protocols)}
		s.Protocols.SetUnencryptedHTTP2(true)
		go s.Serve(l)
		t.Cleanup(func() { s.Close() })
		return s, l.Addr().String()
	}
	a, addressA := start("127.0.0.1:0")
	_, addressB := start("127.0.0.1:0")
	r := newRig(t, map[string]string{"v1": addressA + "," + addressB}, speaksHTTP2)
	c := client(t)
	var failed, done atomic.Int64
	stop := make(chan struct{})
	ended := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := c.Post("http://"+r.addr+"/", "text/plain", strings.NewReader("x"))
				if err != nil || res.StatusCode != 200 {
					failed.Add(1)
				}
				if err == nil {
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				done.Add(1)
			}
		}()
	}
	eventually(t, "some requests", func() bool { return done.Load() > 100 })
	go a.Shutdown(t.Context())
	before := done.Load()
	eventually(t, "more requests", func() bool { return done.Load() > before+200 })
	close(stop)
	for range 4 {
		<-ended
	}
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, done.Load())
	}
}

// A client that leaves takes its stream along.
func TestClientThatLeavesResetsItsStream(t *testing.T) {
	gone := make(chan struct{}, 1)
	r := newRig(t, map[string]string{"v1": backend2(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		for r.Context().Err() == nil {
			flushing{w}.Write(make([]byte, 1024))
		}
		gone <- struct{}{}
	})}, speaksHTTP2)
	nc := r.dial()
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(nc, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the endpoint was not told")
	}
}

func TestHTTP1EndpointBehindHTTP2IsToldApart(t *testing.T) {
	r := newRig(t, map[string]string{"v1": backend(t, func(http.ResponseWriter, *http.Request) {})}, speaksHTTP2)
	if res, body := r.get(client(t), "/"); res.StatusCode != 502 {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// newPost returns a request whose body never ends.
func newPost(url, kind string) (*http.Request, error) {
	body, _ := io.Pipe()
	req, err := http.NewRequest("POST", url, body)
	if err == nil {
		req.Header.Set("Content-Type", kind)
	}
	return req, err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestAnHTTP2EndpointHearsOfAMove, and of the shape that its version writes.
func TestAnHTTP2EndpointHearsOfAMove(t *testing.T) {
	endpoint := backend2(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Header.Get("Sluice-Session-Moved"), r.Header.Get("Sluice-Shape"))
	})
	r := newRig(t, map[string]string{"v1": endpoint, "v2": endpoint}, speaksHTTP2, func(r *rig) {
		weights(map[string]int{"v2": 1})(r)
		r.service.Versions[0].Writes, r.service.Versions[1].Writes = "11", "12"
	})
	if _, got := r.get(client(t), "/", "Cookie", "sluice_web=1.94f1492df24517ec.v1"); got != "from=v1;shape=11 12" {
		t.Errorf("it heard %q", got)
	}
}
