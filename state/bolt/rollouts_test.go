package bolt

import (
	"reflect"
	"testing"

	"sluice/state/storetest"
)

// TestRolloutsSurvive the process, also in a file that had none before.
func TestRolloutsSurvive(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path)
	storetest.Advance(t, s, 3)
	storetest.StartRollout(t, s, "c1", true)
	want := storetest.StartRollout(t, s, "c2", false)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := mustOpen(t, path).Load(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) || len(got.Rollouts) != 2 {
		t.Errorf("error %v, state\n%+v, want\n%+v", err, got, want)
	}
}
