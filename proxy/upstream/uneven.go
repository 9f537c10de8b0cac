package upstream

import (
	"math"
	"time"
)

// uneven is how the usable endpoints differ in their part of the requests. A
// view whose endpoints are all alike has none, and needs no look at the clock.
type uneven struct {
	endpoints []*Endpoint
	weights   []float64 // above 0, relative to each other
	warmFrom  []time.Time
	slowStart time.Duration
	warmUntil time.Time // when the last of them has its full part; zero: all have
}

// leastWarm is the part of its share with which an endpoint begins to warm up.
const leastWarm = 0.1

// newUneven compares endpoints; nil if they are alike. The caller holds the
// cluster's mu.
func newUneven(usable []*Endpoint, slowStart time.Duration, now time.Time) *uneven {
	u := &uneven{endpoints: usable, slowStart: slowStart}
	alike := true
	for _, e := range usable {
		u.weights = append(u.weights, e.weight)
		u.warmFrom = append(u.warmFrom, e.warmFrom)
		alike = alike && e.weight == usable[0].weight
		if end := e.warmFrom.Add(slowStart); !e.warmFrom.IsZero() && end.After(now) && end.After(u.warmUntil) {
			u.warmUntil = end
		}
	}
	if alike && u.warmUntil.IsZero() {
		return nil
	}
	return u
}

// endSlowStart publishes a view that needs no look at the clock any more, once
// the last endpoint has its full part.
func (c *Cluster) endSlowStart(v *view) {
	if u := v.uneven; u == nil || u.warmUntil.IsZero() || c.now().Before(u.warmUntil) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh()
}

// share returns the weight of an endpoint, less what it lacks in warmth: its
// part rises from a tenth to the whole, linearly over the slow start.
func (u *uneven) share(i int, now time.Time) float64 {
	w := u.weights[i]
	if u.warmUntil.IsZero() || u.warmFrom[i].IsZero() {
		return w
	}
	age := now.Sub(u.warmFrom[i])
	if age >= u.slowStart {
		return w
	}
	return w * max(leastWarm, leastWarm+(1-leastWarm)*float64(age)/float64(u.slowStart))
}

// sum returns the shares of all but one, and the largest of them.
func (u *uneven) sum(now time.Time, avoid *Endpoint) (sum, largest float64) {
	for i, e := range u.endpoints {
		if e != avoid {
			s := u.share(i, now)
			sum += s
			largest = max(largest, s)
		}
	}
	return sum, largest
}

// chooseUneven is choose among endpoints that are not alike. It looks at all of
// them, which is worth it for as long as they differ.
func (c *Cluster) chooseUneven(v *view, opt *Acquire) *Endpoint {
	u := v.uneven
	var now time.Time
	if !u.warmUntil.IsZero() {
		now = c.now()
	}
	sum, largest := u.sum(now, opt.Avoid)
	switch {
	case v.cfg.Balance == Hash && opt.HasKey:
		return u.byKey(opt, now, sum, c.busy.Load())
	case v.cfg.Balance == RoundRobin:
		return c.nextInUnevenTurn(u, opt.Avoid, now, largest)
	}
	i := u.draw(unit(c.rand())*sum, now, opt.Avoid)
	j := u.draw(unit(c.rand())*sum, now, opt.Avoid)
	a, b := u.endpoints[i], u.endpoints[j]
	// Fewer requests for what it can bear.
	if float64(b.active.Load())*u.share(i, now) < float64(a.active.Load())*u.share(j, now) {
		return b
	}
	return a
}

// draw returns the index of the endpoint at a point of the line on which each
// takes as much room as its share.
func (u *uneven) draw(point float64, now time.Time, avoid *Endpoint) int {
	last := 0
	for i, e := range u.endpoints {
		if e == avoid {
			continue
		}
		last = i
		if point -= u.share(i, now); point < 0 {
			break
		}
	}
	return last
}

// nextInUnevenTurn is nextInTurn where an endpoint takes a turn only as often as
// its share is to the largest.
func (c *Cluster) nextInUnevenTurn(u *uneven, avoid *Endpoint, now time.Time, largest float64) *Endpoint {
	n := len(u.endpoints)
	start := c.turn.Add(1) - 1
	var last *Endpoint
	for k := range n {
		i := int((start + uint64(k)) % uint64(n))
		e := u.endpoints[i]
		if e == avoid {
			continue
		}
		last = e
		if unit(c.rand())*largest < u.share(i, now) {
			c.turn.Add(uint64(k)) // the turns passed over are used up
			return e
		}
	}
	return last
}

// byKey is byKey where an endpoint gets as many keys as its share says: weighted
// rendezvous hashing. A share that rises moves keys to its endpoint alone.
func (u *uneven) byKey(opt *Acquire, now time.Time, sum float64, busy int64) *Endpoint {
	var best, bestOfAll *Endpoint
	var top, topOfAll float64
	for i, e := range u.endpoints {
		if e == opt.Avoid {
			continue
		}
		s := u.share(i, now)
		score := s / -math.Log(unit(mix(opt.Key^e.hash)))
		if bestOfAll == nil || score > topOfAll {
			bestOfAll, topOfAll = e, score
		}
		if (best == nil || score > top) && e.active.Load() < bound(busy, s/sum) {
			best, top = e, score
		}
	}
	if best == nil {
		return bestOfAll
	}
	return best
}

// unit scales 64 random bits to a number above 0 and below 1.
func unit(r uint64) float64 { return (float64(r>>12) + 0.5) / (1 << 52) }
