package driver

import (
	"testing"
	"time"

	"sluice/rollout"
	"sluice/state"
)

// shadowed is of a shadow stage, and all sessions.
func shadowed() state.Policy {
	return state.Policy{Name: "shadowed", Stages: []state.Stage{
		{Kind: state.StageShadow}, {Kind: state.StageShift, Share: 10_000, Hold: time.Hour},
	}}
}

// see has copies tell something from now on.
func (w *world) see(s rollout.Shadow, e state.ShadowEvidence) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shadow = func(int) (*rollout.Shadow, *state.ShadowEvidence) { return &s, &e }
}

// What copies tell is the evidence of a shadow stage, in a pause too, and of the
// transition that it decides.
func TestShadowIsTheEvidence(t *testing.T) {
	w := begin(t)
	w.see(rollout.Shadow{Text: "3 of 10 comparisons are made"}, state.ShadowEvidence{Whole: 3, Least: 10})
	id := w.roll(shadowed(), "web")
	w.stage(id, state.PhaseShadowing, 0)
	told := func(decision string, whole int64) func() bool {
		return func() bool {
			e := w.driver.Evidence(id)
			return len(e) == 1 && e[0].Service == "web" && e[0].Reason == "shadow" && e[0].Decision == decision && e[0].Shadow != nil && e[0].Shadow.Whole == whole
		}
	}
	w.await("the evidence", told("hold", 3))
	w.do(state.SteerRollout{ID: id, Action: state.ActionPause})
	w.stage(id, state.PhasePaused, 0)
	w.see(rollout.Shadow{Done: true, Text: "alike"}, state.ShadowEvidence{Whole: 10, Least: 10})
	w.await("the evidence in a pause", told("promote", 10))
	w.do(state.SteerRollout{ID: id, Action: state.ActionResume})
	w.stage(id, state.PhaseShifting, 1)
	moves := w.rollout(id).Moves
	if last := moves[len(moves)-1]; last.Why != "its answers were like the baseline's: alike" || len(last.Evidence) != 1 || last.Evidence[0].Shadow == nil {
		t.Errorf("%+v", last)
	}
}

// A difference rolls back at once; where nobody sends copies the stage is passed
// over.
func TestShadowRollsBack(t *testing.T) {
	w := begin(t)
	w.see(rollout.Shadow{Failed: "$.total had another type", Text: "$.total"}, state.ShadowEvidence{Different: 1})
	id := w.roll(shadowed(), "web")
	w.stage(id, state.PhaseRolledBack, -1)
	moves := w.rollout(id).Moves
	if last := moves[len(moves)-1]; last.By != "shadow" || last.Why != "$.total had another type" || last.Evidence[0].Decision != "roll_back" {
		t.Errorf("%+v", last)
	}
	w.mu.Lock()
	w.shadow = nil
	w.mu.Unlock()
	w.stage(w.roll(shadowed(), "api"), state.PhaseShifting, 1)
}
