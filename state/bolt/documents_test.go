package bolt

import (
	"testing"

	"sluice/state/storetest"
)

// TestDocumentsSurvive the process, also in a file that had none before.
func TestDocumentsSurvive(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path)
	storetest.Advance(t, s, 3)
	storetest.Document(t, s, "rollout/r1", "")
	if err := s.PutDocument(t.Context(), "rollout/r1", []byte("seen")); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Document(t.Context(), "rollout/r1"); err == nil {
		t.Error("a file that was let go is read")
	}
	if err := s.Reacquire(); err != nil {
		t.Fatal(err)
	}
	storetest.Document(t, s, "rollout/r1", "seen")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.Document(t, mustOpen(t, path), "rollout/r1", "seen")
}
