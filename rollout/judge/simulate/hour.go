package main

import "slices"

// fixedShare is the candidate's share in comparisons of rules alone.
const fixedShare = 0.05

// trial is many hours of traffic at one share, each seen by every rule.
type trial struct {
	name      string
	candidate candidate
	together  float64 // as service.together
	incident  bool
}

// score is what became of a rule in a trial.
type score struct {
	Hours      int
	RolledBack int
	Excess     []float64 // bad requests that a baseline would not have had, before each rollback
	Seconds    []float64 // until each rollback
}

// share returns how many of the hours ended in a rollback.
func (s score) share() float64 { return float64(s.RolledBack) / float64(max(s.Hours, 1)) }

// median returns the middle of values, 0 if there is none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// run plays hours of services drawn with the seeds from first on.
func (tr trial) run(rules []rule, first uint64, hours int) []score {
	scores := make([]score, len(rules))
	for i := range hours {
		tr.hour(rules, scores, first+uint64(i))
	}
	return scores
}

// service draws the service of a seed.
func (tr trial) service(seed uint64) service {
	s := population(seed, tr.together)
	if tr.incident {
		from := 300 + int(seed*997%2400)
		s.incident = span{from, from + 600}
	}
	return s
}

// hour plays one hour, which all rules see alike.
func (tr trial) hour(rules []rule, scores []score, seed uint64) {
	t := newTraffic(tr.service(seed), tr.candidate, seed)
	watch := make([]func(tick) bool, len(rules))
	for i, r := range rules {
		scores[i].Hours++
		watch[i] = r.watch(t)
	}
	excess, watching := 0.0, len(rules)
	for second := 0; second < 3600 && watching > 0; second++ {
		k := t.next(fixedShare)
		excess += k.bad[ofCandidate] * (1 - 1/t.ratioAt(second))
		for i := range rules {
			if watch[i] != nil && watch[i](k) {
				scores[i].RolledBack++
				scores[i].Excess = append(scores[i].Excess, excess)
				scores[i].Seconds = append(scores[i].Seconds, float64(second+1))
				watch[i] = nil
				watching--
			}
		}
	}
}
