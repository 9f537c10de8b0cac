package server

import (
	"net/http"
	"testing"
	"time"

	"sluice/state"
	"sluice/stats/trial"
)

// do carries a command out.
func (s *sluice) do(cmd state.Command) state.State {
	s.t.Helper()
	res, err := s.keeper.Do(s.t.Context(), cmd, state.Meta{By: "test", Why: "test", At: time.Now()})
	if err != nil {
		s.t.Fatal(err)
	}
	return res.State
}

// rollout begins a rollout of these versions, by service, that goes straight to a
// share and is moved, and counted, by the test alone.
func (s *sluice) rollout(share int, versions map[string]string) *state.Rollout {
	s.t.Helper()
	s.driver.Pause()
	start := state.StartRollout{Force: true, Policy: state.Policy{Name: "test", Stages: []state.Stage{
		{Kind: state.StageShift, Share: share}, {Kind: state.StageBake}}}}
	for service, version := range versions {
		start.Legs = append(start.Legs, state.StartLeg{Service: service, Version: version})
		start.Set = "test"
	}
	s.do(start)
	for _, r := range s.keeper.State().Rollouts {
		if r.Phase == state.PhaseQueued {
			return s.move(r, state.PhaseShifting, 0)
		}
	}
	s.t.Fatal("there is no rollout")
	return nil
}

// move moves a rollout.
func (s *sluice) move(r *state.Rollout, to state.Phase, stage int) *state.Rollout {
	s.t.Helper()
	return s.do(state.MoveRollout{ID: r.ID, Seq: r.Seq, To: to, Stage: stage}).Rollouts[r.ID]
}

// awaitTrial drains a trial until so many requests have ended.
func awaitTrial(t *testing.T, tr *trial.Trial, requests int64) (candidate, baseline trial.Counts) {
	t.Helper()
	await(t, "the requests counted", func() bool {
		in := tr.Drain(time.Now())
		for _, c := range []struct{ to, from *trial.Counts }{{&candidate, &in.Candidate}, {&baseline, &in.Baseline}} {
			c.to.Requests += c.from.Requests
			c.to.Sessions += c.from.Sessions
		}
		return candidate.Requests+baseline.Requests >= requests
	})
	return candidate, baseline
}

// A service has a trial from when its rollout leaves the queue to when it ends. It
// compares the sessions that were assigned since the first shift.
func TestARolloutIsATrial(t *testing.T) {
	s := run(t, web(t, 100, 0))
	old := stranger(t).browser()
	old.get(s.url("", "/")).served(t, "v1")
	r := s.rollout(5000, map[string]string{"web": "v2"})
	tr := s.trialOf(r.ID, "web")
	if tr == nil || s.trialOf(r.ID, "api") != nil || s.trialOf("r0", "web") != nil {
		t.Fatal("the service of the rollout has no trial, or others have one")
	}
	const sessions = 40
	v2 := 0
	for range sessions {
		if stranger(t).get(s.url("", "/")).body == "v2" {
			v2++
		}
		old.get(s.url("", "/")).served(t, "v1")
	}
	candidate, baseline := awaitTrial(t, tr, sessions)
	if want := (trial.Counts{Requests: int64(v2), Sessions: int64(v2)}); candidate != want {
		t.Errorf("the candidate has %+v, want %+v", candidate, want)
	}
	if want := (trial.Counts{Requests: int64(sessions - v2), Sessions: int64(sessions - v2)}); baseline != want {
		t.Errorf("the baseline has %+v, want %+v", baseline, want)
	}
}

// After a new file, and after a move without a flip, the trial is the same; with
// the rollout's end there is none.
func TestATrialLastsAsLongAsItsRollout(t *testing.T) {
	s := run(t, web(t, 100, 0))
	r := s.rollout(5000, map[string]string{"web": "v2"})
	tr := s.trialOf(r.ID, "web")
	s.reload()
	r = s.move(r, state.PhasePaused, 0)
	r = s.move(r, state.PhaseShifting, 0)
	r = s.move(r, state.PhaseBaking, 1)
	if s.trialOf(r.ID, "web") != tr {
		t.Error("the trial has changed")
	}
	s.move(r, state.PhaseRolledBack, 1)
	if s.trialOf(r.ID, "web") != nil {
		t.Error("the trial outlives its rollout")
	}
	if got := stranger(t).get(s.url("", "/")); got.status != http.StatusOK || got.body != "v1" {
		t.Errorf("after the rollback: %d %s", got.status, got.body)
	}
}

// A process that starts anew counts the sessions from then on.
func TestATrialBeginsAnewWithItsProcess(t *testing.T) {
	s := run(t, web(t, 100, 0))
	r := s.rollout(5000, map[string]string{"web": "v2"})
	tr := s.trialOf(r.ID, "web")
	visitor := stranger(t).browser()
	visitor.get(s.url("", "/"))
	if candidate, baseline := awaitTrial(t, tr, 1); candidate.Sessions+baseline.Sessions != 1 {
		t.Errorf("counted %+v and %+v", candidate, baseline)
	}
	s.do(state.RenewCohorts{})
	visitor.get(s.url("", "/"))
	stranger(t).get(s.url("", "/"))
	if candidate, baseline := awaitTrial(t, tr, 1); candidate.Requests+baseline.Requests != 1 || candidate.Sessions+baseline.Sessions != 1 {
		t.Errorf("counted %+v and %+v, want the new session alone", candidate, baseline)
	}
}

// The baseline of a rollout shields its candidate, whatever the weights are.
func TestARolloutsBaselineShields(t *testing.T) {
	s := run(t, `services:
  web:
    shield: true
    versions:
      v1: {endpoints: ["`+backend(t, "v1")+`"], weight: 100}
      v2: {endpoints: ["`+dead(t)+`"]}`)
	r := s.rollout(9900, map[string]string{"web": "v2"})
	for range 20 {
		stranger(t).get(s.url("", "/")).served(t, "v1")
	}
	s.move(r, state.PhaseBaking, 1)
	for range 5 {
		stranger(t).get(s.url("", "/")).served(t, "v1")
	}
}
