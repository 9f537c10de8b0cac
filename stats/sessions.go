package stats

import "sync/atomic"

// windowSlices is into how many slices the window of live sessions is cut. A
// session is live from its last request for four to five fifths of the window.
const windowSlices = 5

// sessions estimates how many distinct sessions were seen in a trailing
// window: a ring of sketches, one for each slice of time.
type sessions struct {
	ring [windowSlices]atomic.Pointer[slice]
}

// slice is the sessions seen in one slice of the window.
type slice struct {
	period int64 // number of the slice since 1970
	seen   sketch
}

// add takes in a session's hash in a period. The first of a period allocates
// its sketch, everyone else only looks it up.
func (s *sessions) add(hash uint64, period int64) {
	place := &s.ring[uint64(period)%windowSlices]
	current := place.Load()
	for current == nil || current.period != period {
		fresh := &slice{period: period}
		if place.CompareAndSwap(current, fresh) {
			current = fresh
			break
		}
		current = place.Load()
	}
	current.seen.add(hash)
}

// live merges into u what was seen in the window that ends with period.
func (s *sessions) live(u *union, period int64) {
	for i := range s.ring {
		// A slice one ahead comes from a writer whose clock is fresher.
		if sl := s.ring[i].Load(); sl != nil && sl.period > period-windowSlices && sl.period <= period+1 {
			u.merge(&sl.seen)
		}
	}
}

// mix spreads a session id over 64 bits (the finalizer of SplitMix64, Steele
// et al. 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
