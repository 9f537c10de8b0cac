package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/stats"
)

// TestIdleConnectionsMakeRoom: where a listener is full, those that were idle
// longest go, and a busy one is left alone.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newRecorder(t, nil)
	b.answerHead = func(c net.Conn, m *message) bool {
		if m.target == "/slow" {
			<-release
		}
		return false
	}
	core, logs := observer.New(zap.WarnLevel)
	for _, set := range []option{
		func(r *rig) { r.listener.Connections = 3 },
		func(r *rig) { r.options.MaxConnections = 3 },
	} {
		r := newRig(t, map[string]string{"v1": b.addr}, set, func(r *rig) { r.options.Log = zap.New(core) })
		busy := r.dial()
		io.WriteString(busy, get("/slow", closing))
		eventually(t, "the endpoint is asked", func() bool { return r.clusters["v1"].InUse() == 1 })
		var idle []net.Conn
		for i := range 5 {
			c := r.dial()
			io.WriteString(c, get(fmt.Sprintf("/%d", i)))
			until(t, c, "\r\n\r\n")
			idle = append(idle, c)
		}
		if readAll(t, idle[0]) == "" {
			t.Error("the response's body was lost")
		}
		if r.stats.Edge().IdleClosed < 3 || r.stats.Edge().AcceptPauses["limit"] == 0 {
			t.Errorf("counted %+v", r.stats.Edge())
		}
		release <- struct{}{}
		if s := statuses(readAll(t, busy)); s != "200" {
			t.Errorf("the busy connection was answered %q", s)
		}
	}
	if n := logs.FilterMessageSnippet("limits.connections").Len(); n != 2 {
		t.Errorf("%d lines in the log: %v", n, logs.All())
	}
}

// TestAFullListenerWaits: with nobody idle, who comes waits and is served in the
// end.
func TestAFullListenerWaits(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newRecorder(t, nil)
	b.answerHead = func(net.Conn, *message) bool {
		<-release
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.Connections = 1 })
	first := r.dial()
	io.WriteString(first, get("/1", closing)) // soon enough not to be closed for the next
	second := r.dial()
	io.WriteString(second, get("/2", closing))
	eventually(t, "the endpoint is asked", func() bool { return r.clusters["v1"].InUse() == 1 })
	eventually(t, "the listener waits", func() bool { return r.stats.Edge().AcceptPauses["limit"] == 1 })
	for range 2 {
		release <- struct{}{}
	}
	if statuses(readAll(t, first)) != "200" || statuses(readAll(t, second)) != "200" {
		t.Error("not answered")
	}
}

// grace sets how long first requests are waited for.
func (r *rig) grace(d time.Duration) {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	r.srv.firstGrace = d
}

// TestAFirstRequestOnItsWay: a connection that has just come is not closed to make
// room, unless descriptors are short, and then no more of them than one at a time.
func TestAFirstRequestOnItsWay(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.Connections = 2 })
	r.grace(time.Hour)
	idle := func() (n int) {
		r.srv.mu.Lock()
		defer r.srv.mu.Unlock()
		for c := range r.srv.conns {
			if _, _, idle := c.(evictable).idleSince(); idle {
				n++
			}
		}
		return n
	}
	first, second := r.dial(), r.dial()
	eventually(t, "both wait for a request", func() bool { return idle() == 2 })
	third := r.dial()
	io.WriteString(third, get("/3", closing))
	eventually(t, "the listener waits", func() bool { return r.stats.Edge().AcceptPauses["limit"] == 1 })
	everybody := func(clientConn) bool { return true }
	if n := r.srv.closeIdle(everybody, 9, sparing); n != 0 {
		t.Fatalf("%d closed", n)
	}
	io.WriteString(first, get("/1", closing))
	for i, c := range []net.Conn{first, third} {
		if s := statuses(readAll(t, c)); s != "200" {
			t.Errorf("%d is answered %q", i, s)
		}
	}
	fourth := r.dial()
	eventually(t, "both wait for a request", func() bool { return idle() == 2 })
	if n := r.srv.closeIdle(everybody, 9, severe); n != 1 {
		t.Fatalf("%d closed for a descriptor", n)
	}
	eventually(t, "one is closed", func() bool { return r.srv.clients.Load() == 1 })
	served := 0
	for _, c := range []net.Conn{second, fourth} {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		io.WriteString(c, get("/4", closing))
		if answer, _ := io.ReadAll(c); statuses(string(answer)) == "200" {
			served++
		}
	}
	if served != 1 {
		t.Errorf("%d of the two are answered", served)
	}
}

// TestWhoNeverAsksMakesRoom: a silent connection holds its place for a moment.
func TestWhoNeverAsksMakesRoom(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.Connections = 1 })
	silent := r.dial()
	second := r.dial()
	io.WriteString(second, get("/", closing))
	if s := statuses(readAll(t, second)); s != "200" || readAll(t, silent) != "" {
		t.Errorf("answered %q", s)
	}
}

// TestAFullListenerCloses: Shutdown is not held up by what waits for room.
func TestAFullListenerCloses(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.Connections, r.listener.HeadTimeout = 1, short })
	io.WriteString(r.dial(), "GET / HT") // not idle
	r.dial()
	eventually(t, "the listener waits", func() bool { return r.stats.Edge().AcceptPauses["limit"] >= 1 })
}

func TestDefaultConnections(t *testing.T) {
	if usual, atAll := defaultConnections(); usual < leastConnections || atAll < usual {
		t.Errorf("%d connections, at all %d", usual, atAll)
	}
}

// TestAToldNumberOutweighsTheUsualOne: descriptors for endpoints need not be two
// for each.
func TestAToldNumberOutweighsTheUsualOne(t *testing.T) {
	srv := New(Options{Stats: stats.New(stats.Options{})})
	srv.mostOpen, srv.mostAtAll = 10, 20
	for _, c := range []struct {
		told     int
		open     int64
		wantFull bool
	}{{0, 9, false}, {0, 10, true}, {5, 5, true}, {15, 14, false}, {15, 15, true}, {100, 19, false}, {100, 20, true}} {
		l := &listener{srv: srv}
		l.config.Store(ListenerConfig{Connections: c.told}.withDefaults())
		l.open.Store(c.open)
		srv.clients.Store(c.open)
		if l.full() != c.wantFull {
			t.Errorf("told %d, %d are open: full is %v", c.told, c.open, l.full())
		}
	}
}

// scarce is a listener for which no file descriptor is left, once.
type scarce struct {
	net.Listener
	asked int
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.asked++; s.asked == 1 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return nil, net.ErrClosed
}

// TestAnAcceptWithoutDescriptorsIsCounted: with those to endpoints, and as a
// pause of the listener.
func TestAnAcceptWithoutDescriptorsIsCounted(t *testing.T) {
	registry := stats.New(stats.Options{})
	srv := New(Options{Stats: registry, MaxConnections: 1})
	l := &listener{srv: srv, net: new(scarce), ended: make(chan struct{})}
	l.config.Store(ListenerConfig{Name: "test"}.withDefaults())
	srv.running.Add(1)
	l.accept()
	if n := registry.Process().FDExhausted; n != 1 || registry.Edge().AcceptPauses["descriptors"] != 1 {
		t.Errorf("%d counted, and %v", n, registry.Edge().AcceptPauses)
	}
}
