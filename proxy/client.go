package proxy

import (
	"crypto/tls"

	"sluice/proxy/h2"
)

// clientConn is a client's connection, of whatever protocol, as the server keeps
// it.
type clientConn interface {
	// listener returns the one that accepted the connection.
	listener() *listener
	// stop lets what is under way finish, after which the connection ends. It
	// does not wait, and is called under Server.mu.
	stop()
	// drain tells the client, where the protocol can, to send no further request
	// here, but closes nothing on which one may be coming: see Server.Leave. It
	// does not wait, may come before or after stop, and is called under
	// Server.mu or not.
	drain()
	// abort makes reads and writes fail at once. It does not wait.
	abort()
}

// listener implements clientConn.
func (c *conn1) listener() *listener { return c.from }

// stop implements clientConn: a connection that waits for a request is woken.
func (c *conn1) stop() {
	if c.state.stop() {
		c.sock.StopReading()
	}
}

// drain implements clientConn: HTTP/1.1 has no way to tell but in an answer,
// where begin does.
func (c *conn1) drain() {}

// abort implements clientConn.
func (c *conn1) abort() { c.sock.Abort() }

// start learns who the client is, completes the TLS handshake, if there is one,
// learns the protocol and serves.
func (c *conn1) start() {
	defer c.survive()
	if !c.arrive() {
		c.end()
		return
	}
	t, isTLS := c.sock.NetConn().(*tls.Conn)
	if !isTLS {
		c.serveCleartext()
		return
	}
	c.startTLS(t)
}

// startTLS completes the handshake, which agrees on the protocol, and serves.
func (c *conn1) startTLS(t *tls.Conn) {
	if !c.handshake(t) {
		c.end()
		return
	}
	switch state := t.ConnectionState(); {
	case state.NegotiatedProtocol == "h2":
		c.serve2(adequate(&state))
	case c.peer.listener.NoH1:
		c.end()
	default:
		c.serve()
	}
}

// serveCleartext tells HTTP/2 from HTTP/1 by the first bytes where both are
// served, and serves.
func (c *conn1) serveCleartext() {
	l := c.peer.listener
	switch {
	case !l.H2C:
		c.serve()
	case l.NoH1 || c.beginsWithPreface():
		c.serve2(true)
	default:
		c.serve()
	}
}

// beginsWithPreface waits for as many bytes as tell whether the client speaks
// HTTP/2 (RFC 9113, section 3.3). What goes wrong meanwhile is left to serve.
func (c *conn1) beginsWithPreface() bool {
	c.sock.SetTimeout(c.peer.listener.IdleTimeout)
	for c.in.Len() < len(h2.Preface) {
		if !c.state.toIdle() || c.sock.Fill(&c.in) != nil || !c.state.toBusy() {
			c.state.toBusy()
			return false
		}
		if p := c.in.Bytes(); string(p[:min(len(p), len(h2.Preface))]) != h2.Preface[:min(len(p), len(h2.Preface))] {
			return false
		}
		c.sock.SetTimeout(c.peer.listener.HeadTimeout)
	}
	return true
}

// serve2 goes on in HTTP/2.
func (c *conn1) serve2(adequate bool) {
	next := newConn2(c)
	c.srv.become(c, next)
	if !adequate {
		next.end(h2.Inadequate)
		return
	}
	next.serve()
}

// become puts another connection in the place of c, over the same socket: its
// protocol is known only when the client has spoken.
func (s *Server) become(c *conn1, other clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.conns[other] = struct{}{}
	if c.state.stopping() {
		other.stop()
	}
}
