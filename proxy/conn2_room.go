package proxy

import "sluice/proxy/sock"

// An HTTP/2 connection without streams makes room, and one with streams counts
// for each of them as load.

// idleSince implements evictable. A connection whose client sends a request's
// head is not idle. A first request on its way is as good as any other: its client
// is told that it may send it again.
func (c *conn2) idleSince() (since int64, first, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idleAt, false, c.idle()
}

// idle is called under mu.
func (c *conn2) idle() bool { return len(c.open) == 0 && !c.blockTimed && c.gone == nil }

// evict implements evictable. The reader ends the connection with a GOAWAY that
// names the last stream, so that a client may send again elsewhere what it has
// sent meanwhile (RFC 9113, section 6.8).
func (c *conn2) evict() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idle() || c.evicted {
		return false
	}
	c.evicted = true
	c.stopping.pinged, c.stopping.final = true, true
	c.sock.StopReading()
	return true
}

// hurried reports whether the connection is to be closed without lingering: its
// descriptor is wanted, and nothing has come that closing would reset.
func (c *conn2) hurried() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.evicted && c.sock.Quiet()
}

// streams returns how many requests are under way.
func (c *conn2) streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// noteIdle notes that the last stream has ended, or that none has begun. It is
// called under mu.
func (c *conn2) noteIdle() { c.idleAt = sock.Now() }
