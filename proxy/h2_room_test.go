package proxy

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestIdleHTTP2ConnectionsMakeRoom: they go with a GOAWAY; one with a stream, or
// a head that is coming, stays.
func TestIdleHTTP2ConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.Connections = 4 })
	idle, busy, coming := r.dial2(), r.dial2(), r.dial2()
	idle.alive(1)
	idle.expect("DATA 1 END")
	busy.request(1, true, "GET", "/held")
	eventually(t, "it is under way", func() bool { return r.clusters["v1"].InUse() == 1 })
	coming.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: coming.block(":method", "GET", ":scheme", "http", ":authority", "a"), EndStream: true})
	eventually(t, "the head is timed", func() bool { return r.headsComing() == 1 })

	late := r.dial()
	idle.expect("GOAWAY 1 NO_ERROR")
	if got := idle.next(); !strings.HasPrefix(got, "end") {
		t.Errorf("%q follows", got)
	}
	speak2(t, late).alive(1)
	coming.WriteContinuation(1, true, coming.block(":path", "/"))
	coming.expectAnswer(1, 200, 2)
	close(letGo)
	busy.expectAnswer(1, 200, 2)
	if e := r.stats.Edge(); e.IdleClosed != 1 || e.AcceptPauses["limit"] == 0 {
		t.Errorf("counted %+v", e)
	}
}

// headsComing counts the HTTP/2 connections on which a head is under way.
func (r *rig) headsComing() (n int) {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	for c := range r.srv.conns {
		if c, ok := c.(*conn2); ok {
			c.mu.Lock()
			if c.blockTimed {
				n++
			}
			c.mu.Unlock()
		}
	}
	return n
}

// TestEvictedHTTP2: what a client sends after it was chosen to make room is
// refused, in the terms that let it ask again elsewhere.
func TestEvictedHTTP2(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.alive(1)
	c.expect("DATA 1 END")
	eventually(t, "it is idle", func() bool { _, _, idle := r.onlyConn2().idleSince(); return idle })
	if n := r.srv.closeIdle(func(clientConn) bool { return true }, 9, sparing); n != 1 {
		t.Fatalf("%d closed", n)
	}
	c.request(3, true, "GET", "/")
	for {
		got := c.next()
		if strings.HasPrefix(got, "end") {
			break
		}
		if got != "GOAWAY 1 NO_ERROR" && got != "RST_STREAM 3 REFUSED_STREAM" && got != "GOAWAY 3 NO_ERROR" {
			t.Errorf("got %q", got)
		}
	}
	r.drop(c)
	if seen, _ := b.take(); len(seen) != 1 {
		t.Errorf("the endpoint saw %v", shorts(seen))
	}
}

// TestStreamsAreLoad: overload counts them beside connections.
func TestStreamsAreLoad(t *testing.T) {
	t.Parallel()
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	if n := r.srv.load(); n != 0 {
		t.Errorf("a load of %d at first", n)
	}
	c, d := r.dial2(), r.dial2()
	for i := range 5 {
		c.request(uint32(2*i+1), true, "GET", "/held")
	}
	d.request(1, true, "GET", "/held")
	eventually(t, "six streams on two connections", func() bool { return r.srv.load() == 8 })
	close(letGo)
	for range 5 {
		c.next()
	}
	eventually(t, "two connections", func() bool { return r.srv.load() == 2 })
}

// TestABodyThatTakesTooLongOverHTTP2 is reset, though each of its bytes is in
// time; the connection and the endpoint go on.
func TestABodyThatTakesTooLongOverHTTP2(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.RequestTimeout = 2 * short })
	dripOverHTTP2(t, r, 0)
}

// TestABodyBelowTheLeastRateOverHTTP2 is reset after the grace.
func TestABodyBelowTheLeastRateOverHTTP2(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the grace of a rate")
	}
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.MinBodyRate = 1000 })
	dripOverHTTP2(t, r, rateGrace/2)
}

// dripOverHTTP2 sends a body a byte at a time until its stream is reset, which
// takes some time at least.
func dripOverHTTP2(t *testing.T, r *rig, least time.Duration) {
	t.Helper()
	c := r.dial2()
	c.nc.SetDeadline(time.Now().Add(30 * time.Second))
	c.request(1, false, "POST", "/", "content-length", "100000")
	began := time.Now()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				c.WriteData(1, false, []byte("x"))
			}
		}
	}()
	c.expect("RST_STREAM 1 CANCEL")
	if took := time.Since(began); took < least {
		t.Errorf("reset after %v", took)
	}
	close(stop)
	<-done
	c.alive(3)
	r.drop(c)
	checkNoEjection(t, r)
}
