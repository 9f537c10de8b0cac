package state

import (
	"fmt"
	"slices"
)

// plan carries out MoveRollout: the transition and all that it implies, in every
// leg at once.
func (c MoveRollout) plan(s State, meta Meta) ([]edit, error) {
	r, err := s.rollout(c.ID)
	if err != nil {
		return nil, err
	}
	if r.Seq != c.Seq {
		return nil, r.conflict("seq", fmt.Sprintf("is at transition %d, not %d", r.Seq, c.Seq), "look at it again")
	}
	if err := c.legal(s, r); err != nil {
		return nil, err
	}
	next := r.become(c.To, c.Stage, meta, c.Evidence)
	switch {
	case c.To == PhaseAborted, c.To == PhaseRolledBack:
		return s.unshift(next, next.Policy.OnRollback, meta, nil)
	case r.Phase == PhaseQueued:
		return s.begin(next, meta)
	case r.Phase == PhasePaused && next.Stage == r.Stage && c.To == r.Was: // weights stay
	case c.To.shifts(), c.To == PhasePromoted:
		return s.shift(next, meta)
	}
	next.noteShare()
	return s.about(next, next.told()), nil
}

// shifts tells whether candidates have sessions in this phase.
func (p Phase) shifts() bool { return p == PhaseShifting || p == PhaseBaking }

// legal holds a transition against the table and against the stages.
func (c MoveRollout) legal(s State, r *Rollout) error {
	stages := r.Policy.Stages
	switch {
	case r.Phase.Over():
		return r.conflict("id", fmt.Sprintf("has ended: %s", r.Phase), "")
	case !slices.Contains(transitions[r.Phase], c.To):
		return r.refuse("to", fmt.Sprintf("can't go from %s to %s", r.Phase, c.To), "")
	case c.To == PhasePaused, c.To == PhaseAborted, c.To == PhaseRolledBack:
		return nil
	case c.To == PhasePromoted:
		if r.Stage != len(stages)-1 || r.stands() == PhaseGated {
			return r.refuse("to", fmt.Sprintf("has not come to the end of its %d stages", len(stages)), "")
		}
		return nil
	case c.Stage < 0 || c.Stage >= len(stages) || c.To != PhaseGated && stages[c.Stage].Kind.Phase() != c.To:
		return r.refuse("stage", fmt.Sprintf("has no stage %d for %s", c.Stage, c.To), "")
	}
	if resumes := r.Phase == PhasePaused && c.To == r.Was && c.Stage == r.Stage; resumes {
		return nil
	}
	want := r.Stage + 1
	if r.Phase == PhaseQueued || r.stands() == PhaseGated {
		want = r.Stage
	}
	asked := r.stands() == PhaseGated || r.Order != nil && r.Order.Action == ActionPromote
	switch {
	case c.Stage != want:
		return r.refuse("stage", fmt.Sprintf("goes on to stage %d, not %d", want, c.Stage), "")
	case r.Policy.Gated(c.Stage) != (c.To == PhaseGated) && !asked:
		return r.refuse("to", fmt.Sprintf("can't go to %s: whether stage %d has a gate says its policy", c.To, c.Stage), "")
	case r.Phase == PhaseQueued:
		return s.hasTurn(r)
	}
	return nil
}

// hasTurn refuses a rollout that is not next in all its services.
func (s State) hasTurn(r *Rollout) error {
	for _, leg := range r.Legs {
		if other := s.Under(leg.Service); other != nil {
			return r.conflict("id", fmt.Sprintf("waits for rollout %s (%s), which is under way", other.ID, other.brings()), "")
		}
		if first := s.Queue(leg.Service)[0]; first.ID != r.ID {
			return r.conflict("id", fmt.Sprintf("waits behind rollout %s (%s)", first.ID, first.brings()), "")
		}
	}
	return nil
}

// begin takes a rollout out of the queue and clears away old versions.
func (s State) begin(r *Rollout, meta Meta) ([]edit, error) {
	for i := range r.Legs {
		leg := &r.Legs[i]
		svc, err := s.service(leg.Service)
		if err == nil {
			err = svc.checkCandidate(leg.Candidate)
		}
		if err != nil {
			return nil, err
		}
		leg.Baseline = svc.baseline(leg.Candidate)
	}
	edits := s.about(r, r.told())
	var err error
	if r.Phase.shifts() {
		edits, err = s.shift(r, meta)
	} else {
		err = s.foresee(r, edits, meta)
	}
	if err != nil {
		return nil, err
	}
	for i := range edits {
		edits[i] = s.clear(edits[i], meta)
	}
	r.noteShare()
	return edits, nil
}

