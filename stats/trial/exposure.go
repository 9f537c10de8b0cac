package trial

import "sync/atomic"

// The candidate's share of exposure is that of the requests, by sessions at risk,
// of the trailing 10 s: s = (N_c + 50w)/(N + 50), w being its share of the
// weights. A request counts when it begins, so that one that hangs is no less
// exposed, and not for an event of its own, so that s is known before it.

const (
	trailing = 10 // seconds, besides the one under way
	prior    = 50 // requests that the weights count for
	// ringSlots is one more than are summed up, so that a writer a moment ahead of
	// the reader takes nothing away.
	ringSlots = trailing + 2
)

// ring counts by the second. It needs no timer: who counts first in a new second
// takes over the oldest slot.
type ring [ringSlots]atomic.Uint64 // the second above 32 bits, its count below

func (r *ring) add(now int64) {
	second := secondOf(now)
	slot := &r[second%ringSlots]
	for {
		old := slot.Load()
		if old>>32 == second {
			slot.Add(1) // if it is taken over meanwhile, one request counts too late
			return
		}
		if slot.CompareAndSwap(old, second<<32|1) {
			return
		}
	}
}

// sum returns what was counted in the second of now and the 10 before.
func (r *ring) sum(now int64) (n int64) {
	second := uint32(secondOf(now))
	for i := range r {
		slot := r[i].Load()
		// In unsigned arithmetic a second ahead of now is far in the past.
		if age := second + 1 - uint32(slot>>32); age <= trailing+1 {
			n += int64(slot & (1<<32 - 1))
		}
	}
	return n
}

func secondOf(now int64) uint64 { return uint64(uint32(now / 1e9)) }

// exposure is the requests of the cohort since the weights last changed.
type exposure struct {
	share  float64 // the candidate's, of the weights
	began  int64   // Unix ns
	shards []exposureShard
}

// exposureShard holds, by arm, all requests and those of sessions that are not at
// risk any more. Most requests touch the first alone.
type exposureShard struct {
	all  [2]ring
	left [2][metrics]ring
	_    [64]byte // keeps shards on cache lines of their own
}

func newExposure(share float64, now int64, shards int) *exposure {
	return &exposure{share: share, began: now, shards: make([]exposureShard, shards)}
}

// add counts a request that begins, by a session that has left some risk sets.
func (e *exposure) add(shard uint32, arm int, left flags, now int64) {
	s := &e.shards[int(shard)&(len(e.shards)-1)]
	s.all[arm].add(now)
	if left&^seen == 0 {
		return
	}
	for m := range metrics {
		if left&flagOf(Metric(m)) != 0 {
			s.left[arm][m].add(now)
		}
	}
}

// at returns the candidate's share at a moment, for an event of a request that
// began in an arm at a moment; 0: that is not counted yet.
func (e *exposure) at(m Metric, now int64, arm int, began int64) float64 {
	var n [2]int64
	for i := range e.shards {
		s := &e.shards[i]
		for a := range n {
			n[a] += s.all[a].sum(now) - s.left[a][m].sum(now)
		}
	}
	if began >= e.began && secondOf(now)-secondOf(began) <= trailing {
		n[arm]--
	}
	n[0], n[1] = max(n[0], 0), max(n[1], 0)
	return (float64(n[candidate]) + prior*e.share) / (float64(n[0]+n[1]) + prior)
}
