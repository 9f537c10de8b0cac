package state_test

import (
	"errors"
	"testing"

	. "sluice/state"
)

// TestAKeeperThatIsPausedLeavesTheStoreAlone and takes no change, but a
// successor's state.
func TestAKeeperThatIsPausedLeavesTheStoreAlone(t *testing.T) {
	w := begin(t)
	k := w.keep
	if err := k.Adopt(t.Context(), k.State()); err == nil {
		t.Error("a keeper that works took another's state")
	}
	stop := w.run()
	defer stop()
	if err := k.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := k.State().Revision
	w.store.set(func(f *faulty) { f.err = errors.New("another process has it"); f.calls = 0 })
	for _, cmd := range []Command{
		flip("v3", 1),
		Rollback{Service: "web"},
	} {
		if _, err := k.Do(t.Context(), cmd, Meta{By: "x"}); !errors.Is(err, ErrPaused) || errors.Is(err, ErrStore) {
			t.Errorf("%s: %v", cmd.Kind(), err)
		}
	}
	if n := len(k.Pending()); n > 0 {
		t.Errorf("%d changes are held", n)
	}
	if w.store.set(func(f *faulty) {
		if f.calls > 0 {
			t.Errorf("the store was called %d times", f.calls)
		}
	}); k.State().Revision != before {
		t.Error("the state changed")
	}
	successor := k.State()
	successor.Revision += 7
	if err := k.Adopt(t.Context(), successor); err != nil || k.State().Revision != before+7 {
		t.Errorf("the successor's state: %v, revision %d", err, k.State().Revision)
	}
	w.store.set(func(f *faulty) { f.err = nil })
	if err := k.Resume(t.Context()); err != nil || k.State().Revision != before {
		t.Errorf("resumed with %v at revision %d, not %d", err, k.State().Revision, before)
	}
	if _, err := k.Do(t.Context(), flip("v3", 1), Meta{By: "x"}); err != nil {
		t.Error(err)
	}
}

// TestWhatIsHeldGoesToTheStoreBeforeAPause, or there is no pause.
func TestWhatIsHeldGoesToTheStoreBeforeAPause(t *testing.T) {
	w := begin(t)
	k := w.keep
	w.store.set(func(f *faulty) { f.err = errors.New("full") })
	if r, err := k.Do(t.Context(), Rollback{Service: "web"}, Meta{By: "x"}); err != nil || r.Durable {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := k.Pause(t.Context()); !errors.Is(err, ErrStore) || len(k.Pending()) != 1 {
		t.Errorf("paused with a rollback that nobody else knows: %v", err)
	}
	w.store.set(func(f *faulty) { f.err = nil })
	if err := k.Pause(t.Context()); err != nil || len(k.Pending()) != 0 {
		t.Errorf("%v, %d pending", err, len(k.Pending()))
	}
}
