package judge

import "math"

// labels is the evidence of a metric that counts events by the version they fell
// on.
type labels struct {
	Candidate int64   `json:"candidate"` // events on the candidate
	Events    int64   `json:"events"`    // on either version
	Expected  float64 `json:"expected"`  // events that the candidate would have if both were equal
	// Log is the log-likelihood of the labels at each ratio of the grid less that
	// at the ratio 1.
	Log []float64 `json:"log"`
	// Base is the logarithms of what the bets on harm of 1 to 48 steps multiply
	// their gains by; restarts add to it.
	Base []float64 `json:"base"`
}

func newLabels(g *grid) labels {
	l := labels{Log: make([]float64, len(g.log)), Base: make([]float64, reach)}
	for i := range l.Base {
		l.Base[i] = logOfHalf
	}
	return l
}

// take takes in e events, x of them the candidate's, at its share s of exposure.
func (l *labels) take(g *grid, x, e int, s float64) {
	l.Candidate += int64(x)
	l.Events += int64(e)
	l.Expected += float64(e) * s
	for i, log := range g.log {
		l.Log[i] += float64(x)*log - float64(e)*math.Log1p(s*g.excess[i])
	}
}

// harmGain returns what the bet on k steps of harm has gained, as a logarithm.
func (l *labels) harmGain(g *grid, k int) float64 { return l.Log[g.harm[k]] - l.Log[g.harm[0]] }

// restart lets every bet on harm begin anew with a share q of the stake. The gains
// of a bet begun now are those of the first less what they are now, so a number per
// ratio holds any number of restarts.
func (l *labels) restart(g *grid, logQ float64) {
	for i := range l.Base {
		l.Base[i] = logAddExp(l.Base[i], logQ-l.harmGain(g, i+1))
	}
}

// harm returns the logarithm of the e-value against "no worse than tolerated".
// The share of the stake that restarts have not yet brought in lies idle.
func (l *labels) harm(g *grid, idle, dispersion float64) float64 {
	var sum logSum
	if dispersion > 1 {
		// Restarts were made of untempered gains, which would be too much.
		for k := 1; k <= reach; k++ {
			sum.add(g.stakes[k] + logOfHalf + l.harmGain(g, k)/dispersion)
		}
		idle = 0.5
	} else {
		for k := 1; k <= reach; k++ {
			sum.add(g.stakes[k] + l.Base[k-1] + l.harmGain(g, k))
		}
	}
	sum.add(math.Log(idle))
	return sum.log()
}

// safe returns the logarithm of the e-value against "worse than a margin".
func (l *labels) safe(g *grid, margin int, dispersion float64) float64 {
	var sum logSum
	rungs := &g.safe[margin]
	for k := 1; k <= reach; k++ {
		sum.add(g.stakes[k] + (l.Log[rungs[k]]-l.Log[rungs[0]])/dispersion)
	}
	return sum.log()
}

// estimate returns the likeliest ratio in steps, and a 95% interval that holds at
// all times at once: the ratios of the grid that a mixture over all of them does
// not refute.
func (l *labels) estimate(g *grid, dispersion float64) (best, lo, hi int) {
	var all logSum
	greatest := math.Inf(-1)
	for i, at := range g.around {
		v := l.Log[at] / dispersion
		all.add(v + g.prior[i])
		if v > greatest {
			best, greatest = i-reach, v
		}
	}
	least := all.log() - math.Log(20)
	lo, hi = best, best
	for i, at := range g.around {
		if l.Log[at]/dispersion > least {
			lo, hi = min(lo, i-reach), max(hi, i-reach)
		}
	}
	return best, lo, hi
}
