package upstream

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/proxy/sock"
)

// Endpoint is one address that serves the version, with its pool.
type Endpoint struct {
	// Address is the endpoint as configured, or the address that its name was
	// found to have. Authority is host and port as an application knows them:
	// with the name, where one was looked up. Neither ever changes.
	Address, Authority string

	cluster          *Cluster
	network, address string // what to dial
	hash             uint64 // of Address, the same everywhere, for Hash

	active   atomic.Int64  // connections handed out or being dialled
	open     atomic.Int64  // connections open, idle ones included
	failures atomic.Uint64 // failed requests and dials since the start
	inARow   atomic.Int64  // failures since the last success

	keeps          // of requests
	copies   keeps // of copies of requests
	opened   opened
	insecure atomic.Bool // the newest TLS handshake failed, and the log knows

	// Guarded by cluster.mu.
	health   health
	lastErr  error // the newest check's; nil if it succeeded
	ejection ejection
	removed  bool
	source   string             // the name it was found by; "" for none
	tier     int                // those of the lowest that has usable ones are asked
	weight   float64            // its part beside the others, all else being equal; above 0
	warmFrom time.Time          // when its slow start began; zero: it had none
	stop     context.CancelFunc // ends the health checks; nil: none run
}

// usable reports whether requests may go to the endpoint. The caller holds
// cluster.mu.
func (e *Endpoint) usable() bool { return !e.health.down && !e.ejection.on }

// warmUp begins the slow start of an endpoint that has just come, or come back.
// The caller holds cluster.mu.
func (e *Endpoint) warmUp(now time.Time) { e.warmFrom = now }

// pool holds an endpoint's idle connections, the one used last on top, so that
// few are kept warm and the rest grow old at the bottom.
type pool struct {
	mu     sync.Mutex
	idle   []*Conn // by Conn.since, oldest first
	closed bool    // nothing may be put any more
}

// put adds a connection and reports whether there was room.
func (p *pool) put(c *Conn, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= most {
		return false
	}
	p.idle = append(p.idle, c)
	return true
}

// pop takes the connection used last of those with an origin; nil if there is
// none.
func (p *pool) pop(of Origin) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if c := p.idle[i]; c.origin == of {
			p.idle = slices.Delete(p.idle, i, i+1)
			return c
		}
	}
	return nil
}

// popBefore takes all connections that are idle since before a moment of
// sock.Now.
func (p *pool) popBefore(moment int64) []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && p.idle[n].since < moment {
		n++
	}
	if n == 0 {
		return nil
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	return old
}

// popAll takes all connections; last says that none may come back.
func (p *pool) popAll(last bool) []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.idle
	p.idle = nil
	p.closed = p.closed || last
	return all
}

func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// checkAfter is how long a connection may be idle and still be used without a
// look at its socket here; sock.Conn.Exchange looks at the one that it writes to
// anyway. One that has waited longer may well be dead, and dropping it here lets
// the next in the pool serve instead of a new one.
const checkAfter = int64(time.Second)

// takeIdle returns a pooled connection that is fit for use; nil if there is
// none.
func (e *Endpoint) takeIdle(v *view, opt *Acquire, of Origin) *Conn {
	for {
		c := e.keepsOf(opt.copy).pool.pop(of)
		if c == nil {
			return nil
		}
		idle := sock.Now() - c.since
		if c.way == v.way && idle <= int64(v.cfg.IdleTimeout) && ((!opt.Check && idle < checkAfter) || c.Quiet()) {
			c.Reused, c.busy = true, true
			return c
		}
		c.close()
	}
}

// dial opens a connection; left bounds the time further, unless it is 0.
func (e *Endpoint) dial(v *view, left time.Duration, from Origin) (*Conn, error) {
	ctx, cancel := context.WithTimeout(e.cluster.ctx, within(v.cfg.ConnectTimeout, left))
	defer cancel()
	opened, err := e.connect(ctx, v.way, from)
	if err != nil {
		return nil, err
	}
	e.open.Add(1)
	c := &Conn{Conn: opened, Endpoint: e, way: v.way, origin: from, busy: true}
	e.opened.add(c)
	return c, nil
}

// dropIdle closes the connections that nobody uses, and lets the others end with
// what they do; last says that none may come back.
func (e *Endpoint) dropIdle(last bool) {
	for _, k := range [...]*keeps{&e.keeps, &e.copies} {
		closeAll(k.pool.popAll(last))
		k.links.retireAll(last)
	}
}

// closeAll closes connections taken from the pool.
func closeAll(conns []*Conn) {
	for _, c := range conns {
		c.close()
	}
}
