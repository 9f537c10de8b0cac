package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// resting counts the connections that rest.
func (r *rig) resting() (n int) {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	for c := range r.srv.conns {
		switch c := c.(type) {
		case *conn1:
			if c.sock.Resting() {
				n++
			}
		case *conn2:
			if c.sock.Resting() {
				n++
			}
		}
	}
	return n
}

// awaitRest waits until so many connections rest: for two seconds or so.
func (r *rig) awaitRest(t *testing.T, n int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("no connection rests here")
	}
	eventually(t, "they rest", func() bool { return r.resting() == n })
}

// idleClient opens a connection that is answered once.
func idleClient(t *testing.T, r *rig, config *tls.Config) net.Conn {
	t.Helper()
	var c net.Conn = r.dial()
	if config != nil {
		c = r.dialTLS(config)
	}
	io.WriteString(c, get("/"))
	until(t, c, "\r\n\r\nok")
	return c
}

// TestRestingConnectionsAreServed: in the clear and over TLS, those that have
// asked and those that have not, time and again.
func TestRestingConnectionsAreServed(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	server, config := tlsConfigs(t)
	clear := newRig(t, map[string]string{"v1": b.addr})
	secure := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.TLS = server })
	asked, sealed, silent := idleClient(t, clear, nil), idleClient(t, secure, config), clear.dial()
	for range 2 {
		clear.awaitRest(t, 2)
		secure.awaitRest(t, 1)
		for _, c := range []net.Conn{asked, sealed, silent} {
			io.WriteString(c, get("/"))
			until(t, c, "\r\n\r\nok")
		}
	}
	clear.awaitRest(t, 2)
	for _, part := range strings.SplitAfter(get("/", closing), "\r\n") { // a head that comes in pieces
		io.WriteString(asked, part)
		runtime.Gosched()
	}
	if s := statuses(readAll(t, asked)); s != "200" {
		t.Errorf("answered %q", s)
	}
}

func TestRestingHTTP2ConnectionsAreServed(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.alive(1)
	c.expect("DATA 1 END")
	for id := uint32(3); id < 7; id += 2 {
		r.awaitRest(t, 1)
		c.alive(id)
		c.expect("DATA")
	}
	r.awaitRest(t, 1)
	stopped := r.shutdown(5 * time.Second)
	c.expect("GOAWAY 2147483647 NO_ERROR")
	c.WritePing(true, [8]byte([]byte(stopPing)))
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestRestingConnectionsEnd: by their clients, their idle timeout, and to make
// room; then nothing of them is counted any more.
func TestRestingConnectionsEnd(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	for name, test := range map[string]struct {
		set option
		end func(*testing.T, *rig, net.Conn)
	}{
		"by the client": {func(*rig) {}, func(_ *testing.T, _ *rig, c net.Conn) { c.Close() }},
		"by a reset": {func(*rig) {}, func(_ *testing.T, _ *rig, c net.Conn) {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}},
		"by the timeout": {func(r *rig) { r.listener.IdleTimeout = 4 * time.Second }, func(t *testing.T, r *rig, c net.Conn) {
			if readAll(t, c) != "" {
				t.Error("it was told something")
			}
		}},
		"to make room": {func(r *rig) { r.listener.Connections = 2 }, func(t *testing.T, r *rig, c net.Conn) {
			idleClient(t, r, nil).Close()
			if readAll(t, c) != "" || r.stats.Edge().IdleClosed != 1 {
				t.Error("it was not closed for another")
			}
		}},
		"by a stop": {func(*rig) {}, func(t *testing.T, r *rig, c net.Conn) {
			if err := <-r.shutdown(5 * time.Second); err != nil {
				t.Error(err)
			}
			if readAll(t, c) != "" {
				t.Error("it was told something")
			}
		}},
		"by an abort": {func(*rig) {}, func(t *testing.T, r *rig, c net.Conn) {
			r.srv.mu.Lock()
			for c := range r.srv.conns {
				c.abort()
			}
			r.srv.mu.Unlock()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, map[string]string{"v1": b.addr}, test.set, func(r *rig) { r.listener.ConnectionsPerClient = 2 })
			c := idleClient(t, r, nil)
			r.awaitRest(t, 1)
			test.end(t, r, c)
			eventually(t, "nothing is left", func() bool {
				r.srv.mu.Lock()
				defer r.srv.mu.Unlock()
				return len(r.srv.conns) == 0 && r.srv.clients.Load() == 0
			})
			if name == "by a stop" {
				return
			}
			for range 2 { // as many as the client may have
				defer idleClient(t, r, nil).Close()
			}
		})
	}
}

// TestLeaveLetsRestingConnectionsAsk: for the successor takes over nothing but
// what comes new.
func TestLeaveLetsRestingConnectionsAsk(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	c := idleClient(t, r, nil)
	r.awaitRest(t, 1)
	r.srv.Leave()
	if r.resting() != 1 {
		t.Error("it was woken")
	}
	io.WriteString(c, get("/"))
	if answer := readAll(t, c); statuses(answer) != "200" || !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("it got %q", answer)
	}
}

// TestARequestMeetsAStop: what was sent to a resting connection before the
// server stops is answered.
func TestARequestMeetsAStop(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	var all []net.Conn
	for range 20 {
		all = append(all, idleClient(t, r, nil))
	}
	r.awaitRest(t, len(all))
	for _, c := range all {
		io.WriteString(c, get("/"))
	}
	if err := <-r.shutdown(5 * time.Second); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		if s := statuses(readAll(t, c)); s != "200" {
			t.Errorf("answered %q", s)
		}
	}
}
