package proxy

import (
	"time"

	"sluice/proxy/sock"
)

// patience is for how long a client is waited for in one direction of a
// request's bodies. What it counts is the time of waiting alone, so that a client
// does not pay for a slow endpoint. It is as fine as sock.Now. The zero value
// has waited for nothing yet; it serves one goroutine.
type patience struct {
	waited time.Duration
	moved  int64 // bytes
	began  int64 // of the wait under way
}

// rateGrace is how long a client is waited for before a rate is asked of it: a
// connection that begins, or loses a packet, stands still for seconds.
const rateGrace = 5 * time.Second

// begin starts a wait and returns how long it may last: until a byte moves
// (BodyTimeout), until the client was waited for long enough in all (total, 0:
// any time), and until the least rate is missed.
func (p *patience) begin(l *ListenerConfig, total time.Duration) time.Duration {
	p.began = sock.Now()
	left := l.BodyTimeout
	if total > 0 {
		left = min(left, total-p.waited)
	}
	if l.MinBodyRate > 0 {
		// Divided first: a long body must not overflow, and a second more or less
		// is nothing to it.
		earned := time.Duration(min(p.moved/l.MinBodyRate, int64(maxEarned/time.Second))) * time.Second
		left = min(left, rateGrace+earned-p.waited)
	}
	return max(left, 1) // 0 would be no limit; this ends at the next tick
}

// maxEarned bounds the waiting that a client earns by what it moved.
const maxEarned = 365 * 24 * time.Hour

// end ends the wait.
func (p *patience) end(moved int64) {
	p.waited += time.Duration(sock.Now() - p.began)
	p.moved += moved
}
