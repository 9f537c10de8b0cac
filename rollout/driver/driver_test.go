package driver

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sluice/state"
	"sluice/stats/trial"
)

func TestAGoodCandidateIsPromoted(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	if w.driver.Evidence(id) != nil && w.driver.Evidence(id)[0].CandidateSessions != 0 {
		t.Errorf("evidence of nothing: %+v", w.driver.Evidence(id))
	}
	w.good("web", w.keeper.State().Services["web"].Epoch)
	w.stage(id, state.PhaseShifting, 2)
	moves := w.rollout(id).Moves
	m := moves[len(moves)-1]
	if m.By != "judge" || len(m.Evidence) != 1 || m.Evidence[0].Decision != "promote" || m.Evidence[0].CandidateSessions != 5000 || m.Evidence[0].BaselineBad != 995 || len(m.Evidence[0].Metrics) != 4 {
		t.Errorf("%+v", m)
	}
	w.stage(id, state.PhaseBaking, 3)
	w.awaitEvery(time.Minute, "the promotion", func() bool { return w.rollout(id).Phase == state.PhasePromoted })
	w.await("the hooks", func() bool { return strings.HasSuffix(w.transitions(), "promoted") })
	if got := w.transitions(); got != "queued probing shifting shifting baking promoted" && got != "probing shifting shifting baking promoted" {
		t.Errorf("told %s", got)
	}
	w.await("the evidence's end", func() bool { doc, _ := w.keeper.Document(t.Context(), documentKey(id)); return doc == nil })
	if w.driver.Evidence(id) != nil || w.driver.Trouble(id) != "" {
		t.Error("evidence of a rollout that is over")
	}
}

// TestABadCandidateIsRolledBack by the event that tips the scale, with no tick.
func TestABadCandidateIsRolledBack(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	n := 0
	for ; n < 30 && !w.rollout(id).Phase.Over(); n++ {
		w.bad("web", 1)
		w.awaitEvery(0, "the look", func() bool {
			e := w.driver.Evidence(id)
			return w.rollout(id).Phase.Over() || len(e) == 1 && e[0].CandidateBad == int64(n+1) && (e[0].Decision != "roll_back" || w.rollout(id).Phase.Over())
		})
	}
	r := w.rollout(id)
	m := r.Moves[len(r.Moves)-1]
	if r.Phase != state.PhaseRolledBack || n > 5 || m.By != "judge" || m.Evidence[0].Reason != "harm" || m.Evidence[0].CandidateBad != int64(n) {
		t.Errorf("%s after %d bad sessions: %+v", r.Phase, n, m)
	}
	if w.keeper.State().Services["web"].Versions["v1"].Weight != 100 {
		t.Error("the weights are not those of before")
	}
}

func TestAReleaseSetGoesBackAsOne(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web", "api")
	w.stage(id, state.PhaseShifting, 1)
	w.good("web", w.keeper.State().Services["web"].Epoch)
	w.pass(time.Minute)
	w.pass(time.Second)
	w.await("two views", func() bool {
		e := w.driver.Evidence(id)
		return len(e) == 2 && e[1].Service == "web" && e[1].Decision == "promote"
	})
	if r := w.rollout(id); r.Stage != 1 {
		t.Fatalf("one leg alone has promoted both: %+v", r.Moves[len(r.Moves)-1])
	}
	w.bad("api", 10)
	w.stage(id, state.PhaseRolledBack, -1)
	for _, service := range []string{"web", "api"} {
		if w.keeper.State().Services[service].Versions["v1"].Weight != 100 {
			t.Errorf("%s is not back", service)
		}
	}
}

// TestGuardsNeedNoJudge.
func TestGuardsNeedNoJudge(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"failures in a row":   func(w *world) { w.source("web").count(func(inc *trial.Increments) { inc.FailuresInARow = 20 }) },
		"no healthy endpoint": func(w *world) { w.mu.Lock(); w.healthy = 0; w.mu.Unlock() },
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			id := w.roll(policy(), "web")
			w.stage(id, state.PhaseShifting, 1)
			fail(w)
			w.stage(id, state.PhaseRolledBack, -1)
			if m := w.rollout(id).Moves; m[len(m)-1].By != "guard" {
				t.Errorf("%+v", m[len(m)-1])
			}
		})
	}
}

func TestAnAlarmPauses(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.source("web").count(func(inc *trial.Increments) {
		inc.Candidate, inc.Baseline = trial.Counts{Requests: 50, Bad: 5}, trial.Counts{Requests: 950, Bad: 95}
	})
	w.stage(id, state.PhasePaused, 1)
	if m := w.rollout(id).Moves; m[len(m)-1].By != "alarm" || !strings.Contains(m[len(m)-1].Why, "5 of the candidate's 50") {
		t.Errorf("%+v", m[len(m)-1])
	}
}

func TestProbesPassInARow(t *testing.T) {
	w := begin(t)
	results := make(chan error)
	w.probe = func(ctx context.Context, _ string) error {
		select {
		case err := <-results:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseProbing, 0)
	give := func(err error) {
		w.t.Helper()
		for given := false; !given; {
			select {
			case results <- err:
				given = true
			case <-time.After(time.Millisecond):
				w.pass(time.Second)
			}
		}
	}
	give(nil)
	give(errors.New("503"))
	w.await("the trouble", func() bool { return w.driver.Trouble(id) == "a probe of web failed: 503" })
	give(nil)
	give(errors.New("504"))
	give(nil)
	if r := w.rollout(id); r.Phase != state.PhaseProbing {
		t.Fatalf("%s", r.Phase)
	}
	give(nil)
	w.stage(id, state.PhaseShifting, 1)
	w.await("no trouble", func() bool { return w.driver.Trouble(id) == "" })
}

// TestAStuckRolloutHoldsNobodyUp.
func TestAStuckRolloutHoldsNobodyUp(t *testing.T) {
	w := begin(t)
	w.probe = func(ctx context.Context, service string) error {
		if service == "web" {
			<-ctx.Done()
		}
		return nil
	}
	stuck := w.roll(policy(), "web")
	other := w.roll(policy(), "api")
	w.stage(other, state.PhaseShifting, 1)
	w.bad("api", 10)
	w.stage(other, state.PhaseRolledBack, -1)
	if r := w.rollout(stuck); r.Phase != state.PhaseProbing {
		t.Errorf("%s", r.Phase)
	}
}

func TestTheNextInLineBegins(t *testing.T) {
	w := begin(t)
	first := w.roll(policy(), "web")
	w.stage(first, state.PhaseShifting, 1)
	w.do(state.StartRollout{Policy: policy(), Legs: []state.StartLeg{{Service: "web", Version: "v3", Spec: &state.Spec{Endpoints: []string{"c:1"}}}}})
	second := w.keeper.State().RolloutOf("web", "v3").ID
	w.pass(time.Second)
	w.do(state.SteerRollout{ID: first, Action: state.ActionAbort})
	w.stage(first, state.PhaseAborted, -1)
	w.stage(second, state.PhaseShifting, 1)
	w.bad("web", 10)
	w.stage(second, state.PhaseRolledBack, -1)
}
