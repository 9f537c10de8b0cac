package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"sluice/state"
	"sluice/state/memory"
	"sluice/state/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) state.Store { return memory.New() })
}

func TestAuditIsBounded(t *testing.T) {
	s := memory.New()
	batch := make([]state.Event, 1000)
	for r := uint64(1); r <= state.MaxAudit/1000+3; r++ {
		for i := range batch {
			batch[i] = state.Event{Revision: r}
		}
		if err := s.Commit(t.Context(), state.State{Revision: r}, batch); err != nil {
			t.Fatal(err)
		}
	}
	events, err := s.Audit(t.Context(), "", 0, 2*state.MaxAudit)
	if err != nil || len(events) != state.MaxAudit || events[state.MaxAudit-1].Revision != 4 {
		t.Errorf("%d events, error %v", len(events), err)
	}
}
