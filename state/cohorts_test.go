package state

import (
	"maps"
	"testing"
)

// TestRenewCohorts lets sessions count from a new epoch on, in every leg, and
// leaves weights, pins and the way back as they are.
func TestRenewCohorts(t *testing.T) {
	s := start(t, shop())
	s.nothing(RenewCohorts{})
	s.ok(StartRollout{Set: "shop", Policy: quick(), Legs: []StartLeg{leg("web", "v2"), leg("api", "v8")}})
	s.nothing(RenewCohorts{})
	s.move(PhaseProbing, 0)
	s.nothing(RenewCohorts{}) // nobody counts yet
	s.move(PhaseShifting, 1)
	before := s.rollout()
	if l := before.Legs[1]; l.Counts() != l.Since || l.Since == 0 {
		t.Fatalf("%+v", l)
	}
	for n := range uint64(3) {
		svc := s.svc()
		events := s.ok(RenewCohorts{})
		if len(events) != 2 || events[0].Rollout != before.ID || events[1].Service != "web" || events[1].Epoch != svc.Epoch+1 {
			t.Fatalf("%+v", events)
		}
		for i, l := range s.rollout().Legs {
			if l.Counts() != before.Legs[i].Since+n+1 || l.Counts() != s.state.Services[l.Service].Epoch || l.Since != before.Legs[i].Since {
				t.Errorf("%+v", l)
			}
		}
		if !maps.Equal(svc.Weights(), s.svc().Weights()) || len(svc.Flips) != len(s.svc().Flips) {
			t.Error("weights or flips changed")
		}
		for name, v := range s.svc().Versions {
			if v.LeastEpoch != svc.Versions[name].LeastEpoch {
				t.Errorf("pins of %s are void", name)
			}
		}
	}
	if r := s.rollout(); r.Seq != before.Seq || len(r.Moves) != len(before.Moves) {
		t.Error("it counts as a transition")
	}
	s.move(PhasePaused, 1)
	s.ok(RenewCohorts{})
	s.ok(Rollback{Service: "api"})
	s.weights(map[string]int{"v1": 100})
	s.nothing(RenewCohorts{})
}

// TestAShiftBeginsACohort, and no other transition does.
func TestAShiftBeginsACohort(t *testing.T) {
	s := start(t, shop())
	s.ok(startWeb("v2"))
	s.move(PhaseProbing, 0)
	for _, step := range []struct {
		to     Phase
		stage  int
		shifts bool
	}{{PhaseShifting, 1, true}, {PhasePaused, 1, false}, {PhaseShifting, 1, false}, {PhaseShifting, 2, true}, {PhaseBaking, 3, false}} {
		before := s.rollout().Legs[0]
		s.move(step.to, step.stage)
		l := s.rollout().Legs[0]
		if began := l.Counts() != before.Counts(); began != step.shifts || began && l.Counts() != s.svc().Epoch {
			t.Errorf("%s: from %+v to %+v at epoch %d", step.to, before, l, s.svc().Epoch)
		}
		if before.Since > 0 && l.Since != before.Since {
			t.Errorf("%s: the way back has moved: %+v", step.to, l)
		}
	}
}
