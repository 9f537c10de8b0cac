package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answering serves connections with what answer says to each head; "" closes
// the connection. It counts them.
func answering(t testing.TB, answer func(conn, n int, head string) string) (Target, *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	conns := new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveConn(c, int(conns.Add(1)), answer)
		}
	}()
	return Target{Name: "v2", URL: &url.URL{Scheme: "http", Host: l.Addr().String()}}, conns
}

func serveConn(c net.Conn, conn int, answer func(conn, n int, head string) string) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	for n := 1; ; n++ {
		var head strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
			head.WriteString(line)
		}
		text := answer(conn, n, head.String())
		if text == "" {
			return
		}
		last := strings.Contains(text, "EOF")
		if _, err := io.WriteString(c, strings.ReplaceAll(text, "EOF", "")); err != nil || last {
			return
		}
	}
}

// asking returns a client of a target that keeps what it is answered.
func asking(t testing.TB, target *Target) (*client, *Answer) {
	t.Helper()
	cfg := Config{Timeout: 20 * time.Second}.withDefaults()
	c := newClient(target, &cfg)
	t.Cleanup(c.close)
	return c, &Answer{kept: new(memory)}
}

func TestReadsAnswers(t *testing.T) {
	for _, test := range []struct {
		name, method, answer string
		want                 string // status, size and body, or the reason why there is none
		conns                int64  // of two requests
	}{
		{"a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 3 abc", 1},
		{"chunks and trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n", "200 3 abc", 1},
		{"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nabcEOF", "200 3 abc", 2},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabcEOF", "200 3 abc", 2},
		{"close", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "200 3 abc", 2},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "200 0 ", 1},
		{"no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 0 ", 1},
		{"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "304 0 ", 1},
		{"interim answers", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 0 ", 1},
		{"POST", "POST", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "201 0 ", 1},
		{"more than was asked for", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "200 0 ", 2},

		{"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "no valid answer", 2},
		{"a length and chunks", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", "no valid answer", 2},
		{"a bare line feed", "GET", "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "no valid answer", 2},
		{"another protocol", "GET", "SSH-2.0-OpenSSH_9.2\r\n", "no valid answer", 2},
		{"an unasked upgrade", "GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "no valid answer", 2},
		{"a sloppy chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", "no valid answer", 2},
		{"a head without an end", "GET", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "EOF", "no valid answer", 2},
		{"too many fields", "GET", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 1000) + "\r\n", "no valid answer", 2},
		{"only interim answers", "GET", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), "no valid answer", 2},
		{"half a body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nabcEOF", "connection closed", 2},
		{"half a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcEOF", "connection closed", 2},
		{"half a head", "GET", "HTTP/1.1 200 OK\r\nContEOF", "connection closed", 2},
		{"nothing", "GET", "", "connection closed", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			target, conns := answering(t, func(int, int, string) string { return test.answer })
			c, a := asking(t, &target)
			for range 2 {
				c.ask(t.Context(), &Request{Method: test.method, Target: "/"}, nil, a)
				got := fmt.Sprintf("%d %d %s", a.Status, a.Size, a.Body)
				if a.Err != nil {
					got = reasonOf(a.Err)
				}
				if got != test.want {
					t.Errorf("got %s (%v), want %s", got, a.Err, test.want)
				}
			}
			if n := conns.Load(); n != test.conns {
				t.Errorf("%d connections, want %d", n, test.conns)
			}
			if a.reset(); a.kept.used.Load() != 0 {
				t.Errorf("%d bytes were not given back", a.kept.used.Load())
			}
		})
	}
}

// TestServersThatHangUp: a connection that was closed between two requests costs
// no answer; a request that may not be sent twice is not.
func TestServersThatHangUp(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	target, conns := answering(t, func(int, int, string) string { return ok + "EOF" }) // without saying so
	c, a := asking(t, &target)
	for i, method := range []string{"GET", "GET", "PUT", "GET"} {
		if c.ask(t.Context(), &Request{Method: method, Target: "/"}, nil, a); a.Err != nil || conns.Load() != int64(i)+1 {
			t.Errorf("%s %d: %v over %d connections", method, i, a.Err, conns.Load())
		}
	}

	var posts atomic.Int64
	target, conns = answering(t, func(_, n int, head string) string {
		if strings.HasPrefix(head, "POST") {
			posts.Add(1)
			return "" // it was taken, and then nothing is said
		}
		return ok
	})
	c, a = asking(t, &target)
	c.ask(t.Context(), &Request{Method: "GET", Target: "/"}, nil, a)
	c.ask(t.Context(), &Request{Method: "POST", Target: "/"}, nil, a)
	if reasonOf(a.Err) != "connection closed" || posts.Load() != 1 || conns.Load() != 1 {
		t.Errorf("%v, %d sent over %d connections", a.Err, posts.Load(), conns.Load())
	}
	c.ask(t.Context(), &Request{Method: "GET", Target: "/"}, nil, a)
	if a.Err != nil || conns.Load() != 2 {
		t.Errorf("%v over %d connections", a.Err, conns.Load())
	}
}

// TestLooksBeforeItAsks: what came on a connection that was idle is no answer.
func TestLooksBeforeItAsks(t *testing.T) {
	client, server := tcpPair(t)
	if !isQuiet(client) {
		t.Error("a new connection is not quiet")
	}
	_, _ = io.WriteString(server, "H")
	awaitNot(t, func() bool { return isQuiet(client) })
	one, other := tcpPair(t)
	_ = other.Close()
	awaitNot(t, func() bool { return isQuiet(one) })
	_ = one.Close()
	if isQuiet(one) {
		t.Error("a closed connection is quiet")
	}
	if pipe, _ := net.Pipe(); isQuiet(pipe) {
		t.Error("nobody can look into a pipe")
	}
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// awaitNot waits until a condition no longer holds.
func awaitNot(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); holds(); {
		if time.Now().After(end) {
			t.Fatal("it still holds")
		}
	}
}

// TestRequests: what goes onto the wire.
func TestRequests(t *testing.T) {
	add := func(lines ...string) Target {
		u, _ := url.Parse("http://[fe80::1%25eth0]:81")
		target := Target{URL: u}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ":")
			if err := target.Add(name, value); err != nil {
				t.Fatal(err)
			}
		}
		return target
	}
	jarred := &jar{cookies: []cookie{{"", "sid", "1"}}}
	for _, test := range []struct {
		target Target
		r      Request
		jar    *jar
		want   string
	}{
		{add(), Request{Method: "GET", Target: "//a?b"}, nil, "GET //a?b HTTP/1.1|Host: [fe80::1]:81||"},
		{add(), Request{Method: "POST", Target: "/", Host: "a", UserAgent: "b", Referer: "c"}, jarred, "POST / HTTP/1.1|Host: a|User-Agent: b|Referer: c|Content-Length: 0||"},
		{add("user-agent: x", "Referer: y", "Cookie: a=b", "X-A: 1", "X-A: 2", "cookie:c=d"), Request{Method: "GET", Target: "/", UserAgent: "b", Referer: "c"}, jarred,
			"GET / HTTP/1.1|Host: [fe80::1]:81|user-agent: x|Referer: y|X-A: 1|X-A: 2|Cookie: a=b; c=d; sid=1||"},
	} {
		if got := strings.ReplaceAll(string(test.target.appendRequest(nil, &test.r, test.jar)), "\r\n", "|"); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	target := Target{URL: &url.URL{Scheme: "https", Host: "a"}}
	if got := target.address(); got != "a:443" {
		t.Error(got)
	}
	for name, why := range map[string]string{
		"a b": "can't be sent", "": "can't be sent", "Host": "set apart", "Content-Length": "belongs to the connection", "connection": "belongs to the connection",
	} {
		if err := target.Add(name, "1"); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %s", name, err, why)
		}
	}
	if err := target.Add("a", "b\r\nc: d"); err == nil || len(target.fields) > 0 {
		t.Errorf("%v, %q", err, target.fields)
	}
}

