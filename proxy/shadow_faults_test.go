package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/stats"
)

// TestEveryShortageOfMemory: wherever the memory ends, the customer is answered,
// the copy is dropped, and all is given back.
func TestEveryShortageOfMemory(t *testing.T) {
	body := strings.Repeat("0123456789", 600)
	v1 := newRecorder(t, always(response(200, body, "X-Long: "+body)))
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v1.addr}, shadowsV1(k, func(s *Shadow) { s.Methods, s.Again = []string{"PUT"}, true }))
	seen := map[string]uint64{}
	for limit := int64(1); limit < 160_000; limit += 1500 {
		bytes := &r.srv.shadows.bytes
		bytes.used.Add(bytes.most - limit) // as if other copies held it
		request := putOf(body, fmt.Sprint("Content-Length: ", len(body)), "X-Long: "+body, closing)
		if limit%2 == 0 {
			request = putOf(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body), "Transfer-Encoding: chunked", "X-Long: "+body, closing)
		}
		before := r.fates("v2")
		if answer := r.exchangeRaw(request); !strings.HasSuffix(answer, body) {
			t.Fatalf("a customer got %.200q", answer)
		}
		eventually(t, "the copy has ended", func() bool { return bytes.used.Load() == bytes.most-limit && r.srv.shadows.copies.used.Load() == 0 })
		bytes.used.Add(limit - bytes.most)
		r.awaitIdle(t)
		after, changed := r.fates("v2"), uint64(0)
		for name, n := range after {
			changed += n - before[name]
			seen[name] += n - before[name]
		}
		if changed != 1 {
			t.Errorf("with %d bytes, copies came from %v to %v", limit, before, after)
		}
	}
	if len(seen) != 2 || seen["memory"] < 10 || seen["answered"] < 10 {
		t.Errorf("copies came to %v", seen)
	}
}

// TestFaultsOfCopies: one that whoever is told has, and one of the proxy's own,
// end nothing else.
func TestFaultsOfCopies(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	k := new(told)
	var broken atomic.Bool
	broken.Store(true)
	var faulty atomic.Pointer[string]
	v2 := newRecorder(t, nil).addr
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": v2}, shadowsV1(k, func(s *Shadow) {
		s.Tell = func(p *ShadowPair) {
			if broken.Load() {
				panic("told too much")
			}
			k.take(p)
		}
	}), dialsBut(&faulty), func(r *rig) { r.options.Log = zap.New(core) })
	faulty.Store(&v2)
	r.exchangeRaw(get("/", closing))
	r.awaitIdle(t)
	if logs.Len() != 2 {
		t.Errorf("logged %v", logs.All())
	}
	broken.Store(false)
	r.exchangeRaw(get("/", closing))
	if p := k.one(t); p.Candidate.Failure == "" || p.Candidate.Status != 0 {
		t.Errorf("told of %+v", p.Candidate)
	}
	r.awaitIdle(t)
	faulty.Store(nil)
	r.exchangeRaw(get("/", closing))
	if p := k.one(t); p.Candidate.Status != 200 {
		t.Errorf("told of %+v", p.Candidate)
	}
}

// dialsBut is a fault of the proxy in each dial of an address.
func dialsBut(faulty *atomic.Pointer[string]) option {
	return func(r *rig) {
		r.deps.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if f := faulty.Load(); f != nil && address == *f {
				panic("a fault")
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}
}

// TestFaultOfARequestGivesMemoryBack that was kept for its copies.
func TestFaultOfARequestGivesMemoryBack(t *testing.T) {
	v1 := newRecorder(t, nil).addr
	var faulty atomic.Pointer[string]
	faulty.Store(&v1)
	r := newRig(t, map[string]string{"v1": v1, "v2": newRecorder(t, nil).addr}, shadowsV1(new(told)), dialsBut(&faulty))
	c := r.dial()
	io.WriteString(c, get("/"))
	io.Copy(io.Discard, c)
	r.awaitIdle(t)
	r.awaitFates(t, map[string]uint64{"baseline": 1})
}

// TestCustomersThatLeaveAreNotCopied: their answer is not whole.
func TestCustomersThatLeaveAreNotCopied(t *testing.T) {
	gone := make(chan struct{})
	v1 := newRecorder(t, func(c net.Conn, _ *message) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		<-gone
		forever(c, "5\r\nhello\r\n")
		return false
	})
	v2 := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(new(told)))
	c := r.dial()
	io.WriteString(c, get("/"))
	until(t, c, "hello")
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	close(gone)
	r.awaitFates(t, map[string]uint64{"baseline": 1})
	if seen, _ := v2.take(); len(seen) > 0 {
		t.Errorf("it was copied: %v", seen)
	}
	r.awaitIdle(t)
}

