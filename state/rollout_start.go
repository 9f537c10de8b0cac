package state

import (
	"fmt"
	"slices"
	"strings"
)

// plan carries out StartRollout: it registers, looks whether the rollout could
// be, and puts it in the queue. The queue is left by a MoveRollout alone.
func (c StartRollout) plan(s State, meta Meta) ([]edit, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	edits, err := c.register(s, meta)
	if err != nil || s.alreadyBrings(c.Legs) {
		return edits, err
	}
	r := &Rollout{
		ID: fmt.Sprintf("r%d", s.Revision+1), Set: c.Set, Policy: c.Policy.clone(), Phase: PhaseQueued,
		Force: c.Force, By: meta.By, Why: meta.Why, Created: meta.At,
	}
	for _, leg := range c.Legs {
		r.Legs = append(r.Legs, Leg{Service: leg.Service, Candidate: leg.Version})
	}
	slices.SortFunc(r.Legs, func(a, b Leg) int { return strings.Compare(a.Service, b.Service) })
	if edits, err = s.queueUp(r, edits, meta); err != nil {
		return nil, err
	}
	if next, err := s.with(edits); err != nil || !next.mayBegin(r) {
		return edits, err
	}
	return edits, s.foresee(r, edits, meta)
}

// mayBegin tells whether nothing is before a rollout that waits: neither in its
// services nor in those of which it requires something.
func (s State) mayBegin(r *Rollout) bool {
	for _, leg := range r.Legs {
		if s.Under(leg.Service) != nil || s.Queue(leg.Service)[0].ID != r.ID {
			return false
		}
		for provider := range s.Services[leg.Service].Versions[leg.Candidate].Spec.Requires {
			if r.leg(provider) == nil && (s.Under(provider) != nil || len(s.Queue(provider)) > 0) {
				return false
			}
		}
	}
	return true
}

// check refuses what is malformed whatever the state.
func (c StartRollout) check() error {
	switch n := len(c.Legs); {
	case n == 0:
		return invalid("legs", "a rollout needs a service and its version", "")
	case n > MaxLegs:
		return invalid("legs", fmt.Sprintf("%d services are too many for one rollout", n), fmt.Sprintf("at most %d", MaxLegs))
	case c.Set != "" && !ValidName(c.Set):
		return invalid("set", fmt.Sprintf("%q is no name for a release set", c.Set), nameRemedy)
	}
	seen := map[string]bool{}
	for _, leg := range c.Legs {
		if seen[leg.Service] {
			return invalid("legs", fmt.Sprintf("service %q is there twice", leg.Service), "one version of each service")
		}
		seen[leg.Service] = true
	}
	return c.Policy.Check()
}

// register returns an edit for each leg: its version registered, or the service
// as it is. Those of a rollout that there is already are left to change nothing.
func (c StartRollout) register(s State, meta Meta) ([]edit, error) {
	var edits []edit
	for _, leg := range c.Legs {
		svc, err := s.service(leg.Service)
		if err != nil {
			return nil, err
		}
		v := svc.Versions[leg.Version]
		if leg.Spec == nil || v != nil && v.Origin == FromFile && v.Spec.equal(*leg.Spec) {
			if _, err := svc.version(leg.Version, "legs"); err != nil {
				return nil, err
			}
			continue
		}
		put, err := PutVersion{Service: leg.Service, Version: leg.Version, Spec: *leg.Spec}.plan(s, meta)
		if err != nil {
			return nil, err
		}
		edits = append(edits, put...)
	}
	return edits, nil
}

// alreadyBrings tells whether a rollout that is not over, or is in force, has
// just these legs.
func (s State) alreadyBrings(legs []StartLeg) bool {
	r := s.RolloutOf(legs[0].Service, legs[0].Version)
	return r != nil && len(r.Legs) == len(legs) && !slices.ContainsFunc(legs, func(l StartLeg) bool {
		leg := r.leg(l.Service)
		return leg == nil || leg.Candidate != l.Version
	})
}

// queueUp adds a new rollout at the end of the line, where those that it
// supersedes make room.
func (s State) queueUp(r *Rollout, registered []edit, meta Meta) ([]edit, error) {
	edits := s.about(r, "")
	for i := range edits {
		for _, e := range registered {
			if e.service == edits[i].service {
				edits[i].next, edits[i].detail = e.next, e.detail+"; "
			}
		}
		if err := edits[i].next.checkCandidate(r.Legs[i].Candidate); err != nil {
			return nil, err
		}
	}
	waiting := s.line(r)
	var superseded []edit
	if r.Policy.Queue != QueueFIFO {
		because := meta
		because.Why = fmt.Sprintf("superseded by rollout %s (%s), which is newer", r.ID, r.brings())
		for _, q := range waiting {
			superseded = append(superseded, s.about(q.become(PhaseSuperseded, q.Stage, because, nil), because.Why)...)
		}
		waiting = nil
	}
	for _, leg := range r.Legs {
		if n := len(s.Queue(leg.Service)); len(waiting) > 0 && n >= MaxQueued {
			return nil, r.refuse("legs", fmt.Sprintf("can't wait: %d rollouts wait for service %q already", n, leg.Service), "abort some of them")
		}
	}
	if all := s.Queue(""); len(all) > 0 {
		r.Place = all[len(all)-1].Place + 1
	}
	for i := range edits {
		edits[i].detail += fmt.Sprintf("rollout %s of version %s waits, place %d in line", r.ID, edits[i].version, len(waiting)+1)
	}
	return append(edits, superseded...), nil
}

// checkCandidate refuses a version that no rollout can bring.
func (s *Service) checkCandidate(version string) error {
	v, err := s.version(version, "legs")
	if err != nil {
		return err
	}
	r := &Refusal{Reason: ErrRefused, Service: s.Name, Version: version, Field: "legs"}
	switch {
	case len(v.Spec.Endpoints) == 0:
		r.Message = fmt.Sprintf("version %q of service %q has no endpoints and can't be rolled out", version, s.Name)
		r.Remedy = "give it endpoints first"
	case v.Weight > 0:
		r.Message = fmt.Sprintf("version %q of service %q is live with weight %d: a rollout begins with a version that has no sessions yet", version, s.Name, v.Weight)
		r.Remedy = "give it weight 0 first, or go on by setting weights"
	case s.baseline(version) == "":
		r.Message = fmt.Sprintf("service %q has no live version against which version %q could be held", s.Name, version)
		r.Remedy = "give the first version its weight directly"
	default:
		return nil
	}
	return r
}

// foresee refuses a rollout that may begin if the safety rules stand against its
// first shift: better now than in the middle of it. Capacity is left out, since
// endpoints are still coming up.
func (s State) foresee(r *Rollout, edits []edit, meta Meta) error {
	stage := slices.IndexFunc(r.Policy.Stages, func(stage Stage) bool { return stage.Kind.Phase().shifts() })
	if r.Force || stage < 0 {
		return nil
	}
	meta.Facts = nil
	next, err := s.with(edits)
	if err != nil {
		return err
	}
	shift, err := next.shift(r.become(r.Policy.Stages[stage].Kind.Phase(), stage, meta, nil), meta)
	if err != nil {
		return err
	}
	after, err := next.with(shift)
	if err != nil {
		return err
	}
	_, err = obey(next, after, shift, meta)
	return err
}
