package judge

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// An e-value's mean is 1 while what it speaks against is true. These tests go
// through all labels that some events could have had.

// over calls f with every labelling of n events, true where the candidate's.
func over(n int, f func(candidate []bool)) {
	labels := make([]bool, n)
	for mask := range 1 << n {
		for i := range labels {
			labels[i] = mask>>i&1 == 1
		}
		f(labels)
	}
}

// probability is that of labels when the candidate's share of events is p[i].
func probability(labels []bool, p []float64) float64 {
	product := 1.0
	for i, candidate := range labels {
		if candidate {
			product *= p[i]
		} else {
			product *= 1 - p[i]
		}
	}
	return product
}

func TestMeanOfLabelBetsIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 4
		shares := rapid.SliceOfN(rapid.Float64Range(0.01, 0.99), n, n).Draw(t, "shares")
		marks := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "marks")
		tolerated := rapid.SampledFrom([]float64{1, 1.25}).Draw(t, "tolerated")
		margin := rapid.SampledFrom([]float64{1.5, 2, 4}).Draw(t, "margin")
		atTolerated, atMargin := make([]float64, n), make([]float64, n)
		for i, s := range shares {
			atTolerated[i], atMargin[i] = shareAt(tolerated, s), shareAt(tolerated*margin, s)
		}
		harm, safe := 0.0, 0.0
		over(n, func(labels []bool) {
			st := New(bare(tolerated, margin))
			for i, candidate := range labels {
				x := 0
				if candidate {
					x = 1
				}
				st.Events(Errors, x, 1, shares[i])
				if marks[i] {
					st.Minute()
				}
			}
			harm += probability(labels, atTolerated) * harmOf(st)
			safe += probability(labels, atMargin) * safeOf(st, 0)
		})
		alike(t, "mean of harm", harm, 1)
		alike(t, "mean of safe", safe, 1)
	})
}

// A candidate whose latencies are those of the baseline but for exactly what is
// tolerated, or exactly the margin.
func TestMeanOfShiftBetsIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n, buckets = 3, 80
		_, _, ref := histograms(t)
		ref = append(ref, make([]float64, buckets-len(ref))...)
		ref[0]++
		latencies := rapid.SliceOfN(rapid.IntRange(0, buckets-40), n, n).Draw(t, "latencies")
		shares := rapid.SliceOfN(rapid.Float64Range(0.01, 0.99), n, n).Draw(t, "shares")
		cfg := bare(1, 2)
		cfg.Tolerated[Shift] = 1.25
		run := func(labels []bool, slower int) *State {
			st := New(cfg)
			for i, isCandidate := range labels {
				c, all := make([]float64, buckets), make([]float64, buckets)
				b := latencies[i]
				if isCandidate {
					b += slower
					c[b]++
				}
				all[b]++
				st.Latencies(c, all, ref, shares[i])
				st.Minute()
			}
			return st
		}
		harm, safe := 0.0, 0.0
		over(n, func(labels []bool) {
			st := run(labels, bucketsOf(1.25))
			harm += probability(labels, shares) * math.Exp(st.shift.harm(st.idle(), 1))
			st = run(labels, bucketsOf(2.5))
			safe += probability(labels, shares) * math.Exp(st.shift.safe(0, st.idle(), 1))
		})
		alike(t, "mean of harm", harm, 1)
		alike(t, "mean of safe", safe, 1)
	})
}

func TestMeanOfCeilingIsAtMostOne(t *testing.T) {
	for _, c := range []struct {
		n     int64
		share float64
	}{{1, 0.001}, {50, 0.01}, {100, 0.001}, {400, 0.02}} {
		mean := expect(int(c.n), func(x int) float64 { return binomial(int(c.n), x, c.share) },
			func(x int) float64 { return math.Exp(ceiling(int64(x), c.n, c.share)) })
		if mean > 1+1e-9 || mean < 0.5 {
			t.Errorf("%d sessions at %v: the mean is %v", c.n, c.share, mean)
		}
	}
}

func TestMeanOfSessionShareIsOne(t *testing.T) {
	for _, w := range []float64{0.01, 0.05, 0.5, 0.99} {
		const n = 60
		near(t, "mean", expect(n, func(x int) float64 { return binomial(n, x, w) },
			func(x int) float64 { return math.Exp(sessionShare(int64(x), n, w)) }), 1)
	}
}
