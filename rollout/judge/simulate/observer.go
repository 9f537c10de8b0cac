package main

import (
	"math/rand/v2"

	"sluice/rollout/judge"
)

const (
	// window is how many seconds of exposure make up the candidate's share.
	window = 10
	// prior is how many requests the weight counts as in that share.
	prior = 50
	// remembered is how many batches of latencies the reference is made of.
	remembered = 10
	// buckets is how many a histogram of latencies has.
	buckets = 434
)

// observer counts for a judge what a proxy would: first bad requests of sessions,
// the share of exposure before them, first latencies.
type observer struct {
	t     *traffic
	r     *rand.Rand // of latencies
	state *judge.State
	batch int // seconds between batches of latencies
	// oneCohort also counts sessions from before the last change of weight, which is
	// a mistake that this program shows.
	oneCohort bool
	second    int
	share     float64
	epoch     uint64

	past      [window][versions]float64 // exposure
	latencies [versions][]float64       // of the batch that goes on
	reference []float64
	baselines [][]float64 // the batches that the reference is the sum of
}

func newObserver(t *traffic, cfg judge.Config, batch int) *observer {
	o := &observer{t: t, r: rand.New(rand.NewPCG(t.seed, 0x1a7e)), state: judge.New(cfg), batch: batch, reference: make([]float64, buckets)}
	for v := range o.latencies {
		o.latencies[v] = make([]float64, buckets)
	}
	o.remember(func(h []float64) { t.latencies(o.r, h, ofBaseline, 60*t.sessions) }) // the minute before
	return o
}

// remember adds a batch of the baseline's latencies to the reference, and forgets
// the oldest.
func (o *observer) remember(fill func(h []float64)) {
	h := make([]float64, buckets)
	if len(o.baselines) == remembered {
		h = o.baselines[0]
		o.baselines = o.baselines[1:]
		for b, n := range h {
			o.reference[b] -= n
		}
		clear(h)
	}
	fill(h)
	for b, n := range h {
		o.reference[b] += n
	}
	o.baselines = append(o.baselines, h)
}

// exposure returns the candidate's share before this second.
func (o *observer) exposure() float64 {
	sum, of := prior*o.share, float64(prior)
	for _, p := range o.past {
		sum += p[ofCandidate]
		of += p[ofCandidate] + p[ofBaseline]
	}
	return sum / of
}

// see takes in a second and reports whether there is something new to judge.
func (o *observer) see(k tick, share float64) bool {
	if share != o.share {
		o.share, o.epoch, o.past = share, o.epoch+1, [window][versions]float64{}
	}
	if o.oneCohort {
		for v := range versions {
			k.first[v] += k.firstOld[v]
			k.exposed[v] += k.exposedOld[v]
		}
	}
	x := int(k.first[ofCandidate])
	o.state.Events(judge.Errors, x, x+int(k.first[ofBaseline]), o.exposure())
	o.state.Candidate(x, max(x, int(k.begun[ofCandidate])))
	o.state.Sessions(o.epoch, int(k.begun[ofCandidate]), int(k.begun[ofCandidate]+k.begun[ofBaseline]), share)
	o.past[o.second%window] = k.exposed
	for v, h := range o.latencies {
		o.t.latencies(o.r, h, v, k.begun[v])
	}
	o.second++
	whole := o.second%o.batch == 0
	if whole {
		o.takeLatencies()
	}
	if o.second%60 == 0 {
		o.state.Minute()
	}
	return x > 0 || whole
}

// takeLatencies ends a batch. Sessions slower than a quantile of the reference are the
// events of that quantile's metric.
func (o *observer) takeLatencies() {
	c, all := o.latencies[ofCandidate], make([]float64, buckets)
	for b := range all {
		all[b] = c[b] + o.latencies[ofBaseline][b]
	}
	o.state.Latencies(c, all, o.reference, o.share)
	for _, tail := range []struct {
		metric judge.Metric
		from   int
	}{{judge.P95, o.quantile(0.95) + 1}, {judge.P99, o.quantile(0.99) + 1}} {
		o.state.Events(tail.metric, int(total(c[tail.from:])), int(total(all[tail.from:])), o.share)
	}
	o.remember(func(h []float64) { copy(h, o.latencies[ofBaseline]) })
	for _, h := range o.latencies {
		clear(h)
	}
}

// quantile returns the bucket of the reference that a share of it does not exceed.
func (o *observer) quantile(q float64) int {
	limit, sum := q*total(o.reference), 0.0
	for b, n := range o.reference {
		if sum += n; sum >= limit {
			return b
		}
	}
	return buckets - 1
}

func total(h []float64) float64 {
	sum := 0.0
	for _, n := range h {
		sum += n
	}
	return sum
}
