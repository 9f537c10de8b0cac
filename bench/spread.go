package main

import (
	"fmt"
	"slices"
)

// spread is the median of several rounds with their extremes.
type spread struct{ Median, Min, Max float64 }

// spreadOf returns the spread of some values; of none, zeros.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Min:    sorted[0],
		Max:    sorted[n-1],
	}
}

// show prints the spread with some digits after the point: "20.1 (19.8–20.6)".
func (s spread) show(digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

// spreadIn returns the spread of one figure of one peer in one cell over the
// rounds, and whether there is any.
func spreadIn(samples []sample, c cell, peer string, figure func(sample) float64) (spread, bool) {
	var values []float64
	for _, s := range samples {
		if s.Cell == c && s.Peer == peer {
			values = append(values, figure(s))
		}
	}
	return spreadOf(values), len(values) > 0
}

// ratioIn returns the spread of a peer's CPU time to another's. The two are
// divided round by round, so that what slowed a whole round cancels out; then
// the median is taken.
func ratioIn(samples []sample, c cell, peer, to string) (spread, bool) {
	base := make(map[int]float64)
	for _, s := range samples {
		if s.Cell == c && s.Peer == to {
			base[s.Round] = s.CPUUS
		}
	}
	var ratios []float64
	for _, s := range samples {
		if b := base[s.Round]; s.Cell == c && s.Peer == peer && b > 0 {
			ratios = append(ratios, s.CPUUS/b)
		}
	}
	return spreadOf(ratios), len(ratios) > 0
}