// TestTLS: certificates are verified, and HTTP/1.1 is spoken.
func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	u, _ := url.Parse(srv.URL)
	target := Target{URL: u}
	c, a := asking(t, &target)
	if c.ask(t.Context(), &Request{Method: "GET", Target: "/"}, nil, a); reasonOf(a.Err) != "no trusted certificate" {
		t.Errorf("%v", a.Err)
	}
	target.Roots = srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c, a = asking(t, &target)
	for range 3 {
		if c.ask(t.Context(), &Request{Method: "GET", Target: "/"}, nil, a); a.Err != nil || string(a.Body) != "HTTP/1.1" {
			t.Errorf("%s, %v", a.Body, a.Err)
		}
		c.used = time.Time{} // so long ago that it looks before it asks
	}
}

// FuzzAnswer: whatever a server says, it is an answer that net/http reads
// likewise, or none.
func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\n\r\nabc")
	f.Add("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
	f.Add("HTTP/1.0 404 \r\n\r\nabc")
	f.Fuzz(func(t *testing.T, text string) {
		cfg := Config{}.withDefaults()
		c := newClient(&Target{URL: &url.URL{Scheme: "http", Host: "a"}}, &cfg)
		c.conn = &said{Reader: strings.NewReader(text)}
		a := &Answer{kept: new(memory)}
		var j jar
		unanswered, err := c.exchange(t.Context(), &Request{Method: "GET", Target: "/"}, &j, a)
		if err != nil {
			if c.conn != nil || unanswered != (text == "") {
				t.Fatalf("unanswered: %v, and the connection is kept: %v", unanswered, c.conn != nil)
			}
			return
		}
		r := bufio.NewReader(strings.NewReader(text))
		for {
			res, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
			if err != nil {
				t.Fatalf("net/http: %v", err)
			}
			if res.StatusCode < 200 {
				continue
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != a.Status || !bytes.Equal(body, a.Body) || int64(len(body)) != a.Size {
				t.Fatalf("got %d %q, net/http %d %q, %v", a.Status, a.Body, res.StatusCode, body, err)
			}
			return
		}
	})
}

// said is a connection on which all was said already.
type said struct {
	net.Conn
	io.Reader
}

func (s *said) Read(p []byte) (int, error) { return s.Reader.Read(p) }
func (*said) Write(p []byte) (int, error)  { return len(p), nil }
func (*said) SetDeadline(time.Time) error  { return nil }
func (*said) Close() error                 { return nil }

func TestKeepsWhatItMay(t *testing.T) {
	m := new(memory)
	a, b := &Answer{kept: m}, &Answer{kept: m}
	part := make([]byte, 64<<10)
	for range 20 {
		if err := a.keep(part); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.Body) != maxCompared || !a.Truncated || a.Size != 20*64<<10 || m.used.Load() != maxCompared {
		t.Errorf("%d of %d bytes, %d taken", len(a.Body), a.Size, m.used.Load())
	}
	m.used.Store(maxKept)
	if err := b.keep(part); err != nil || !b.Truncated || b.Body != nil {
		t.Errorf("%v, %d bytes though there is no room", err, len(b.Body))
	}
	a.Size = maxDiscarded
	if err := a.keep(part); !errors.Is(err, errEndless) {
		t.Error(err)
	}
	if a.reset(); m.used.Load() != maxKept-maxCompared {
		t.Errorf("%d are taken", m.used.Load())
	}
}

// again is a connection on which the same is said again and again.
type again struct {
	said
	text string
}

func (a *again) Read(p []byte) (int, error) { return copy(p, a.text), nil }

func TestAskAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	u := mustURL("http://a")
	c, a := asking(t, &Target{URL: u})
	a.kept = nil
	c.conn = &again{text: "HTTP/1.1 200 OK\r\nServer: nginx\r\nSet-Cookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"}
	r := &Request{Method: "GET", Target: "/products/17?a=b", Host: "shop.example.com", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)"}
	c.used = c.now()
	if n := testing.AllocsPerRun(200, func() {
		if _, err := c.exchange(t.Context(), r, nil, a); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a request allocates %v times", n)
	}
}

func BenchmarkAsk(b *testing.B) {
	target, _ := answering(b, func(int, int, string) string {
		return "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 09:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
	})
	c, a := asking(b, &target)
	a.kept = nil
	r := &Request{Method: "GET", Target: "/products/17?a=b", Host: "shop.example.com", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)"}
	b.ReportAllocs()
	for b.Loop() {
		if c.ask(b.Context(), r, nil, a); a.Err != nil {
			b.Fatal(a.Err)
		}
	}
}

// mustURL is for URLs that are known to be valid.
func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
