package sock

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Deadlines are kept by a sweeper, not by the runtime's timers: a timer per
// request would be changed several times a request, which costs more than
// reading the request. Setting one is an atomic store here; one goroutine looks
// at all connections when the soonest deadline among them has come.

// Tick is how fine timeouts are.
const Tick = 50 * time.Millisecond

// expired in Conn.deadline marks a connection that the sweeper has ended.
const expired = -1

// shards spreads connections so that accepting many at once does not serialise.
const shards = 16

// shard holds some of the watched connections.
type shard struct {
	mu    sync.Mutex
	conns []*Conn
	// next is the soonest deadline, or earlier: no connection of the shard
	// expires before it, so a sweep that comes sooner need not look.
	next atomic.Int64
	_    [64]byte // keeps shards on cache lines of their own
}

// sweeper is the one state of the package: the watched connections of this
// process and the coarse clock.
var sweeper struct {
	shards  [shards]shard
	turn    atomic.Uint32
	now     atomic.Int64
	watched atomic.Int64
	mu      sync.Mutex
	running atomic.Bool // changed under mu
}

var start = time.Now()

func init() {
	for i := range sweeper.shards {
		sweeper.shards[i].next.Store(math.MaxInt64)
	}
}

// Now returns the nanoseconds since the process began, as of the last tick.
// While connections are open it is at most about one Tick behind.
func Now() int64 { return sweeper.now.Load() }

func watch(c *Conn) {
	c.shard = &sweeper.shards[sweeper.turn.Add(1)%shards]
	c.shard.mu.Lock()
	c.index = len(c.shard.conns)
	c.shard.conns = append(c.shard.conns, c)
	c.shard.mu.Unlock()
	// Whoever finds the sweeper running finds the clock right, too: a
	// connection must not take its deadline from a clock that stood still.
	sweeper.watched.Add(1)
	if !sweeper.running.Load() {
		startSweeper()
	}
}

func unwatch(c *Conn) {
	s := c.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.index < 0 {
		return // closed before
	}
	last := len(s.conns) - 1
	s.conns[c.index] = s.conns[last]
	s.conns[c.index].index = c.index
	s.conns[last] = nil
	s.conns = s.conns[:last]
	c.index = -1
	sweeper.watched.Add(-1)
}

// soonest tells the shard of a deadline.
func (s *shard) soonest(at int64) {
	for {
		next := s.next.Load()
		if at >= next || s.next.CompareAndSwap(next, at) {
			return
		}
	}
}

// startSweeper begins sweeping unless it is under way. The sweeper ends when
// the last connection is gone, so that a process (and a test) without
// connections has no goroutine of ours.
func startSweeper() {
	sweeper.mu.Lock()
	defer sweeper.mu.Unlock()
	if sweeper.running.Load() {
		return
	}
	sweeper.now.Store(int64(time.Since(start)))
	sweeper.running.Store(true)
	go sweepAll()
}

// sweepAll sweeps at every tick until no connection is left.
func sweepAll() {
	ticker := time.NewTicker(Tick)
	defer ticker.Stop()
	for ticks := 1; ; ticks++ {
		<-ticker.C
		now := int64(time.Since(start))
		sweeper.now.Store(now)
		for i := range sweeper.shards {
			sweeper.shards[i].sweep(now)
			if (ticks+i)%rescueTicks == 0 { // a shard each time, lest many begin to rest at once
				sweeper.shards[i].rescue()
			}
		}
		if sweeper.watched.Load() == 0 && stopSweeper() {
			return
		}
	}
}

// stopSweeper reports whether the sweeper may end. A new connection counts
// itself before it looks whether the sweeper runs, and here running is taken
// back before the second look at the count: one of the two sees the other.
func stopSweeper() bool {
	sweeper.mu.Lock()
	defer sweeper.mu.Unlock()
	sweeper.running.Store(false)
	if sweeper.watched.Load() != 0 {
		sweeper.running.Store(true)
		return false
	}
	resting.end()
	return true
}

// sweep ends the connections whose deadline has passed.
func (s *shard) sweep(now int64) {
	if s.next.Load() > now {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// From here on SetTimeout lowers next again if it must; the pass below
	// finds every deadline that was set before.
	s.next.Store(math.MaxInt64)
	next := int64(math.MaxInt64)
	for _, c := range s.conns {
		at := c.deadline.Load()
		switch {
		case at <= 0:
		case at > now:
			next = min(next, at)
		case c.deadline.CompareAndSwap(at, expired):
			c.nc.SetDeadline(longAgo)
			c.wake()
		default:
			next = now // renewed just now: look again at the next tick
		}
	}
	s.soonest(next)
}
