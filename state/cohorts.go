package state

import (
	"maps"
	"slices"
)

// RenewCohorts begins a new epoch in every service whose rollout compares
// sessions, and lets them count from there. A process issues it when it starts:
// it doesn't know which sessions had been bad before, and would take a second bad
// request of one for the first. Pins and weights stay.
type RenewCohorts struct{}

// Kind returns "renew_cohorts".
func (RenewCohorts) Kind() string { return "renew_cohorts" }

// Counts returns the epoch from which on the sessions of both versions are
// compared; 0: none are yet.
func (l *Leg) Counts() uint64 { return max(l.Since, l.Cohort) }

func (RenewCohorts) plan(s State) ([]edit, error) {
	var edits []edit
	for _, id := range slices.Sorted(maps.Keys(s.Rollouts)) {
		r := s.Rollouts[id]
		if !r.UnderWay() || !r.shifted() || r.Phase == PhaseRollingBack {
			continue
		}
		next := *r
		next.Legs = slices.Clone(r.Legs)
		for i := range next.Legs {
			leg := &next.Legs[i]
			if s.Services[leg.Service] == nil {
				continue
			}
			svc := s.Services[leg.Service].copy()
			svc.Epoch++
			leg.Cohort = svc.Epoch
			edits = append(edits, edit{
				service: leg.Service, next: svc, rollout: &next, version: leg.Candidate,
				detail: "rollout " + r.ID + " counts the sessions from now on, beside what it has seen",
			})
		}
	}
	return edits, nil
}
