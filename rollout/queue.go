package rollout

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/state"
)

// startPatience is how long a rollout whose turn has come waits for capacity,
// such as endpoints that come up, before it gives up.
const startPatience = 5 * time.Minute

// queued lets a rollout begin when its turn has come. One that the rules refuse
// ends, so that those behind it go on.
func (m *machine) queued() (Step, bool) {
	if len(ahead(m.s, m.r)) > 0 || len(providers(m.s, m.r)) > 0 {
		return Step{}, false
	}
	step, err := m.try(m.forward("queue", "its turn has come", false))
	var refusal *state.Refusal
	switch {
	case err == nil:
		return step, true
	case !errors.As(err, &refusal), errors.Is(err, state.ErrConflict):
		return Step{}, false
	case refusal.Rule.MayPass() && m.o.Now.Sub(m.turn()) < startPatience:
		return Step{}, false
	}
	step, err = m.try(m.move(state.PhaseAborted, m.r.Stage, "rules", fmt.Sprintf("can't begin: %v", refusal)))
	return step, err == nil
}

// turn is when the rollout's turn came: when it was started, or when the last
// other rollout of its services ended.
func (m *machine) turn() time.Time {
	at := m.r.Created
	for _, q := range m.s.Rollouts {
		if q.Ended.After(at) && meet(q, m.r) {
			at = q.Ended
		}
	}
	return at
}

// ahead returns the rollouts that are under way in a service of r, or before it
// in a line, in this order.
func ahead(s state.State, r *state.Rollout) []*state.Rollout {
	var before []*state.Rollout
	add := func(q *state.Rollout) {
		if !slices.Contains(before, q) {
			before = append(before, q)
		}
	}
	for _, leg := range r.Legs {
		if q := s.Under(leg.Service); q != nil {
			add(q)
		}
	}
	for _, leg := range r.Legs {
		for _, q := range s.Queue(leg.Service) {
			if q.ID == r.ID {
				break
			}
			add(q)
		}
	}
	return before
}

// meet tells whether two rollouts have a service in common.
func meet(q, r *state.Rollout) bool {
	return slices.ContainsFunc(q.Legs, func(l state.Leg) bool { return candidate(r, l.Service) != "" })
}

// candidate is what a rollout brings to a service; "": nothing.
func candidate(r *state.Rollout, service string) string {
	for _, leg := range r.Legs {
		if leg.Service == service {
			return leg.Candidate
		}
	}
	return ""
}

// providers returns the rollouts, by ID, that are to bring what the candidates of
// r require and nobody provides yet. One that waits for r itself is none of them:
// of a circle, the safety rules say what can't be.
func providers(s state.State, r *state.Rollout) []*state.Rollout {
	return slices.DeleteFunc(brings(s, r), func(q *state.Rollout) bool { return waitsFor(s, q, r, map[string]bool{}) })
}

// brings returns the rollouts that bring what r lacks.
func brings(s state.State, r *state.Rollout) []*state.Rollout {
	var found []*state.Rollout
	for _, q := range s.Rollouts {
		if q.ID != r.ID && !q.Phase.Over() && slices.ContainsFunc(q.Legs, func(l state.Leg) bool { return supplies(s, r, l) }) {
			found = append(found, q)
		}
	}
	slices.SortFunc(found, func(a, b *state.Rollout) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return found
}

// supplies tells whether a leg of another rollout provides something that r
// requires of its service and that not every live version there provides, or not
// every one to which that rollout may still go back.
func supplies(s state.State, r *state.Rollout, l state.Leg) bool {
	svc := s.Services[l.Service]
	if svc == nil || candidate(r, l.Service) != "" || svc.Versions[l.Candidate] == nil {
		return false
	}
	for _, leg := range r.Legs {
		for _, name := range required(s, leg, l.Service) {
			if slices.Contains(svc.Versions[l.Candidate].Spec.Provides, name) && !(provided(svc, name, svc.Weights()) && provided(svc, name, l.Before)) {
				return true
			}
		}
	}
	return false
}

// required are the names that a leg's candidate requires of a service.
func required(s state.State, leg state.Leg, of string) []string {
	svc := s.Services[leg.Service]
	if svc == nil || svc.Versions[leg.Candidate] == nil {
		return nil
	}
	return svc.Versions[leg.Candidate].Spec.Requires[of]
}

// provided tells whether every version of a service that has weight among some
// weights provides a name.
func provided(svc *state.Service, name string, weights map[string]int) bool {
	for version, weight := range weights {
		if v := svc.Versions[version]; weight > 0 && (v == nil || !slices.Contains(v.Spec.Provides, name)) {
			return false
		}
	}
	return true
}

// waitsFor tells whether q waits for r, itself or by others: in a line, or for
// what r brings.
func waitsFor(s state.State, q, r *state.Rollout, seen map[string]bool) bool {
	if q.Phase != state.PhaseQueued || seen[q.ID] {
		return false
	}
	seen[q.ID] = true
	return slices.ContainsFunc(slices.Concat(ahead(s, q), brings(s, q)), func(next *state.Rollout) bool {
		return next.ID == r.ID || waitsFor(s, next, r, seen)
	})
}
