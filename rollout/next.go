// Package rollout is the machine that moves rollouts: from the state and from
// what is to be seen, it says which transition is due. It is pure, has no memory
// beside the state, and changes nothing: after a restart, the same state and the
// same evidence give the same decision. Its transitions are commands to the state,
// which holds the table of those that are legal (state.Phase).
//
// A rollout goes through these phases:
//
//   - queued: it waits until it is next in all its services, none of them has
//     another under way, and no other rollout is to bring what it requires.
//   - gated: a person's word opens the gate.
//   - probing: the dark candidate answers synthetic requests.
//   - shadowing: it answers copies of real requests.
//   - shifting: it has a share of new sessions, until the judge promotes it and
//     the least time of the stage has passed. With all of them, time alone counts:
//     there is nothing left to compare with.
//   - baking: it has all new sessions for some time more.
//   - paused: the share stays, and no clock runs. What goes wrong still rolls back.
//   - rolling back: the weights of before are in force, and the store lacks that.
//   - promoted, rolled back, aborted, superseded: the ends.
//
// All legs go on together. What rolls one of them back rolls back all.
package rollout

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"sluice/state"
)

// Step is a command that is due, and who decided it and why.
type Step struct {
	Command state.Command // a state.MoveRollout or a state.Rollback
	Meta    state.Meta
}

// Next returns what is due for a rollout of s. Where nothing is, it reports
// false. It is to be asked again after every change of the state, of what is
// observed, and from time to time, since deadlines pass.
//
// In order: an order to abort; the judge's word, or a guard's, to roll back; other
// orders; the alarm; the end of the stage; its deadline.
func Next(s state.State, r *state.Rollout, o Observation) (Step, bool) {
	m := machine{s: s, r: r, o: o}
	switch {
	case r.Phase.Over(), r.Phase == state.PhaseRollingBack:
		return Step{}, false
	case r.Phase == state.PhaseQueued:
		return m.queued()
	}
	for _, rule := range []func() (proposal, bool){m.abort, m.judge, m.guards, m.order, m.alarm, m.stage, m.deadline} {
		p, due := rule()
		if !due {
			continue
		}
		if step, ok := m.settle(p); ok {
			return step, true
		}
	}
	return Step{}, false
}

// machine is one look at one rollout.
type machine struct {
	s state.State
	r *state.Rollout
	o Observation
}

// proposal is a command that a rule wants, and the rule.
type proposal struct {
	command state.Command
	by, why string
	// patient is a step that may come later as well, and waits for capacity.
	patient bool
}

// move proposes a transition.
func (m *machine) move(to state.Phase, stage int, by, why string) proposal {
	return proposal{command: state.MoveRollout{ID: m.r.ID, Seq: m.r.Seq, To: to, Stage: stage, Evidence: m.o.evidence()}, by: by, why: why}
}

// back proposes the rollback of all legs.
func (m *machine) back(by, why string) proposal {
	return proposal{command: state.Rollback{Service: m.r.Legs[0].Service, Rollout: m.r.ID, Evidence: m.o.evidence()}, by: by, why: why}
}

// pause proposes to stay, and to tell people.
func (m *machine) pause(by, why string) proposal {
	return m.move(state.PhasePaused, m.r.Stage, by, why)
}

// forward proposes the next stage, with its gate unless a person asks, or the
// promotion after the last one.
func (m *machine) forward(by, why string, asked bool) proposal {
	next := m.r.Stage + 1
	if m.r.Phase == state.PhaseQueued || m.stands() == state.PhaseGated {
		next = m.r.Stage
	}
	switch stages := m.r.Policy.Stages; {
	case next == len(stages):
		return m.move(state.PhasePromoted, m.r.Stage, by, why)
	case m.r.Policy.Gated(next) && !asked:
		return m.move(state.PhaseGated, next, by, why)
	default:
		return m.move(stages[next].Kind.Phase(), next, by, why)
	}
}

// stands is the phase, seen through a pause.
func (m *machine) stands() state.Phase {
	if m.r.Phase == state.PhasePaused {
		return m.r.Was
	}
	return m.r.Phase
}

// settle tries a proposal on the state and, where the rules refuse it, finds what
// to do instead: a step that may wait for capacity, or for journeys to pass,
// waits; a rollout whose candidate has no sessions yet ends, unless these may come; any other pauses,
// since whoever serves should go on serving, and a person must look.
func (m *machine) settle(p proposal) (Step, bool) {
	step, err := m.try(p)
	var refusal *state.Refusal
	switch {
	case err == nil:
		return step, true
	case !errors.As(err, &refusal), errors.Is(err, state.ErrConflict):
		return Step{}, false // the state has moved on: look again
	case p.patient && refusal.Rule.MayPass():
		return Step{}, false
	}
	instead := m.pause("rules", fmt.Sprintf("wanted: %s; refused: %v", p.why, err))
	if !m.shifted() && !refusal.Rule.MayPass() {
		instead = m.move(state.PhaseAborted, m.r.Stage, "rules", err.Error())
	} else if m.r.Phase == state.PhasePaused && m.r.Order == nil {
		return Step{}, false // as it is
	}
	step, err = m.try(instead)
	return step, err == nil
}

// try carries a proposal out and drops the outcome. What changes nothing is none.
func (m *machine) try(p proposal) (Step, error) {
	step := Step{Command: p.command, Meta: state.Meta{By: p.by, Why: clip(p.why), At: m.o.Now, Facts: m.o.Facts}}
	_, events, err := state.Apply(m.s, step.Command, step.Meta)
	if err == nil && len(events) == 0 {
		err = state.ErrConflict
	}
	return step, err
}

// shifted tells whether the candidates have had sessions.
func (m *machine) shifted() bool { return m.r.Legs[0].Since > 0 }

// clip shortens a reason to what a Meta takes.
func clip(why string) string {
	const more = "…"
	if len(why) <= state.MaxWhy {
		return why
	}
	cut := state.MaxWhy - len(more)
	for cut > 0 && !utf8.RuneStart(why[cut]) {
		cut--
	}
	return why[:cut] + more
}
