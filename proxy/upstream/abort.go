package upstream

import "sync"

// opened are the connections of an endpoint, in use or idle, so that they can
// be ended from outside. They come and go by dial and close, not by request.
type opened struct {
	mu    sync.Mutex
	conns map[*Conn]struct{}
	over  bool // Abort has come
}

// add takes in a new connection.
func (o *opened) add(c *Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conns == nil {
		o.conns = map[*Conn]struct{}{}
	}
	o.conns[c] = struct{}{}
	if o.over {
		c.Abort()
	}
}

// remove drops a connection that is closed.
func (o *opened) remove(c *Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, c)
}

// abort ends all, and those that come.
func (o *opened) abort() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for c := range o.conns {
		c.Abort()
	}
}

// Abort makes all that is under way at the configured endpoints fail at once,
// for good, also dials and what begins later. Close is still due.
func (c *Cluster) Abort() {
	c.cancel()
	for _, e := range c.view.Load().all {
		e.opened.abort()
	}
}
