package state

import (
	"fmt"
	"slices"
)

// plan carries out SteerRollout.
func (c SteerRollout) plan(s State, meta Meta) ([]edit, error) {
	r, err := s.rollout(c.ID)
	if err != nil {
		return nil, err
	}
	if c.Seq != 0 && c.Seq != r.Seq {
		return nil, r.conflict("seq", fmt.Sprintf("is at transition %d, not %d", r.Seq, c.Seq), "look at it again")
	}
	if r.Order != nil && r.Order.Action == c.Action {
		return nil, nil
	}
	if err := c.sensible(r); err != nil {
		return nil, err
	}
	if r.Phase == PhaseQueued {
		next := r.become(PhaseAborted, r.Stage, meta, nil)
		return s.about(next, next.told()), nil
	}
	next := *r
	next.Seq++
	next.Order = &Order{Action: c.Action, By: meta.By, Why: meta.Why, At: meta.At}
	return s.about(&next, fmt.Sprintf("rollout %s is to %s", r.ID, c.Action)), nil
}

// sensible refuses orders that a rollout can't carry out where it stands.
func (c SteerRollout) sensible(r *Rollout) error {
	ending := r.Order != nil && r.Order.Action == ActionAbort
	switch {
	case !slices.Contains([]Action{ActionPause, ActionResume, ActionPromote, ActionAbort}, c.Action):
		return invalid("action", fmt.Sprintf("%q is no order", string(c.Action)), "choose pause, resume, promote or abort")
	case r.Phase.Over():
		return r.refuse("action", fmt.Sprintf("has ended: %s", r.Phase), "to go back, roll back the service; to try again, start it anew")
	case r.Phase == PhaseRollingBack, ending:
		return r.refuse("action", "is ending", "wait for its end")
	case r.Phase == PhaseQueued && c.Action != ActionAbort:
		return r.refuse("action", "waits in the queue", "give it another place in line, or abort it")
	case r.Phase == PhasePaused && c.Action == ActionPause:
		return r.refuse("action", "is paused already", "resume, promote or abort it")
	case r.Phase != PhasePaused && c.Action == ActionResume:
		return r.refuse("action", fmt.Sprintf("is not paused but %s", r.Phase), "")
	}
	return nil
}

// plan carries out QueueRollout. The rollouts that wait for the same services
// keep their order among themselves.
func (c QueueRollout) plan(s State) ([]edit, error) {
	r, err := s.rollout(c.ID)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Phase != PhaseQueued:
		return nil, r.refuse("id", fmt.Sprintf("does not wait in the queue: it is %s", r.Phase), "")
	case c.Place < 1:
		return nil, invalid("place", fmt.Sprintf("%d is no place in line", c.Place), "1 is next")
	}
	// Places order the rollouts of all services, so that one that waits in several
	// lines has its place in each.
	line := slices.DeleteFunc(s.line(r), func(q *Rollout) bool { return q.ID == r.ID })
	all := slices.DeleteFunc(s.Queue(""), func(q *Rollout) bool { return q.ID == r.ID })
	at := len(all)
	if c.Place <= len(line) {
		at = slices.Index(all, line[c.Place-1])
	}
	var edits []edit
	for i, q := range slices.Insert(all, at, r) {
		if q.Place == int64(i+1) {
			continue
		}
		next := *q
		next.Place = int64(i + 1)
		detail := ""
		if q.ID == r.ID {
			detail = fmt.Sprintf("rollout %s has place %d in line", r.ID, min(c.Place, len(line)+1))
		} else if q.meets(r) {
			detail = fmt.Sprintf("rollout %s was moved in line", r.ID)
		} else {
			detail = fmt.Sprintf("places in line are counted anew for rollout %s", r.ID)
		}
		edits = append(edits, s.about(&next, detail)...)
	}
	return edits, nil
}
