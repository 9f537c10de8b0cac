package state

import (
	"fmt"
	"slices"
	"time"
)

// transitions says which phase may follow which by a MoveRollout. Other ways
// out: StartRollout supersedes what is queued, SteerRollout aborts it, a Rollback
// ends what is under way, and so does a flip from elsewhere.
var transitions = map[Phase][]Phase{
	// Its turn comes, or what it would bring is gone.
	PhaseQueued: {PhaseGated, PhaseProbing, PhaseShadowing, PhaseShifting, PhaseBaking, PhaseAborted},
	// A person opens the gate, or does not want it.
	PhaseGated: {PhaseProbing, PhaseShadowing, PhaseShifting, PhaseBaking, PhasePaused, PhaseRolledBack, PhaseAborted},
	// Each stage ends in the next one, which may have a gate; the last one in
	// PhasePromoted.
	PhaseProbing:   {PhaseGated, PhaseProbing, PhaseShadowing, PhaseShifting, PhaseBaking, PhasePromoted, PhasePaused, PhaseRolledBack, PhaseAborted},
	PhaseShadowing: {PhaseGated, PhaseProbing, PhaseShadowing, PhaseShifting, PhaseBaking, PhasePromoted, PhasePaused, PhaseRolledBack, PhaseAborted},
	PhaseShifting:  {PhaseGated, PhaseShifting, PhaseBaking, PhasePromoted, PhasePaused, PhaseRolledBack, PhaseAborted},
	PhaseBaking:    {PhasePromoted, PhasePaused, PhaseRolledBack, PhaseAborted},
	// It goes on where it stood, or, on a person's word, to the next stage; or it
	// stays, since that word could not be carried out.
	PhasePaused: {PhasePaused, PhaseGated, PhaseProbing, PhaseShadowing, PhaseShifting, PhaseBaking, PhasePromoted, PhaseRolledBack, PhaseAborted},
}

// phases is every phase, in the order of a life.
var phases = []Phase{
	PhaseQueued, PhaseGated, PhaseProbing, PhaseShadowing, PhaseShifting, PhaseBaking, PhasePaused,
	PhaseRollingBack, PhasePromoted, PhaseRolledBack, PhaseAborted, PhaseSuperseded,
}

// Phase returns the phase of a stage of this kind; "" for an unknown one.
func (k StageKind) Phase() Phase {
	switch k {
	case StageProbe:
		return PhaseProbing
	case StageShadow:
		return PhaseShadowing
	case StageShift:
		return PhaseShifting
	case StageBake:
		return PhaseBaking
	}
	return ""
}

// Gated tells whether a stage begins with a person's word.
func (p *Policy) Gated(stage int) bool { return p.Stages[stage].Gate || stage == 0 && p.Gate }

// UnderWay tells whether a rollout has begun and not ended.
func (r *Rollout) UnderWay() bool { return !r.Phase.Over() && r.Phase != PhaseQueued }

// stands is the phase, seen through a pause.
func (r *Rollout) stands() Phase {
	if r.Phase == PhasePaused {
		return r.Was
	}
	return r.Phase
}

// shifted tells whether the candidates have had sessions.
func (r *Rollout) shifted() bool { return r.Legs[0].Since > 0 }

// Share returns the candidates' share of new sessions by this rollout, as
// Stage.Share.
func (r *Rollout) Share() int {
	switch {
	case r.Phase == PhasePromoted:
		return wholeShare
	case !r.shifted() || r.Phase.Over() || r.Phase == PhaseRollingBack:
		return 0
	}
	last := r.Stage
	if r.stands() == PhaseGated {
		last--
	}
	for ; last >= 0; last-- {
		switch stage := r.Policy.Stages[last]; stage.Kind {
		case StageShift:
			return stage.Share
		case StageBake:
			return wholeShare
		}
	}
	return 0
}

// wholeShare is all new sessions, as Stage.Share.
const wholeShare = 10_000

// Elapsed returns how much of the present stage's time has passed. It stands
// still during a pause.
func (r *Rollout) Elapsed(now time.Time) time.Duration {
	if r.Phase == PhasePaused || r.StageBegan.IsZero() {
		return r.Spent
	}
	return r.Spent + max(0, now.Sub(r.StageBegan))
}

// become returns the rollout after a transition: the one way in which its phase
// changes.
func (r *Rollout) become(to Phase, stage int, meta Meta, evidence []Evidence) *Rollout {
	next := *r
	next.Legs = slices.Clone(r.Legs)
	next.Seq++
	next.Phase, next.Was, next.Order = to, "", nil
	switch {
	case to.Over() || to == PhaseRollingBack:
		next.Ended = meta.At
		if to == PhaseRollingBack {
			next.Ended = time.Time{}
		}
	case to == PhasePaused && r.Phase == PhasePaused:
		next.Was = r.Was
	case to == PhasePaused:
		next.Was, next.Spent, next.StageBegan = r.Phase, r.Elapsed(meta.At), meta.At
	case r.Phase == PhasePaused && to == r.Was && stage == r.Stage:
		next.Spent, next.StageBegan = r.resumed(), meta.At
	default:
		next.Stage, next.Spent, next.StageBegan = stage, 0, meta.At
	}
	if r.Phase == PhaseQueued && !to.Over() {
		next.Began, next.Place = meta.At, 0
	}
	next.record(Move{Seq: next.Seq, At: meta.At, By: meta.By, From: r.Phase, To: to, Stage: next.Stage, Why: meta.Why, Evidence: evidence})
	return &next
}

// resumed is the stage's time when a pause ends. A stage whose deadline had
// passed gets a new one; the least time that it held stays held.
func (r *Rollout) resumed() time.Duration {
	stage := r.Policy.Stages[r.Stage]
	if stage.Deadline > 0 && r.Spent >= stage.Deadline {
		return min(r.Spent, stage.Hold)
	}
	return r.Spent
}

// record appends a transition to a copied rollout, whose list is still shared.
func (r *Rollout) record(m Move) {
	kept := r.Moves
	if len(kept) >= MaxMoves {
		kept = slices.Concat(kept[:MaxMoves/2], kept[len(kept)-MaxMoves/2+1:])
	}
	r.Moves = slices.Concat(kept, []Move{m})
}

// noteShare writes the share into the newest transition, once the legs say
// whether there is one.
func (r *Rollout) noteShare() { r.Moves[len(r.Moves)-1].Share = r.Share() }

// leg returns the rollout's part in a service, nil if it has none.
func (r *Rollout) leg(service string) *Leg {
	for i := range r.Legs {
		if r.Legs[i].Service == service {
			return &r.Legs[i]
		}
	}
	return nil
}

// brings writes what a rollout brings: "web v42, api v8".
func (r *Rollout) brings() string {
	names := make([]string, len(r.Legs))
	for i, leg := range r.Legs {
		names[i] = leg.Service + " " + leg.Candidate
	}
	return list(names)
}

func (r *Rollout) conflict(field, message, remedy string) error {
	return &Refusal{
		Reason: ErrConflict, Service: r.Legs[0].Service, Version: r.Legs[0].Candidate, Field: field,
		Message: fmt.Sprintf("rollout %s (%s) %s", r.ID, r.brings(), message), Remedy: remedy,
	}
}

func (r *Rollout) refuse(field, message, remedy string) error {
	err := r.conflict(field, message, remedy)
	err.(*Refusal).Reason = ErrRefused
	return err
}