// shift gives the candidates of a rollout, whose phase is new, their share. The
// first one notes where each leg comes from.
func (s State) shift(r *Rollout, meta Meta) ([]edit, error) {
	f := meta.flip(MoveRollout{}.Kind(), Pins{Mode: PinsKeep})
	f.Rollout = r.ID
	onPromote, err := r.Policy.OnPromote.Pins.resolve(PinsDrain)
	if err != nil {
		return nil, err
	}
	first := !r.shifted()
	edits := s.about(r, "")
	for i := range r.Legs {
		leg := &r.Legs[i]
		svc, err := s.service(leg.Service)
		if err != nil {
			return nil, err
		}
		if _, err := svc.version(leg.Candidate, "id"); err != nil {
			return nil, err
		}
		if first {
			leg.Since, leg.Before, leg.Baseline = svc.Epoch+1, weighted(svc.Weights()), svc.baseline(leg.Candidate)
			if leg.Baseline == "" {
				return nil, r.refuse("id", fmt.Sprintf("finds no live version in service %q to compare with", leg.Service), "abort it")
			}
		}
	}
	share := r.Share()
	// What moves all sessions at the end does so as soon as there is nobody left
	// to compare with; otherwise they stay until the promotion.
	if r.Phase == PhasePromoted || share == wholeShare && onPromote.Mode == PinsMove {
		f.Pins = onPromote
		if f.Streams, err = r.Policy.OnPromote.Streams.resolve(); err != nil {
			return nil, err
		}
	}
	for i, leg := range r.Legs {
		svc := s.Services[leg.Service]
		next := svc.shifted(leg, share, f, r)
		if next.Epoch != svc.Epoch {
			r.Legs[i].Cohort = next.Epoch
		}
		edits[i].next, edits[i].force, edits[i].detail = next, r.Force, r.told()
		if next != svc {
			edits[i].detail += ": " + svc.flipDetail(next, f)
		}
	}
	r.noteShare()
	return edits, nil
}

// shifted returns the service with the weights of one leg's share; itself, if it
// has them.
func (s *Service) shifted(leg Leg, share int, f Flip, r *Rollout) *Service {
	next := s.flip(weightsAt(s.surviving(leg.Before), leg.Candidate, share), f, 0)
	if next == nil && r.Phase != PhasePromoted {
		return s
	}
	if next == nil {
		next = s.copy()
	}
	next.Salt = r.ID
	if r.Phase == PhasePromoted && f.Pins.Mode != PinsMove {
		next.endDrains(leg, f.Pins.drain(f.At))
	}
	return next
}

// endDrains gives the versions that a rollout replaced, and that have kept their
// sessions so far, what its promotion says of them.
func (s *Service) endDrains(leg Leg, drain Drain) {
	for name := range leg.Before {
		if v := s.Versions[name]; v != nil && v.Weight == 0 && v.Drain.On && v.Drain.Until.IsZero() {
			s.change(name).Drain = drain
		}
	}
}

// unshift takes every leg of a rollout, whose phase is new, back to the weights
// of before, but those whose weights an edit given changes. The others of the
// edits given are changed further.
func (s State) unshift(r *Rollout, how Handling, meta Meta, given []edit) ([]edit, error) {
	pins, err := how.Pins.resolve(PinsMove)
	if err != nil {
		return nil, err
	}
	f := meta.flip(MoveRollout{}.Kind(), pins)
	if f.Streams, err = how.Streams.resolve(); err != nil {
		return nil, err
	}
	f.Rollout = r.ID
	edits := s.about(r, r.told())
	for i, leg := range r.Legs {
		e := &edits[i]
		if at := slices.IndexFunc(given, func(g edit) bool { return g.service == leg.Service }); at >= 0 {
			if e = &given[at]; e.next == nil || !sameShares(e.next.Weights(), s.Services[leg.Service].Weights()) {
				continue
			}
		}
		if err := e.takeBack(leg, f); err != nil {
			return nil, err
		}
		e.back, e.force = true, r.Force
	}
	return edits, nil
}

// takeBack makes an edit return to the weights before a leg's first shift.
func (e *edit) takeBack(leg Leg, f Flip) error {
	if e.next == nil || leg.Since == 0 {
		return nil
	}
	want := e.next.surviving(leg.Before)
	if sum(want) == 0 {
		return e.next.noWayBack(fmt.Sprintf("the versions from which rollout %s came (%s) are gone", f.Rollout, format(leg.Before)))
	}
	f.Undoes = leg.Since
	if next := e.next.flip(want, f, 0); next != nil {
		e.detail += ": " + e.next.flipDetail(next, f)
		e.next = next
	}
	return nil
}

// told is a rollout's newest transition in a sentence.
func (r *Rollout) told() string {
	m := r.Moves[len(r.Moves)-1]
	what := fmt.Sprintf("rollout %s from %s to %s", r.ID, m.From, m.To)
	if m.To.shifts() {
		what += fmt.Sprintf(", stage %d of %d", m.Stage+1, len(r.Policy.Stages))
	}
	return what
}
