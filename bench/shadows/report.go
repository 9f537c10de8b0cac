package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// columns head the table of summaries.
const columns = "| requests copied | p50 without, with | p99 without, with | p99 changes by: all (95% interval) | by pair (95% interval) | CPU a request without, with | answers to customers | copies answered, failed, dropped |\n|---|---|---|---|---|---|---|---|\n"

// summary is what the slices of a row say.
type summary struct {
	p50, p99 [2]float64 // ms, of all slices together: without copies, with
	all      change     // of p99, over all slices
	paired   change     // of p99, the median over the pairs
	cpu      [2]float64 // µs a request
	answers  int
	copies   copies
}

// change is by how much something changes, 0.01 for 1%, and the bounds of its
// interval.
type change struct{ by, low, high float64 }

func (c change) String() string {
	return fmt.Sprintf("%+.1f%% (%+.1f%% to %+.1f%%)", 100*c.by, 100*c.low, 100*c.high)
}

// summarise compares the slices of both services, which come in pairs.
func summarise(all []slice) (summary, error) {
	var pairs [][2]slice
	var s summary
	for i := 0; i+1 < len(all); i += 2 {
		pair := [2]slice{all[i], all[i+1]}
		if pair[0].Copied {
			pair[0], pair[1] = pair[1], pair[0]
		}
		for _, p := range pair {
			if p.Failed > 0 || len(p.Took) == 0 {
				return s, fmt.Errorf("%d requests failed, %d were answered", p.Failed, len(p.Took))
			}
			s.answers += len(p.Took)
		}
		if pair[0].Copied == pair[1].Copied {
			return s, errors.New("two slices of a pair are of one service")
		}
		pairs = append(pairs, pair)
	}
	var cpu, asked [2]float64
	for side := range 2 {
		took := joined(pairs, side)
		s.p50[side], s.p99[side] = quantile(took, 0.5), quantile(took, 0.99)
		for _, p := range pairs {
			cpu[side] += float64(p[side].CPU) / float64(time.Microsecond)
			asked[side] += float64(p[side].Asked)
		}
		s.cpu[side] = cpu[side] / asked[side]
	}
	s.all = interval(pairs, overall)
	s.paired = interval(pairs, byPair)
	return s, nil
}

// joined returns all times of one side, in order.
func joined(pairs [][2]slice, side int) []int32 {
	var all []int32
	for _, p := range pairs {
		all = append(all, p[side].Took...)
	}
	slices.Sort(all)
	return all
}

// quantile returns a quantile of times in order, in ms.
func quantile(took []int32, q float64) float64 {
	return float64(took[min(int(q*float64(len(took))), len(took)-1)]) / 1000
}

// resamples is how many times the pairs are drawn anew for an interval.
const resamples = 400

// interval returns what the pairs say, with the bounds between which 95% of the
// draws of as many pairs with replacement say it: the pairs are what is
// independent, not the requests in them (a block bootstrap).
func interval(pairs [][2]slice, say func([][2]slice) float64) change {
	draw := rand.New(rand.NewPCG(1, 2))
	said := make([]float64, resamples)
	drawn := make([][2]slice, len(pairs))
	for i := range said {
		for j := range drawn {
			drawn[j] = pairs[draw.IntN(len(pairs))]
		}
		said[i] = say(drawn)
	}
	slices.Sort(said)
	return change{say(pairs), said[resamples*25/1000], said[resamples*975/1000]}
}

// overall is by how much the p99 of all answers changes.
func overall(pairs [][2]slice) float64 {
	return quantile(joined(pairs, 1), 0.99)/quantile(joined(pairs, 0), 0.99) - 1
}

// byPair is the median of what the p99 of each pair changes by.
func byPair(pairs [][2]slice) float64 {
	changes := make([]float64, len(pairs))
	for i := range pairs {
		changes[i] = overall(pairs[i : i+1])
	}
	slices.Sort(changes)
	return (changes[(len(changes)-1)/2] + changes[len(changes)/2]) / 2
}

// String is the summary as a line of the table.
func (s summary) String(name string) string {
	return fmt.Sprintf("| %s | %.2f, %.2f ms | %.2f, %.2f ms | %v | %v | %.0f, %.0f µs | %d | %d, %d, %d |",
		name, s.p50[0], s.p50[1], s.p99[0], s.p99[1], s.all, s.paired, s.cpu[0], s.cpu[1], s.answers, s.copies.answered, s.copies.failed, s.copies.dropped)
}
