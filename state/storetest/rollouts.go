package storetest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"sluice/state"
)

// StartRollout begins a rollout in a store at revision 1 or later, and ends it
// where it is told to; it returns the state.
func StartRollout(t *testing.T, store state.Store, candidate string, end bool) state.State {
	t.Helper()
	s, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	step := func(cmd state.Command) {
		t.Helper()
		next, events, err := state.Apply(s, cmd, state.Meta{By: "test", At: time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)})
		if err == nil {
			err = store.Commit(t.Context(), next, events)
		}
		if err != nil {
			t.Fatal(err)
		}
		s = next
	}
	spec := state.Spec{Endpoints: []string{"127.0.0.1:3"}}
	step(state.StartRollout{
		Legs:   []state.StartLeg{{Service: "s1", Version: candidate, Spec: &spec}, {Service: "s2", Version: candidate, Spec: &spec}},
		Policy: state.Policy{Name: "test", Stages: []state.Stage{{Kind: state.StageShift, Share: 500, Hold: time.Minute}}},
		Force:  true,
	})
	id := s.RolloutOf("s1", candidate).ID
	evidence := []state.Evidence{{Service: "s1", Decision: "hold", LogR: 0.25, Metrics: []state.MetricEvidence{{Name: "errors"}}}}
	step(state.MoveRollout{ID: id, To: state.PhaseShifting, Evidence: evidence})
	if end {
		step(state.Rollback{Service: "s2", Rollout: id})
	}
	return s
}

// rollouts are kept, changed, and forgotten.
func rollouts(t *testing.T, store state.Store) {
	Advance(t, store, 2)
	for i := range state.MaxEnded + 3 {
		want := StartRollout(t, store, fmt.Sprintf("c%d", i), true)
		if got, err := store.Load(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("error %v, rollouts\n%+v, want\n%+v", err, got.Rollouts, want.Rollouts)
		}
	}
	want := StartRollout(t, store, "last", false)
	got, err := store.Load(t.Context())
	if err != nil || len(got.Rollouts) != state.MaxEnded+1 || !reflect.DeepEqual(got.Rollouts, want.Rollouts) {
		t.Fatalf("error %v, %d rollouts", err, len(got.Rollouts))
	}
}
