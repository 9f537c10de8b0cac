package main

import (
	"math"

	"sluice/rollout/judge"
)

// rule decides by what traffic brings. A new one is made for each rollout.
type rule struct {
	name string
	// watch returns a function that is told of each second in turn, and says
	// whether to roll back.
	watch func(t *traffic) func(k tick) bool
}

// rules are the judge and what it is compared with.
func rules() []rule {
	return []rule{
		{"the judge", func(t *traffic) func(tick) bool { return judged(t, judge.DefaultConfig()) }},
		{"the judge, errors alone", func(t *traffic) func(tick) bool { return judged(t, errorsAlone()) }},
		{"Flagger's sample", func(*traffic) func(tick) bool { return threshold(60, 60, 0.99, 10) }},
		{"Argo's sample", func(*traffic) func(tick) bool { return threshold(300, 300, 0.95, 3) }},
		{"Argo's, 99%", func(*traffic) func(tick) bool { return threshold(300, 300, 0.99, 3) }},
		{"peeking z-test", peeking},
		{"Wald's SPRT", wald},
	}
}

// threshold is how Flagger and Argo Rollouts decide in the samples of their
// documentation: every so often, the share of good requests on the candidate over a
// window must reach a limit; after some checks that failed it is rolled back.
// Flagger's sample looks each minute at the last one and wants 99%, ten times.
// Argo's looks every five minutes at the last five and wants 95%, three times.
func threshold(every, window int, least float64, failures int) func(tick) bool {
	var requests, bad float64
	failed, second := 0, 0
	return func(k tick) bool {
		second++
		if every-(second-1)%every <= window {
			requests += k.requests[ofCandidate]
			bad += k.bad[ofCandidate]
		}
		if second%every != 0 {
			return false
		}
		if requests > 0 && 1-bad/requests < least {
			failed++
		}
		requests, bad = 0, 0
		return failed >= failures
	}
}

// peeking compares all requests so far each minute by the test of a textbook, which
// is meant to be made once: z above 1.96.
func peeking(*traffic) func(tick) bool {
	var n, x [versions]float64
	second := 0
	return func(k tick) bool {
		second++
		for v := range versions {
			n[v] += k.requests[v]
			x[v] += k.bad[v]
		}
		if second%60 != 0 || n[ofCandidate] == 0 || n[ofBaseline] == 0 {
			return false
		}
		p := (x[0] + x[1]) / (n[0] + n[1])
		deviation := math.Sqrt(p * (1 - p) * (1/n[0] + 1/n[1]))
		return (x[ofCandidate]/n[ofCandidate]-x[ofBaseline]/n[ofBaseline])/deviation > 1.96
	}
}

// wald is the best that any test could do: it knows the baseline's rate at every
// second, and how much worse the candidate is if it is. Where it is not, it looks
// for one that is twice as bad.
func wald(t *traffic) func(tick) bool {
	ratio := t.ratio
	if ratio == 1 {
		ratio = 2
	}
	evidence := 0.0
	return func(k tick) bool {
		p := t.badAt(t.second - 1)
		if t.incident.holds(t.second - 1) {
			p /= incidentFactor // nobody told it
		}
		bad := k.bad[ofCandidate]
		evidence += bad*math.Log(ratio) + (k.requests[ofCandidate]-bad)*math.Log((1-min(p*ratio, 0.9))/(1-p))
		return evidence >= math.Log(100)
	}
}

// errorsAlone is the configuration of a judge that knows nothing of latencies.
func errorsAlone() judge.Config {
	c := judge.DefaultConfig()
	c.Votes = map[judge.Metric]float64{judge.Errors: 1}
	return c
}

// judged feeds a judge as a proxy does, at a constant share.
func judged(t *traffic, cfg judge.Config) func(tick) bool {
	o := newObserver(t, cfg, 60)
	return func(k tick) bool {
		if !o.see(k, fixedShare) {
			return false
		}
		return o.state.Judge(judge.Input{Share: fixedShare, Next: 0.25}).Decision == judge.RollBack
	}
}
