package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Under returns the rollout that is under way in a service; nil: none.
func (s State) Under(service string) *Rollout {
	for _, r := range s.Rollouts {
		if r.UnderWay() && r.leg(service) != nil {
			return r
		}
	}
	return nil
}

// Queue returns the rollouts that wait for a service, next first; "": all that
// wait.
func (s State) Queue(service string) []*Rollout {
	var queue []*Rollout
	for _, r := range s.Rollouts {
		if r.Phase == PhaseQueued && (service == "" || r.leg(service) != nil) {
			queue = append(queue, r)
		}
	}
	slices.SortFunc(queue, func(a, b *Rollout) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.number(), b.number()))
	})
	return queue
}

// open returns the rollouts that have not ended, oldest first.
func (s State) open() []*Rollout {
	var open []*Rollout
	for _, r := range s.Rollouts {
		if !r.Phase.Over() {
			open = append(open, r)
		}
	}
	slices.SortFunc(open, func(a, b *Rollout) int { return cmp.Compare(a.number(), b.number()) })
	return open
}

// line returns the rollouts that wait for some service of r, next first, r among
// them.
func (s State) line(r *Rollout) []*Rollout {
	return slices.DeleteFunc(s.Queue(""), func(q *Rollout) bool { return !q.meets(r) })
}

// meets tells whether two rollouts have a service in common.
func (r *Rollout) meets(other *Rollout) bool {
	return slices.ContainsFunc(r.Legs, func(l Leg) bool { return other.leg(l.Service) != nil })
}

// RolloutOf returns the rollout that brings a version to a service: one that is
// not over, else the newest that was promoted and still has all weight there;
// nil: none.
func (s State) RolloutOf(service, version string) *Rollout {
	var found *Rollout
	for _, r := range s.Rollouts {
		leg := r.leg(service)
		switch {
		case leg == nil || leg.Candidate != version || r.Phase.Over() && !s.inForce(r):
		case found == nil, !r.Phase.Over() && found.Phase.Over(), r.Phase.Over() == found.Phase.Over() && r.number() > found.number():
			found = r
		}
	}
	return found
}

// inForce tells whether a rollout was promoted and its candidates still have all
// weight.
func (s State) inForce(r *Rollout) bool {
	return r.Phase == PhasePromoted && !slices.ContainsFunc(r.Legs, func(l Leg) bool {
		svc := s.Services[l.Service]
		return svc == nil || svc.Versions[l.Candidate] == nil || !sameShares(svc.Weights(), map[string]int{l.Candidate: 1})
	})
}

// number is the revision in a rollout's ID.
func (r *Rollout) number() uint64 {
	n, _ := strconv.ParseUint(strings.TrimPrefix(r.ID, "r"), 10, 64)
	return n
}

// rollout finds a rollout or refuses.
func (s State) rollout(id string) (*Rollout, error) {
	if r := s.Rollouts[id]; r != nil {
		return r, nil
	}
	open := maps.Clone(s.Rollouts)
	maps.DeleteFunc(open, func(_ string, r *Rollout) bool { return r.Phase.Over() })
	return nil, &Refusal{
		Reason: ErrNotFound, Field: "id", Message: fmt.Sprintf("there is no rollout %q", id),
		Remedy: known("rollouts that have not ended", maps.Keys(open)),
	}
}

// about is an event of a rollout in each of its services, which stay as they are.
func (s State) about(r *Rollout, detail string) []edit {
	edits := make([]edit, len(r.Legs))
	for i, leg := range r.Legs {
		edits[i] = edit{service: leg.Service, next: s.Services[leg.Service], version: leg.Candidate, rollout: r, detail: detail}
	}
	return edits
}

// forgetEnded drops the rollouts of services that are no more, and of the others
// all but the newest MaxEnded that have ended. The map is the state's own.
func (s State) forgetEnded() {
	ended := map[string][]*Rollout{}
	for _, r := range s.Rollouts {
		if r.Phase.Over() {
			for _, leg := range r.Legs {
				ended[leg.Service] = append(ended[leg.Service], r)
			}
		}
	}
	keep := map[string]bool{}
	for service, of := range ended {
		if s.Services[service] == nil {
			continue
		}
		slices.SortFunc(of, func(a, b *Rollout) int { return cmp.Or(b.Ended.Compare(a.Ended), cmp.Compare(b.number(), a.number())) })
		for _, r := range of[:min(len(of), MaxEnded)] {
			keep[r.ID] = true
		}
	}
	maps.DeleteFunc(s.Rollouts, func(id string, r *Rollout) bool { return r.Phase.Over() && !keep[id] })
}

// validateRollouts is Validate's part in rollouts.
func (s State) validateRollouts() error {
	busy := map[string]string{}
	for id, r := range s.Rollouts {
		switch {
		case r == nil:
			return fmt.Errorf("rollout %q is empty", id)
		case r.ID != id:
			return fmt.Errorf("rollout %q calls itself %q", id, r.ID)
		case r.Revision > s.Revision:
			return fmt.Errorf("rollout %q is of revision %d, later than the state's %d", id, r.Revision, s.Revision)
		}
		if err := r.validate(); err != nil {
			return fmt.Errorf("rollout %q: %w", id, err)
		}
		if r.Phase.Over() {
			continue
		}
		for _, leg := range r.Legs {
			svc := s.Services[leg.Service]
			if svc == nil || svc.Versions[leg.Candidate] == nil {
				return fmt.Errorf("rollout %q: there is no version %q of service %q", id, leg.Candidate, leg.Service)
			}
			if other := busy[leg.Service]; r.UnderWay() && other != "" {
				return fmt.Errorf("rollouts %q and %q are both under way in service %q", other, id, leg.Service)
			}
			if r.UnderWay() {
				busy[leg.Service] = id
			}
		}
	}
	return nil
}

// validate holds a rollout against what the rest relies on.
func (r *Rollout) validate() error {
	stages := len(r.Policy.Stages)
	switch {
	case len(r.Legs) == 0 || len(r.Legs) > MaxLegs:
		return fmt.Errorf("it has %d legs", len(r.Legs))
	case stages == 0 || r.Stage < 0 || r.Stage >= stages:
		return fmt.Errorf("stage %d of %d", r.Stage, stages)
	case !slices.Contains(phases, r.Phase):
		return fmt.Errorf("%q is no phase", r.Phase)
	case r.Phase == PhasePaused && len(transitions[r.Was]) == 0:
		return fmt.Errorf("it was %q before it paused", r.Was)
	}
	for _, leg := range r.Legs {
		switch {
		case leg.Since > 0 && sum(leg.Before) == 0:
			return fmt.Errorf("its leg in service %q knows no way back", leg.Service)
		case (leg.Since > 0) != r.shifted():
			return fmt.Errorf("its legs have not begun together")
		}
	}
	return nil
}
