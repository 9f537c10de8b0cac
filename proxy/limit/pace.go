// Package limit counts what clients do against what they may: how often they
// ask (Rate, Clients) and how many connections they hold (Holders). It knows
// neither sockets nor a clock: the moment is an argument.
package limit

import (
	"math"
	"sync/atomic"
	"time"
)

// Rate is how often something may happen. The zero value forbids nothing.
type Rate struct {
	PerSecond float64 // in the long run; 0: no limit
	Burst     int     // at once after a rest; 0: as many as PerSecond, at least 1
}

// pace is a Rate in nanoseconds, for the generic cell rate algorithm (ITU-T
// I.371): each event moves a bucket's own clock on by step, and may happen
// while that clock is not more than depth ahead of the real one.
type pace struct{ step, depth int64 }

// pace returns the rate in nanoseconds.
func (r Rate) pace() pace {
	burst := float64(r.Burst)
	if r.Burst == 0 {
		burst = math.Max(1, math.Ceil(r.PerSecond))
	}
	step := math.Min(math.Max(1, float64(time.Second)/r.PerSecond), longest)
	return pace{step: int64(step), depth: int64(math.Min(step*burst, longest))}
}

// longest bounds step and depth: clocks stay far from an overflow.
const longest = float64(365 * 24 * time.Hour)

// next returns the bucket's clock after an event at now, and how long the event
// has to wait: 0 if it may happen, else the clock stays.
func (p pace) next(clock, now int64) (after, wait int64) {
	after = max(clock, now) + p.step
	if wait = after - p.depth - now; wait > 0 {
		return clock, wait
	}
	return after, 0
}

// Bucket holds one stream of events to a rate. It is one word, and safe for
// concurrent use.
type Bucket struct {
	pace  pace
	clock atomic.Int64
}

// NewBucket returns a bucket for a rate, nil if it is the zero rate.
func NewBucket(r Rate) *Bucket {
	if r.PerSecond <= 0 {
		return nil
	}
	return &Bucket{pace: r.pace()}
}

// Take reports how long an event at now, in nanoseconds, has to wait; 0: it may
// happen, and was counted. A nil bucket lets everything pass.
func (b *Bucket) Take(now int64) time.Duration {
	if b == nil {
		return 0
	}
	for {
		clock := b.clock.Load()
		after, wait := b.pace.next(clock, now)
		if wait > 0 {
			return time.Duration(wait)
		}
		if b.clock.CompareAndSwap(clock, after) {
			return 0
		}
	}
}
