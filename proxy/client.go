package proxy

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