// TestDialsThatHang end with the copy's time, and are no reason to wait for at the
// end.
func TestDialsThatHang(t *testing.T) {
	k := new(told)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": "127.0.0.1:1"}, shadowsV1(k, func(s *Shadow) { s.Timeout = short }), func(r *rig) {
		r.deps.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != "127.0.0.1:1" {
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	r.exchangeRaw(get("/", closing))
	if p := k.one(t); p.Candidate.Failure != shadowTimedOut {
		t.Errorf("told of %+v", p.Candidate)
	}
	r.awaitIdle(t)
}

// TestStreamsThatAreReset: a candidate of HTTP/2 that breaks its answers off, and
// one that takes its time.
func TestStreamsThatAreReset(t *testing.T) {
	v1 := backend2(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	v2 := backend2(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
		case "/hang":
			<-r.Context().Done()
		case "/endless":
			for r.Context().Err() == nil {
				io.WriteString(w, strings.Repeat("x", 32<<10))
			}
		}
		panic(http.ErrAbortHandler)
	})
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1, "v2": v2}, speaksHTTP2, shadowsV1(k, func(s *Shadow) { s.Timeout = 10 * short }))
	for _, test := range []struct {
		path, failure string
		status        int
		cut           bool
	}{{"/head", shadowBroken, 0, false}, {"/body", shadowBroken, 200, true}, {"/hang", shadowTimedOut, 0, false}, {"/endless", "", 200, true}} {
		if s := statuses(r.exchangeRaw(get(test.path, closing))); s != "200" {
			t.Fatalf("%s: the customer got %s", test.path, s)
		}
		if got := k.one(t).Candidate; got.Failure != test.failure || got.Status != test.status || got.Cut != test.cut {
			t.Errorf("%s: told of %d, %q, cut %v", test.path, got.Status, got.Failure, got.Cut)
		}
	}
	r.awaitIdle(t)
}

// TestNothingStartsAfterTheEnd: a request whose customer was served while the
// server stopped is not copied.
func TestNothingStartsAfterTheEnd(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	v1 := newRecorder(t, func(c net.Conn, m *message) bool { close(asked); <-answer; return always(response(200, "ok"))(c, m) })
	v2 := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(new(told)))
	c := r.dial()
	io.WriteString(c, get("/"))
	<-asked
	stopped := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stopped <- r.srv.Shutdown(ctx)
	}()
	eventually(t, "the server stops", r.srv.shadows.stopped)
	close(answer)
	if s := statuses(readAll(t, c)); s != "200" {
		t.Errorf("the customer got %s", s)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	r.awaitFates(t, map[string]uint64{stats.ShadowStopped.String(): 1})
	if seen, _ := v2.take(); len(seen) > 0 || !r.srv.shadows.idle() {
		t.Errorf("it was copied: %v", seen)
	}
}

// TestCopiesBreakNoRequestsConnection: an endpoint of HTTP/2 that breaks the
// connection on which it gets a copy breaks none that requests share.
func TestCopiesBreakNoRequestsConnection(t *testing.T) {
	type connKey struct{}
	held, on := make(chan struct{}), make(chan struct{})
	v1 := backend2(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Sluice-Shadow") != "":
			r.Context().Value(connKey{}).(net.Conn).Close()
		case r.URL.Path == "/hold":
			close(held)
			<-on
		}
		io.WriteString(w, "ok")
	}, func(s *http.Server) {
		s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	})
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1, "v2": v1}, speaksHTTP2, shadowsV1(k, func(s *Shadow) { s.Again = true }))
	answer := make(chan string)
	go func() { answer <- r.exchangeRaw(get("/hold", closing)) }()
	<-held
	for range 10 {
		if s := statuses(r.exchangeRaw(get("/", closing))); s != "200" {
			t.Fatalf("a customer got %s", s)
		}
		if p := k.one(t); p.Candidate.Failure != shadowBroken || p.Again.Failure != shadowBroken {
			t.Errorf("told of %+v and %+v", p.Candidate, p.Again)
		}
	}
	close(on)
	if s := statuses(<-answer); s != "200" {
		t.Errorf("the customer whose request was under way got %s", s)
	}
	k.one(t)
	if n := r.clusters["v1"].Status()[0].Failures; n != 0 {
		t.Errorf("%d failures are counted", n)
	}
}

// TestAnswersThatLastHoldNoMemory: events from the first, others once they take
// longer than a copy may, unless the request's body is still under way.
func TestAnswersThatLastHoldNoMemory(t *testing.T) {
	for name, head := range map[string]string{
		"events": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		on := make(chan string)
		v1 := newRecorder(t, func(c net.Conn, _ *message) bool {
			io.WriteString(c, head)
			for text := range on {
				fmt.Fprintf(c, "%x\r\n%s\r\n", len(text), text)
				if text == "end" {
					break
				}
			}
			io.WriteString(c, "0\r\n\r\n")
			return true
		})
		k := new(told)
		r := newRig(t, map[string]string{"v1": v1.addr, "v2": newRecorder(t, nil).addr}, shadowsV1(k, func(s *Shadow) {
			s.Methods, s.Timeout = []string{"GET", "POST"}, short
		}))
		for _, request := range []string{get("/", closing), post("4\r\nlate\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing)} {
			c := r.dial()
			io.WriteString(c, request)
			say := func(text string) { on <- text; until(t, c, text) }
			say("hello")
			if request[:3] == "GET" {
				eventually(t, name+": nothing is held", func() bool { say("more"); return r.srv.shadows.idle() })
			} else {
				since := time.Now()
				eventually(t, name+": it lasts", func() bool { say("more"); return time.Since(since) > 2*short })
			}
			say("end")
			readAll(t, c)
		}
		r.awaitFates(t, map[string]uint64{"baseline": 2})
		if r.awaitIdle(t); k.len() > 0 {
			t.Errorf("%s: answers were told", name)
		}
	}
}
