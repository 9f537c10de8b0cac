package proxy

import (
	"time"

	"sluice/proxy/h2"
	"sluice/proxy/sock"
)

// after returns the time of sock.Now that is d from now.
func after(d time.Duration) int64 { return sock.Now() + int64(d) }

// retime sets the connection's timeout to the sooner of its two. It is called
// under mu.
func (c *conn2) retime() {
	by := c.readBy
	if by == 0 || c.writeBy != 0 && c.writeBy < by {
		by = c.writeBy
	}
	if by == 0 {
		c.sock.SetTimeout(0)
		return
	}
	c.sock.SetTimeout(max(time.Duration(by-sock.Now()), 1))
}

// timeIdle begins the time that a connection without streams may last, or ends
// it where there are some: they are timed one by one. It is called under mu.
func (c *conn2) timeIdle() {
	if c.blockTimed || !c.settled {
		return
	}
	c.readBy = 0
	if len(c.open) == 0 {
		c.readBy = after(c.idleTime())
		c.noteIdle()
	}
	c.retime()
}

// timeBlock begins the time that the rest of a header block may take, or ends
// it. It is for the reader.
func (c *conn2) timeBlock() {
	underWay := c.state.Block != 0 || c.headersComing()
	if underWay == c.blockTimed {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blockTimed = underWay
	if !underWay {
		c.timeIdle()
		return
	}
	by := after(c.peer.listener.HeadTimeout)
	if c.readBy == 0 || by < c.readBy {
		c.readBy = by
	}
	c.retime()
}

// headersComing reports whether some of a HEADERS frame is here.
func (c *conn2) headersComing() bool {
	p := c.in.Bytes()
	return len(p) >= h2.HeaderLen && h2.ParseHeader(p).Type == h2.Headers
}
