package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// maxAllocs is how many allocations a request may cost in the steady state:
// none, but for what the runtime does in the background.
const maxAllocs = 0.05

// response200 has a body of 200 bytes.
var response200 = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("x", 200)

// plainBackend answers each request that ends in want with the same response,
// and allocates nothing while it does.
func plainBackend(t testing.TB, want string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 16)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				ended <- struct{}{}
				return
			}
			go answerAll(c, []byte(want), []byte(response200))
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String()
}

func answerAll(c net.Conn, end, response []byte) {
	defer c.Close()
	in := make([]byte, 16<<10)
	n := 0
	for {
		m, err := c.Read(in[n:])
		if err != nil {
			return
		}
		if n += m; bytes.HasSuffix(in[:n], end) {
			n = 0
			c.Write(response)
		}
	}
}

// asker sends one request again and again over one connection and reads the
// answers, without allocating.
type asker struct {
	c       net.Conn
	request []byte
	in      []byte
	answer  int // bytes of an answer
}

// newAsker learns, from the first answers, how long they are.
func newAsker(t testing.TB, addr, request string) *asker {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a := &asker{c: c, request: []byte(request), in: make([]byte, 4<<10)}
	a.c.Write(a.request)
	for !bytes.HasSuffix(a.in[:a.answer], []byte("xxxx")) {
		n, err := a.c.Read(a.in[a.answer:])
		if a.answer += n; err != nil {
			t.Fatalf("%v after %q", err, a.in[:a.answer])
		}
	}
	return a
}

// ask sends the request and reads the answer.
func (a *asker) ask(t testing.TB) {
	if _, err := a.c.Write(a.request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a.c, a.in[:a.answer]); err != nil {
		t.Fatal(err)
	}
}

// allocRequests are the requests whose cost is watched, each with the bytes by
// which the backend knows their end.
func allocRequests() []struct{ name, request, end string } {
	return []struct{ name, request, end string }{
		{"GET", get("/a/b?c=d", "User-Agent: test", "Accept: */*"), "\r\n\r\n"},
		{"GET with a pin", get("/", "Cookie: a=b; sluice_web=1.94f1492df24517ec.v1; c=d"), "\r\n\r\n"},
		{"GET with several Cookie fields", get("/", "Cookie: a=b", "Cookie: sluice_web=1.94f1492df24517ec.v1", "Cookie: c=d"), "\r\n\r\n"},
		{"POST", post("hello, world", "Content-Length: 12", "Content-Type: text/plain"), "hello, world"},
		{"POST with a pin", post("hello, world", "Content-Length: 12", "Cookie: sluice_web=1.94f1492df24517ec.v2"), "hello, world"},
		{"HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n", "\r\n\r\n"},
		{"with a request ID and fields to drop", get("/", "X-Request-Id: abc", "Connection: keep-alive, X-Hop", "X-Hop: y", "X-Forwarded-For: 6.6.6.6"), "\r\n\r\n"},
	}
}

// newAllocRig is a proxy whose versions lead to a backend that allocates
// nothing.
func newAllocRig(t *testing.T, end string, mode AccessMode) *rig {
	addr := plainBackend(t, end)
	return newRig(t, map[string]string{"v1": addr, "v2": addr}, func(r *rig) {
		r.options.Access = AccessLog{Mode: mode, Write: func([]byte) {}}
	})
}

func TestRequestsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, mode := range []AccessMode{AccessOff, AccessErrors, AccessAll} {
		for _, test := range allocRequests() {
			t.Run(fmt.Sprintf("%s, log mode %d", test.name, mode), func(t *testing.T) {
				r := newAllocRig(t, test.end, mode)
				a := newAsker(t, r.addr, test.request)
				if n := allocsPerRequest(t, a); n > maxAllocs {
					t.Errorf("%.3f allocations a request", n)
				}
			})
		}
	}
}

// allocsPerRequest counts what this whole process allocates over 1,000
// requests, after some to warm up. The least of up to three counts is what the
// requests cost; the rest is the runtime's.
func allocsPerRequest(t testing.TB, a *asker) float64 {
	return allocsPerAsk(t, func() { a.ask(t) })
}

// allocsPerAsk is allocsPerRequest for any client.
func allocsPerAsk(t testing.TB, ask func()) float64 {
	const requests = 1000
	for range requests / 4 {
		ask()
	}
	least := float64(requests)
	for tries := 0; tries < 3 && least > maxAllocs; tries++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range requests {
			ask()
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs)/requests)
	}
	return least
}

// BenchmarkProxyGet is one client that asks for 200 bytes again and again over
// one connection: the whole way over loopback, client and backend included.
func BenchmarkProxyGet(b *testing.B) {
	addr := plainBackend(b, "\r\n\r\n")
	r := newRig(b, map[string]string{"v1": addr}, func(r *rig) {
		r.options.Access = AccessLog{Mode: AccessErrors, Write: func([]byte) {}}
	})
	a := newAsker(b, r.addr, get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1"))
	for range 100 {
		a.ask(b)
	}
	b.ReportAllocs()
	for b.Loop() {
		a.ask(b)
	}
}
