package upstream

import "fmt"

// Balance is how the usable endpoints share the requests. "" is LeastRequest.
type Balance string

// The ways to balance.
const (
	// LeastRequest takes the one of two random endpoints that has fewer
	// requests under way.
	LeastRequest Balance = "least_request"
	// RoundRobin takes each endpoint in turn.
	RoundRobin Balance = "round_robin"
	// Hash takes the same endpoint for the same key while the endpoints stand
	// and it has not much more to do than the others. Requests without a key
	// go by LeastRequest.
	Hash Balance = "hash"
)

// check reports a way to balance that is none.
func (b Balance) check() error {
	switch b {
	case "", LeastRequest, RoundRobin, Hash:
		return nil
	}
	return fmt.Errorf("balance %q is none of least_request, round_robin, hash", string(b))
}

// choose returns the endpoint that a request goes to, another than the one to
// avoid if there is one. There is at least one.
func (c *Cluster) choose(v *view, opt *Acquire) *Endpoint {
	if len(v.usable) == 1 {
		return v.usable[0]
	}
	if v.uneven != nil {
		return c.chooseUneven(v, opt)
	}
	switch {
	case v.cfg.Balance == Hash && opt.HasKey:
		return byKey(v.usable, opt, c.busy.Load())
	case v.cfg.Balance == RoundRobin:
		return c.nextInTurn(v.usable, opt.Avoid)
	}
	return c.leastOfTwo(v.usable, opt.Avoid)
}

// leastOfTwo returns the one of two random endpoints that has fewer requests:
// as good as the least loaded of all, without looking at all, and without
// everyone running to the same one.
func (c *Cluster) leastOfTwo(usable []*Endpoint, avoid *Endpoint) *Endpoint {
	n := uint64(len(usable))
	// One draw gives both: each half scaled to a range (a multiplication, no
	// division), the second over the places that the first leaves.
	r := c.rand()
	i := (r >> 32) * n >> 32
	j := (r & 0xffffffff) * (n - 1) >> 32
	if j >= i {
		j++
	}
	a, b := usable[i], usable[j]
	switch {
	case a == avoid:
		return b
	case b == avoid:
		return a
	case b.active.Load() < a.active.Load():
		return b
	}
	return a
}

// nextInTurn returns the endpoints one after the other. The turn of the one to
// avoid goes to the next.
func (c *Cluster) nextInTurn(usable []*Endpoint, avoid *Endpoint) *Endpoint {
	n := uint64(len(usable))
	e := usable[(c.turn.Add(1)-1)%n]
	if e == avoid {
		e = usable[(c.turn.Add(1)-1)%n]
	}
	if e == avoid { // others took the turns in between
		e = usable[0]
		if e == avoid {
			e = usable[1]
		}
	}
	return e
}

// byKey returns the endpoint of a key: the one with the highest hash of key and
// endpoint (rendezvous hashing), so that of n endpoints the loss of one moves
// its own keys alone, to all others alike. One that is full is passed over, for
// a popular key must not drown its endpoint: no endpoint holds more than its
// part of the busy requests and a quarter more (Mirrokni, Thorup, Zadimoghaddam:
// Consistent Hashing with Bounded Loads, 2016).
func byKey(usable []*Endpoint, opt *Acquire, busy int64) *Endpoint {
	full := bound(busy, 1/float64(len(usable)))
	var best, bestOfAll *Endpoint
	var top, topOfAll uint64
	for _, e := range usable {
		if e == opt.Avoid {
			continue
		}
		h := mix(opt.Key ^ e.hash)
		if bestOfAll == nil || h > topOfAll {
			bestOfAll, topOfAll = e, h
		}
		if (best == nil || h > top) && e.active.Load() < full {
			best, top = e, h
		}
	}
	if best == nil { // counts that change under our eyes can make all look full
		return bestOfAll
	}
	return best
}

// loadFactor is how much more than its part an endpoint may have to do before
// its keys go elsewhere.
const loadFactor = 1.25

// bound returns how many requests an endpoint may have whose part of all busy
// ones, the newest included, is share.
func bound(busy int64, share float64) int64 {
	most := loadFactor * float64(busy) * share
	whole := int64(most)
	if float64(whole) < most {
		whole++
	}
	return max(1, whole)
}

// mix spreads a number over all 64 bits, so that each bit of it counts: the
// finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
