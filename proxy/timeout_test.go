package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// short makes a rig's client timeouts short; the clock ticks each 50 ms.
const short = 150 * time.Millisecond

func TestHeadTimeout(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.HeadTimeout = short })
	for _, start := range []string{"G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r", get("/") + "GET / HT"} {
		answer := r.exchangeRaw(start)
		if s := statuses(answer); !strings.HasSuffix(s, "408") || !strings.Contains(answer, "\r\nConnection: close\r\n") {
			t.Errorf("%q: answered %q", start, answer)
		}
	}
	if n := r.stats.Process().Refused[408]; n != 5 {
		t.Errorf("%d counted", n)
	}
}

// TestATrickledHeadTimesOut: each byte is in time, the head is not.
func TestATrickledHeadTimesOut(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.HeadTimeout = short })
	c := r.dial()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n")
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				io.WriteString(c, "X: y\r\n")
			}
		}
	}()
	if answer := readAll(t, c); statuses(answer) != "408" {
		t.Errorf("answered %q", answer)
	}
	close(stop)
	<-stopped
}

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.IdleTimeout = short })
	if answer := r.exchangeRaw(""); answer != "" {
		t.Errorf("a connection without a request got %q", answer)
	}
	if answer := r.exchangeRaw(get("/")); statuses(answer) != "200" || strings.HasSuffix(answer, "(reset)") {
		t.Errorf("a connection with one request got %q", answer)
	}
}

// TestABodyThatStalls frees the endpoint, which must not take what it has for a
// whole request and is not to blame.
func TestABodyThatStalls(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		post("hell", "Content-Length: 5"),
		post(strings.Repeat("x", 100_000), "Content-Length: 1000000"),
		post("5\r\nhello\r\n", "Transfer-Encoding: chunked"),
		post("", "Content-Length: 5"),
	} {
		// The endpoint's time is the shorter one in the first pair, and long enough for
		// the sentinel on a busy machine.
		for _, times := range []struct{ body, response time.Duration }{{12 * short, 10 * short}, {short, time.Minute}} {
			b := newRecorder(t, nil)
			r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
				r.listener.BodyTimeout, r.settings.ResponseTimeout = times.body, times.response
			})
			answer := r.exchangeRaw(request)
			if s := statuses(answer); s != "408" {
				t.Errorf("%.60q: answered %q", request, answer)
			}
			eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
			checkNoEjection(t, r)
			checkOnlySentinel(t, r, b)
		}
	}
}

// TestAClientThatPausesIsNotTheEndpointsFault: the time that an endpoint has
// for its answer begins when it has the request.
func TestAClientThatPausesIsNotTheEndpointsFault(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.ResponseTimeout = short })
	for _, size := range []int{10, 200_000} {
		c := r.dial()
		body := strings.Repeat("x", size)
		io.WriteString(c, post(body[:size/2], fmt.Sprintf("Content-Length: %d", size), closing))
		<-time.After(3 * short)
		io.WriteString(c, body[size/2:])
		if answer := readAll(t, c); statuses(answer) != "200" {
			t.Errorf("a body of %d bytes: answered %q", size, answer)
		}
	}
	checkNoEjection(t, r)
}

// TestASlowEndpointIsNotTheClientsFault: the client's timeouts are for what the
// client does; while it waits for the endpoint they rest.
func TestASlowEndpointIsNotTheClientsFault(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 200010", "Transfer-Encoding: chunked"} {
		b := newRecorder(t, nil)
		b.answer = func(c net.Conn, m *message) bool {
			first, second := "hello", strings.Repeat("x", 200_000)+"world"
			if framing == "Transfer-Encoding: chunked" {
				first, second = "5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n"
			}
			<-time.After(3 * short)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framing+"\r\n\r\n"+first)
			<-time.After(3 * short)
			io.WriteString(c, second)
			return true
		}
		for _, request := range []string{get("/", closing), post("hello", "Content-Length: 5", closing),
			post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing)} {
			t.Run(fmt.Sprintf("%s, %.5s", framing, request), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.BodyTimeout, r.listener.IdleTimeout = short, short })
				answer := r.exchangeRaw(request)
				if statuses(answer) != "200" || !strings.Contains(answer, "world") || strings.HasSuffix(answer, "(reset)") {
					t.Errorf("got %d bytes: %.300q", len(answer), answer)
				}
			})
		}
	}
}

// TestAClientThatTakesNothing is cut off, and the endpoint is freed.
func TestAClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 100000000", "Transfer-Encoding: chunked"} {
		b := newRecorder(t, nil)
		b.answer = func(c net.Conn, m *message) bool {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n"+framing+"\r\n\r\n")
			piece := fmt.Sprintf("10000\r\n%s\r\n", strings.Repeat("x", 0x10000))
			for range 1500 {
				if _, err := io.WriteString(c, piece); err != nil {
					return false
				}
			}
			return false
		}
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.BodyTimeout = short })
		c := r.dial()
		io.WriteString(c, get("/"))
		eventually(t, "the endpoint is asked", func() bool { return r.clusters["v1"].InUse() == 1 })
		eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
		checkCut(t, readAll(t, c))
		checkNoEjection(t, r)
		eventually(t, "the abort is counted", func() bool { return r.stats.ServiceSnapshot("web")[0].Aborted == 1 })
	}
}

// TestAnEndpointThatTakesNothing becomes a 504.
func TestAnEndpointThatTakesNothing(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	for _, framing := range []string{"Content-Length: 50000000", "Transfer-Encoding: chunked"} {
		b := newRecorder(t, nil)
		b.answerHead = func(c net.Conn, m *message) bool {
			<-release
			return true
		}
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.ResponseTimeout = short })
		c := r.dial()
		written := make(chan struct{})
		go func() {
			defer close(written)
			io.WriteString(c, post("", framing))
			piece := fmt.Sprintf("10000\r\n%s\r\n", strings.Repeat("x", 0x10000))
			for range 700 {
				if _, err := io.WriteString(c, piece); err != nil {
					return
				}
			}
		}()
		if answer := until(t, c, "\r\n\r\n"); statuses(answer) != "504" {
			t.Errorf("%s: answered %q", framing, answer)
		}
		c.Close()
		<-written
	}
}
