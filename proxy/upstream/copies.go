package upstream

// Copies of requests ask an endpoint as requests do, and must leave no trace
// there for those: they have connections of their own, so that no request finds
// the pool empty for them, and an answer to a copy that breaks the rules of
// HTTP/2 breaks no connection that requests share. What becomes of a copy says
// nothing of the endpoint: it counts towards no ejection, and an endpoint is not
// busier for it to those who choose.

// AcquireCopy is Acquire for a copy of a request, to be given back by Release
// like any other. It never waits for a place or a lookup: the error is
// ErrOverloaded where requests and copies use three quarters of MaxConnections.
// The rest is left to requests, which are refused none for the sake of copies:
// while these are under way, the endpoints may see that many more.
func (c *Cluster) AcquireCopy(opt Acquire) (*Conn, error) {
	v := c.view.Load()
	if len(v.usable) == 0 {
		return nil, ErrNoEndpoint
	}
	if !c.claimCopy(v.cfg.MaxConnections) {
		return nil, ErrOverloaded
	}
	opt.copy = true
	e := c.choose(v, &opt)
	conn, err := e.take(v, &opt)
	if err != nil {
		c.copies.Add(-1)
		return nil, &DialError{Endpoint: e, Err: err}
	}
	conn.copy = true
	return conn, nil
}

// claimCopy takes a place for a copy, until Release.
func (c *Cluster) claimCopy(most int) bool {
	if n := c.copies.Add(1); most == 0 || c.busy.Load()+n <= int64(most)*3/4 {
		return true
	}
	c.copies.Add(-1)
	return false
}

// releaseCopy is Release for the connection of a copy.
func (c *Conn) releaseCopy(o Outcome) {
	if c.stream != nil || o&Reusable == 0 || o&(Failed|Unknown) != 0 || !c.park() {
		c.close()
	}
	c.Endpoint.cluster.copies.Add(-1)
}

// keeps are the connections of an endpoint that are open for the next: those of
// requests, or those of copies.
type keeps struct {
	pool  pool  // of HTTP/1.1 connections
	links links // those of HTTP/2
}

// keepsOf returns where a connection is taken from and goes back to.
func (e *Endpoint) keepsOf(copies bool) *keeps {
	if copies {
		return &e.copies
	}
	return &e.keeps
}
