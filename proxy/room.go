package proxy

import (
	"cmp"
	"errors"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"sluice/proxy/sock"
)

// A listener that has all the connections it may have stops accepting: what
// comes then waits in the kernel's queue, where it costs no descriptor, until
// there is room. Idle connections make room, those first that were idle longest.
// One that has just come is no idle one: its first request is on its way, which
// its client would not send again. Who comes after it waits for it, for firstGrace
// at the most, since a client that never asks must not hold a place.

// reservedDescriptors are those that clients' connections leave to files,
// listeners, checks and the administration API.
const reservedDescriptors = 128

// leastConnections are allowed however few descriptors there are.
const leastConnections = 16

// defaultConnections is how many connections clients may have in all, by the
// limit of descriptors: each may need one to an endpoint. Listeners that are
// told their number may have more, up to atAll: who says so knows how many of
// them will ask at once.
func defaultConnections() (usual, atAll int64) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return leastConnections, leastConnections
	}
	left := int64(min(uint64(limit.Cur), 1<<30)) - reservedDescriptors
	return max(left/2, leastConnections), max(left, leastConnections)
}

// Times of waiting for room.
const (
	roomPoll  = 50 * time.Millisecond // between two looks, where no end of a connection comes first
	complaint = 10 * time.Second      // between two lines in the log
	// firstGrace is how long a new connection may take for its first request before
	// it counts as idle: some round trips.
	firstGrace = 200 * time.Millisecond
)

// full reports whether there is no room for another connection.
func (l *listener) full() bool {
	most := int64(l.config.Load().Connections)
	return most > 0 && l.open.Load() >= most || l.srv.clients.Load() >= l.mostOfAll()
}

// mostOfAll is how many connections all listeners may have while this one
// accepts.
func (l *listener) mostOfAll() int64 {
	if l.config.Load().Connections > 0 {
		return l.srv.mostAtAll
	}
	return l.srv.mostOpen
}

// awaitRoom waits until there is room for another connection, or the listener
// closes.
func (l *listener) awaitRoom() {
	if !l.full() || l.closing.Load() {
		return
	}
	l.pause("limit", zap.Int64("connections", l.open.Load()), zap.Int64("of_all_listeners", l.srv.clients.Load()))
	poll := time.NewTicker(roomPoll)
	defer poll.Stop()
	l.makeRoom(sparing)
	for l.full() && !l.closing.Load() {
		select {
		case <-l.freed:
		case <-poll.C:
			l.makeRoom(sparing)
		}
	}
}

// pause tells that no connection is accepted for now, and why: in the metrics
// each time, in the log once in a while.
func (l *listener) pause(reason string, details ...zap.Field) {
	l.srv.stats.AcceptPaused(reason)
	if now := time.Now(); now.Sub(l.complained) >= complaint {
		l.complained = now
		l.srv.log.Warn("new connections wait: "+pauses[reason], append(details,
			zap.String("listener", l.config.Load().Name))...)
	}
}

// pauses say what is short.
var pauses = map[string]string{
	"limit":       "there are as many as limits.connections, or the limit of file descriptors, allow",
	"descriptors": "the process is out of file descriptors; raise their limit (ulimit -n), or lower limits.connections",
	"error":       "accepting failed",
}

// pauseReason names the failure of an accept.
func pauseReason(err error) string {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return "descriptors"
	}
	return "error"
}

// evictable is a client's connection that can be closed while it is idle.
type evictable interface {
	clientConn
	// idleSince returns since when, by sock.Now, whether it waits for its first
	// request, which its client would not send again, and false if it isn't idle.
	idleSince() (since int64, first, idle bool)
	// evict ends it if it is still idle. It does not wait, and is called under
	// Server.mu.
	evict() bool
}

// mercy is whether connections that have just come are spared.
type mercy bool

const (
	sparing mercy = true
	// severe is for a want of descriptors, by which requests under way fail: where
	// nothing else is idle, one that has just come goes at once.
	severe mercy = false
)

// makeRoom closes some of the listener's connections that were idle longest: not
// one alone, since finding it costs a look at all.
func (l *listener) makeRoom(m mercy) {
	n := l.srv.closeIdle(func(c clientConn) bool { return c.listener() == l }, 1+int(l.open.Load()/32), m)
	if n == 0 && l.srv.clients.Load() >= l.mostOfAll() {
		l.srv.closeIdle(func(clientConn) bool { return true }, 1+int(l.srv.clients.Load()/32), m)
	}
}

// closeIdle closes up to most idle connections among those wanted, and returns
// how many.
func (s *Server) closeIdle(wanted func(clientConn) bool, most int, m mercy) int {
	type idle struct {
		c     evictable
		since int64
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all, fresh []idle
	for c := range s.conns {
		e, ok := c.(evictable)
		if !ok || !wanted(c) {
			continue
		}
		switch since, first, ok := e.idleSince(); {
		case !ok:
		case first && sock.Now()-since < int64(s.firstGrace):
			fresh = append(fresh, idle{e, since})
		default:
			all = append(all, idle{e, since})
		}
	}
	if len(all) == 0 && m == severe {
		all, most = fresh, 1
	}
	slices.SortFunc(all, func(a, b idle) int { return cmp.Compare(a.since, b.since) })
	closed := 0
	for _, i := range all[:min(most, len(all))] {
		if i.c.evict() {
			closed++
		}
	}
	s.stats.IdleClosed(closed)
	return closed
}

// entered and left count the connections that are open.
func (l *listener) entered() {
	l.open.Add(1)
	l.srv.clients.Add(1)
}

func (l *listener) left() {
	l.open.Add(-1)
	l.srv.clients.Add(-1)
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// idleSince implements evictable.
func (c *conn1) idleSince() (since int64, first, idle bool) {
	return c.idleAt.Load(), !c.asked.Load(), c.state.idle() && !c.peer.synthetic
}

// evict implements evictable.
func (c *conn1) evict() bool {
	c.evicted.Store(true) // before the connection can wake
	if !c.state.stopIdle() {
		return false
	}
	c.sock.StopReading()
	return true
}
