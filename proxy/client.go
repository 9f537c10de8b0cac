package proxy

// clientConn is a client's connection, of whatever protocol, as the server keeps
// it.
type clientConn interface {
	// listener returns the one that accepted the connection.
	listener() *listener
	// stop lets what is under way finish, after which the connection ends. It
	// does not wait, and is called under Server.mu.
	stop()
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

// abort implements clientConn.
func (c *conn1) abort() { c.sock.Abort() }
