package upstream

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrPendingTimeout is returned to a request that waited for PendingTimeout
	// and got no connection.
	ErrPendingTimeout = errors.New("no connection became free in time")
	// ErrLeft is returned to a request that left while it waited.
	ErrLeft = errors.New("the request left while it waited for a connection")
)

// pending are the requests that wait for one of the connections allowed to the
// version, in the order in which they came. The zero value is empty.
type pending struct {
	length atomic.Int32 // of waiters; a look at it costs no lock

	mu      sync.Mutex
	waiters list.List // of *waiter
}

// waiter is a request that waits.
type waiter struct {
	turn    chan struct{} // closed when it has a connection's place
	granted bool
}

// claim takes a place among the connections in use, until unclaim. It waits for
// one if the request wants that and there is room.
func (c *Cluster) claim(v *view, opt *Acquire) (waited bool, err error) {
	if v.cfg.MaxConnections == 0 {
		c.busy.Add(1)
		return false, nil
	}
	// Nobody overtakes those that wait.
	if c.pending.length.Load() == 0 && c.claimOne(v.cfg.MaxConnections) {
		return false, nil
	}
	if !opt.Wait || v.cfg.MaxPending == 0 {
		return false, ErrOverloaded
	}
	return true, c.wait(v, opt)
}

// claimOne takes a place if fewer than most are taken.
func (c *Cluster) claimOne(most int) bool {
	for {
		n := c.busy.Load()
		if n >= int64(most) {
			return false
		}
		if c.busy.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unclaim gives a place back.
func (c *Cluster) unclaim() {
	c.busy.Add(-1)
	// A request that begins to wait after this look tries for the place itself.
	if c.pending.length.Load() > 0 {
		c.pending.mu.Lock()
		c.grant()
		c.pending.mu.Unlock()
	}
}

// grant gives free places to those that wait. The caller holds pending.mu.
func (c *Cluster) grant() {
	p := &c.pending
	most := c.view.Load().cfg.MaxConnections
	for first := p.waiters.Front(); first != nil; first = p.waiters.Front() {
		if most == 0 {
			c.busy.Add(1)
		} else if !c.claimOne(most) {
			return
		}
		w := p.waiters.Remove(first).(*waiter)
		p.length.Store(int32(p.waiters.Len()))
		w.granted = true
		close(w.turn)
	}
}

// wait waits for a place: in the end the request has one, or an error.
func (c *Cluster) wait(v *view, opt *Acquire) error {
	p := &c.pending
	w := &waiter{turn: make(chan struct{})}
	p.mu.Lock()
	if p.waiters.Len() >= v.cfg.MaxPending {
		p.mu.Unlock()
		return ErrOverloaded
	}
	place := p.waiters.PushBack(w)
	p.length.Store(int32(p.waiters.Len()))
	c.grant() // for a place given back since claim looked
	p.mu.Unlock()

	timeout := time.NewTimer(within(v.cfg.PendingTimeout, opt.Within))
	defer timeout.Stop()
	var err error
	select {
	case <-w.turn:
		return nil
	case <-timeout.C:
		err = ErrPendingTimeout
	case <-opt.Left:
		err = ErrLeft
	case <-c.ctx.Done():
		err = ErrNoEndpoint
	}
	p.mu.Lock()
	if !w.granted {
		p.waiters.Remove(place)
		p.length.Store(int32(p.waiters.Len()))
		p.mu.Unlock()
		return err
	}
	p.mu.Unlock()
	if err == ErrPendingTimeout {
		return nil // it came at the last moment
	}
	c.unclaim()
	return err
}

// within returns the lesser of a limit and what is left; 0 left is no limit.
func within(limit, left time.Duration) time.Duration {
	if left > 0 {
		return min(limit, left)
	}
	return limit
}

// LetsWait reports whether requests may wait for a connection at all.
func (c *Cluster) LetsWait() bool { return c.view.Load().cfg.MaxPending > 0 }

// Pending returns how many requests wait for a connection.
func (c *Cluster) Pending() int { return int(c.pending.length.Load()) }
