package main

import (
	"math"
	"math/rand/v2"
)

// service is what traffic is made for.
type service struct {
	sessions float64 // that begin each second, on the mean of a day
	pace     float64 // requests a second of a session that goes on
	life     float64 // of a session, in seconds on the mean
	bad      float64 // share of bad requests on the baseline
	// together is how bad requests fall: 0 makes each request bad by itself; above, only
	// some sessions have bad requests, and this share of theirs is bad.
	together float64
	phase    float64 // of the day at the beginning, in days
	incident span    // when something behind both versions is broken
	spread   float64 // of latencies: standard deviation in buckets of 2^(1/16)
}

// span is from a second until another.
type span struct{ from, until int }

func (s span) holds(second int) bool { return second >= s.from && second < s.until }

// incidentFactor is how much more often requests are bad in an incident.
const incidentFactor = 20

// candidate is how a candidate differs from the baseline.
type candidate struct {
	ratio  float64 // of bad requests
	since  int     // the second from which on that holds; before, it is as good as the baseline
	slower float64 // ratio of latencies; 0: 1
}

func (c candidate) ratioAt(second int) float64 {
	if second < c.since {
		return 1
	}
	return c.ratio
}

const (
	ofBaseline = iota
	ofCandidate
	versions
)

// tick is what one second brings, by version.
type tick struct {
	begun    [versions]float64 // sessions
	requests [versions]float64
	bad      [versions]float64 // requests
	// Of sessions that began since the last change of weight alone: how many had their
	// first bad request, and the requests of those without one so far.
	first   [versions]float64
	exposed [versions]float64
	// The same of sessions from before it.
	firstOld   [versions]float64
	exposedOld [versions]float64
}

// crowd is the sessions of a version that go on. Those that are prone have all
// the bad requests where these fall together; else all are prone.
type crowd struct {
	calm, prone, spoiled float64 // not prone; prone, without and with a bad request so far
}

func (c *crowd) join(o crowd) {
	c.calm += o.calm
	c.prone += o.prone
	c.spoiled += o.spoiled
}

// traffic plays a service's sessions. It counts whole crowds instead of sessions, so
// that an hour of any traffic takes milliseconds: what arrives, asks and leaves
// within a second is drawn from Poisson distributions, which is what independent
// sessions of exponential length do.
type traffic struct {
	service
	candidate
	r      *rand.Rand
	young  [versions]crowd // since the last change of weight
	old    [versions]crowd // before
	share  float64
	seed   uint64
	second int
}

func newTraffic(s service, c candidate, seed uint64) *traffic {
	return &traffic{service: s, candidate: c, seed: seed, r: rand.New(rand.NewPCG(seed, 0x5eed))}
}

// badAt returns the share of bad requests on the baseline at a second: more by day,
// when the service is busy, and much more in an incident.
func (t *traffic) badAt(second int) float64 {
	p := t.service.bad * (1 + 0.3*t.daylight(second))
	if t.incident.holds(second) {
		p *= incidentFactor
	}
	return min(p, 0.3)
}

// daylight goes from -1 at night to 1 by day.
func (t *traffic) daylight(second int) float64 {
	return math.Sin(2 * math.Pi * (t.phase + float64(second)/86400))
}

// next plays a second while the candidate has a share of new sessions.
func (t *traffic) next(share float64) tick {
	if share != t.share {
		for v := range versions {
			t.old[v].join(t.young[v])
		}
		t.share, t.young = share, [versions]crowd{}
	}
	var k tick
	arrive := t.sessions * (1 + 0.6*t.daylight(t.second))
	p := t.badAt(t.second)
	for v, part := range [versions]float64{1 - share, share} {
		q := p
		if v == ofCandidate {
			q = min(p*t.ratioAt(t.second), 0.9)
		}
		k.begun[v] = t.arrive(&t.young[v], arrive*part, q)
		k.first[v], k.exposed[v] = t.play(&k, v, &t.young[v], q)
		k.firstOld[v], k.exposedOld[v] = t.play(&k, v, &t.old[v], q)
	}
	t.second++
	return k
}

// arrive lets sessions begin and returns how many.
func (t *traffic) arrive(c *crowd, mean, p float64) float64 {
	begun := t.poisson(mean)
	prone := begun
	if t.together > 0 {
		prone = min(begun, t.poisson(mean*min(p/t.together, 1)))
	}
	c.prone += prone
	c.calm += begun - prone
	return begun
}

// play plays a second of a crowd. It returns how many sessions had their first bad
// request, and the requests of those that had none before.
func (t *traffic) play(k *tick, v int, c *crowd, p float64) (first, exposed float64) {
	if t.together > 0 {
		p = t.together
	}
	good, bad := t.poisson(c.prone*t.pace*(1-p)), t.poisson(c.prone*t.pace*p)
	calm := t.poisson(c.calm * t.pace)
	again, fine := t.poisson(c.spoiled*t.pace*p), t.poisson(c.spoiled*t.pace*(1-p))
	first = min(bad, c.prone)
	k.bad[v] += bad + again
	k.requests[v] += good + calm + bad + again + fine
	c.prone -= first
	c.spoiled += first
	for _, n := range []*float64{&c.calm, &c.prone, &c.spoiled} {
		*n -= min(*n, t.poisson(*n/t.life))
	}
	return first, good + calm + first
}

// poisson draws from a Poisson distribution, from its normal neighbour where the
// mean is so great that the difference can't be seen.
func (t *traffic) poisson(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean > 30 {
		return max(0, math.Round(mean+math.Sqrt(mean)*t.r.NormFloat64()))
	}
	n, product := 0.0, t.r.Float64()
	for limit := math.Exp(-mean); product > limit; product *= t.r.Float64() {
		n++
	}
	return n
}

// population draws a service: 12 to 300 sessions a second, of which each has four
// requests on the mean, or twenty where bad ones fall together; one bad request in a
// thousand to one in sixty; any time of the day.
func population(seed uint64, together float64) service {
	r := rand.New(rand.NewPCG(seed, 0xca5e))
	between := func(lo, hi float64) float64 { return lo * math.Pow(hi/lo, r.Float64()) }
	s := service{
		sessions: between(12, 300), pace: 0.2, life: 20, bad: between(0.001, 0.016),
		together: together, phase: r.Float64(), spread: 8 + 8*r.Float64(),
	}
	if together > 0 {
		s.life = 100
	}
	return s
}

// latencies draws the buckets of n first latencies. Both versions share whatever
// slows the service down at that second. The source is the observer's own, so that
// the traffic does not depend on who observes it.
func (t *traffic) latencies(r *rand.Rand, h []float64, v int, n float64) {
	middle := 220 + 6*t.daylight(t.second*7) + 3*math.Sin(float64(t.second)/97)
	if v == ofCandidate && t.slower > 0 {
		middle += 16 * math.Log2(t.slower)
	}
	for range int(n) {
		b := int(middle + t.spread*r.NormFloat64())
		if r.Float64() < 0.01 {
			b += 60 // a tail
		}
		h[max(0, min(b, len(h)-1))]++
	}
}
