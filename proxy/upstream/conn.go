package upstream

import (
	"sluice/proxy/buffer"
	"sluice/proxy/sock"
)

// Conn is a connection to an endpoint, of one user from Acquire to Release.
// End its use by Release, never by Close alone.
type Conn struct {
	*sock.Conn
	// Endpoint is where the connection leads.
	Endpoint *Endpoint
	// Reused is set if it came from the pool: the endpoint may have closed it.
	Reused bool
	// In holds what was read from the connection. It owns no memory while the
	// connection is idle.
	In buffer.Buffer

	way    *way    // that it was opened in
	origin Origin  // whom it serves, where the endpoint was told
	stream *stream // over HTTP/2; nil over HTTP/1.1
	since  int64   // sock.Now() when it became idle
	busy   bool    // between Acquire and Release
	copy   bool    // it serves copies of requests alone
}

// Outcome is what a request found out about its connection and endpoint. The
// values may be joined: BadStatus|Reusable.
type Outcome uint8

// The outcomes. Without Reusable the connection is closed.
const (
	// Done is a request that went well.
	Done Outcome = 0
	// Reusable says that the answer was read to its end and neither side asked
	// for the connection to be closed. It has no effect beside Failed and
	// Unknown.
	Reusable Outcome = 1 << (iota - 1)
	// Failed is a failure of the transport: reset, cut off, timed out, or not
	// HTTP. It counts towards ejection.
	Failed
	// BadStatus is an answer that says that the endpoint cannot serve (502,
	// 503, 504). It counts towards ejection.
	BadStatus
	// Unknown says nothing about the endpoint: the client went away, or a
	// pooled connection turned out to have been closed before the answer's
	// first byte.
	Unknown
	// Uncounted, beside any other, lets it count for nothing: the request was no
	// customer's.
	Uncounted
)

// Release ends the use of the connection, which goes back to the pool or is
// closed. The caller must not touch it, or what In held, afterwards. A second
// Release does nothing.
func (c *Conn) Release(o Outcome) {
	if !c.busy {
		return
	}
	c.busy = false
	if c.copy {
		c.releaseCopy(o)
		return
	}
	e := c.Endpoint
	switch {
	case o&(Unknown|Uncounted) != 0:
	case o&(Failed|BadStatus) != 0:
		e.cluster.failed(e)
	case e.inARow.Load() != 0:
		e.inARow.Store(0)
	}
	if c.stream != nil || o&Reusable == 0 || o&(Failed|Unknown) != 0 || !c.park() {
		c.close()
	}
	e.active.Add(-1)
	e.cluster.unclaim()
}

// park puts the connection into the pool and reports whether it could. Bytes that wait
// in it answer nothing that was asked: whoever came next would take them for
// an answer.
func (c *Conn) park() bool {
	if c.In.Len() > 0 || !c.Spent() {
		return false
	}
	c.In.Free()
	c.SetTimeout(0)
	v := c.Endpoint.cluster.view.Load()
	if c.TimedOut() || c.way != v.way {
		return false
	}
	c.since = sock.Now()
	return c.Endpoint.keepsOf(c.copy).pool.put(c, v.cfg.MaxIdlePerEndpoint)
}

// close ends a connection that no one uses.
func (c *Conn) close() {
	c.In.Free()
	c.Endpoint.opened.remove(c)
	c.Conn.Close()
	if c.stream == nil {
		c.Endpoint.open.Add(-1)
	}
}
