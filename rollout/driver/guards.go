package driver

import (
	"maps"
	"slices"

	"sluice/rollout/judge"
	"sluice/state"
)

// judgeConfig translates a policy's guards for the judge, whose defaults fill
// what they leave open.
func judgeConfig(g state.Guards) judge.Config {
	cfg := judge.DefaultConfig()
	if g.Alpha > 0 {
		cfg.Alpha = g.Alpha
	}
	if g.Ceiling > 0 {
		cfg.Ceiling = min(g.Ceiling, mostCeiling)
	}
	if len(g.Margins) > 0 {
		cfg.Margins = margins(g.Margins, cfg)
	}
	if g.Latency != 0 {
		// The judge's margins count from there: what must be refuted moves along.
		cfg.Tolerated[judge.Shift] = min(1+max(g.Latency, 0), mostTolerated)
	}
	// A policy may demand more than the tails are allowed by default.
	least := cfg.Margins[0].Ratio
	for _, m := range cfg.Margins {
		least = min(least, m.Ratio)
	}
	for _, m := range []judge.Metric{judge.P95, judge.P99} {
		cfg.Tolerated[m] = min(cfg.Tolerated[m], 1+(least-1)/2)
	}
	return cfg
}

// Slower returns how many times as slow as its baseline a candidate may be, by a
// policy's guards: for whoever counts slow requests.
func Slower(g state.Guards) float64 { return judgeConfig(g).Tolerated[judge.Shift] }

// wholeShare is all new sessions in the units of state.Stage.Share.
const wholeShare = 10_000

// margins returns the margins of a policy, of shares in hundredths of a percent,
// with the judge's for the shares beyond and for latencies.
func margins(by map[int]float64, defaults judge.Config) []judge.Margin {
	var all []judge.Margin
	add := func(upTo, ratio float64) {
		all = append(all, judge.Margin{UpTo: upTo, Ratio: ratio, Latency: latencyMargin(defaults, upTo)})
	}
	for _, share := range slices.Sorted(maps.Keys(by)) {
		add(float64(share)/wholeShare, min(by[share], mostRatio))
	}
	if all[len(all)-1].UpTo < 1 {
		add(1, defaults.Margin(1))
	}
	return all
}

// latencyMargin returns the margin of latencies for a share.
func latencyMargin(cfg judge.Config, share float64) float64 {
	for _, m := range cfg.Margins {
		if share <= m.UpTo {
			return m.Latency
		}
	}
	return cfg.Margins[len(cfg.Margins)-1].Latency
}

// The greatest values that the judge knows: policies may have greater ones.
const (
	mostCeiling   = 0.5
	mostRatio     = 100 // of bad sessions
	mostTolerated = 16  // of latencies
)

// defaultObjective is the part of bad requests that a service may have where its
// policy does not say.
const defaultObjective = 0.05

// objective returns the part of bad requests above which a rollout pauses; 0:
// none.
func objective(g state.Guards) float64 {
	switch {
	case g.Objective < 0:
		return 0
	case g.Objective == 0:
		return defaultObjective
	}
	return g.Objective
}
