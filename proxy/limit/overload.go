package limit

import (
	"math"
	"sync/atomic"
	"time"
)

// Overload decides which share of the requests is admitted, by how long work
// that is ready waits for its turn.
//
// The measure is CoDel's (RFC 8289): not the delay itself, which any burst or
// busy neighbour raises for a moment, but the least delay of an interval. While
// that is above the target, there is a queue that never empties, and it pays to
// refuse. The share then falls in proportion to the excess, and below half of
// the target it grows again, so that it is back within a second.
type Overload struct {
	target   time.Duration
	began    int64         // of this interval
	samples  int           // in it
	least    time.Duration // of them
	admitted float64       // share of the requests, 0 to 1

	refuse atomic.Uint64 // a draw below it is refused; 0: none is
}

// The constants of Overload.
const (
	// Interval is how long a queue has to stand before anything is refused.
	Interval = 100 * time.Millisecond
	// leastSamples are needed to call it standing.
	leastSamples = 3
	// leastAdmitted keeps some requests coming: their delay tells when the
	// load has gone.
	leastAdmitted = 0.02
	// deepestCut is what an interval leaves of the share at least.
	deepestCut = 0.5
	// growth is by how much the share grows in an interval: from the least to 1
	// within 8 of them.
	growth, growthLeast = 1.6, 0.02
)

// NewOverload returns an Overload that admits everything until work waits for
// longer than target.
func NewOverload(target time.Duration) *Overload {
	return &Overload{target: target, admitted: 1}
}

// Refuses reports whether a request is to be refused; draw is asked for a random
// number only when some are. A nil Overload refuses none.
func (o *Overload) Refuses(draw func() uint64) bool {
	if o == nil {
		return false
	}
	below := o.refuse.Load()
	return below != 0 && draw() < below
}

// Refusing reports whether some requests are refused. A nil Overload refuses none.
func (o *Overload) Refusing() bool { return o != nil && o.refuse.Load() != 0 }

// Admitted returns the share of requests that is admitted, and the least delay
// in the interval so far. It, Calm and Observe are for one goroutine.
func (o *Overload) Admitted() (share float64, delay time.Duration) { return o.admitted, o.least }

// Calm reports whether everything is admitted and nothing is being watched, so
// that samples may be rare.
func (o *Overload) Calm() bool { return o.admitted == 1 && o.samples == 0 }

// Observe takes in that work, ready at a moment before now (in nanoseconds),
// waited for delay. It reports whether an interval ended, and with it the share
// may have changed.
func (o *Overload) Observe(now int64, delay time.Duration) bool {
	if o.Calm() && delay <= o.target {
		o.least = delay
		return false
	}
	if o.samples == 0 {
		o.began, o.least = now-int64(delay), delay
	}
	o.samples++
	o.least = min(o.least, delay)
	if o.samples < leastSamples || now-o.began < int64(Interval) {
		return false
	}
	o.samples = 0
	switch {
	case o.least > o.target:
		o.admitted *= max(float64(o.target)/float64(o.least), deepestCut)
		o.admitted = max(o.admitted, leastAdmitted)
	case o.least <= o.target/2:
		o.admitted = min(1, o.admitted*growth+growthLeast)
	}
	o.refuse.Store(uint64((1 - o.admitted) * math.MaxInt64 * 2))
	return true
}

// Reset admits everything again, as when there is too little load to speak of.
func (o *Overload) Reset() {
	o.admitted, o.samples, o.least = 1, 0, 0
	o.refuse.Store(0)
}
