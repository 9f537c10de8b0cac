package proxy

import (
	"time"

	"sluice/proxy/h2"
	"sluice/proxy/sock"
)

// A connection that is to end says so twice (RFC 9113, section 6.8): first
// that it will, with the highest stream number there is, since requests may be
// on their way; and when the client must have heard, for it has answered a PING
// that was sent along, which stream was the last. What came up to then is
// served.

// stopState is how far a connection has come with that.
type stopState struct {
	early  bool  // it was told to stop before its SETTINGS were sent
	pinged bool  // the first GOAWAY and the PING are sent
	final  bool  // the second is; new streams are refused
	by     int64 // when the client must have heard, in the time of sock.Now
}

// stopPing is what the PING carries.
const stopPing = "goodbye."

// stopGrace is how long the client may take to answer the PING.
const stopGrace = freshGrace

// stop implements clientConn.
func (c *conn2) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping.pinged || c.gone != nil {
		return
	}
	if !c.greeted { // SETTINGS come first (RFC 9113, section 3.4); greet goes on
		c.stopping.early = true
		return
	}
	c.stopping.pinged, c.stopping.by = true, after(stopGrace)
	c.out.grow(64)
	c.out.mem = h2.AppendGoAway(c.out.mem, h2.MaxWindow, h2.NoError)
	c.out.mem = h2.AppendPing(c.out.mem, 0, []byte(stopPing))
	c.flushSoon()
	c.timeIdle()
}

// drain implements clientConn: two GOAWAYs with a PING between them close nothing
// on which a request may be coming.
func (c *conn2) drain() { c.stop() }

// stopped reports whether the connection was told to end.
func (c *conn2) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping.pinged
}

// stopHeard takes in the answer to the PING: the client opens no streams any
// more. It is called under mu.
func (c *conn2) stopHeard() *h2.Fault {
	if c.stopping.final {
		return c.spend(h2.PingFlood)
	}
	c.stopping.final = true
	c.out.grow(64)
	c.out.mem = h2.AppendGoAway(c.out.mem, c.state.LastStream, h2.NoError)
	c.flushSoon()
	c.drained()
	return nil
}

// drained ends a connection that was told to end, when its last stream has
// ended. It is called under mu.
func (c *conn2) drained() {
	if !c.stopping.pinged || len(c.open) > 0 {
		return
	}
	if c.stopping.final || sock.Now() >= c.stopping.by {
		c.sock.StopReading() // the reader ends the connection
	}
}

// idleTime is how long the connection may go on without a stream.
func (c *conn2) idleTime() time.Duration {
	if c.stopping.pinged {
		return max(time.Duration(c.stopping.by-sock.Now()), sock.Tick)
	}
	return c.peer.listener.IdleTimeout
}
