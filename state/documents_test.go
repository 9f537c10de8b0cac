package state_test

import (
	"context"
	"errors"
	"testing"
	"time"

	. "sluice/state"
	"sluice/state/storetest"
)

// PutDocument fails and hangs as Commit does.
func (f *faulty) PutDocument(ctx context.Context, key string, doc []byte) error {
	if err, _ := f.gate(false); err != nil {
		return err
	}
	return f.Store.PutDocument(ctx, key, doc)
}

// TestAKeeperKeepsDocuments beside the state, and says why where it can't.
func TestAKeeperKeepsDocuments(t *testing.T) {
	w := begin(t)
	k := w.keep
	before := k.State().Revision
	if err := k.PutDocument(t.Context(), "rollout/r1", []byte("seen")); err != nil {
		t.Fatal(err)
	}
	storetest.Document(t, k, "rollout/r1", "seen")
	if keys, err := k.DocumentKeys(t.Context(), "rollout/"); err != nil || len(keys) != 1 {
		t.Errorf("keys %v, error %v", keys, err)
	}
	if k.State().Revision != before {
		t.Error("a document changed the state")
	}
	if err := k.PutDocument(t.Context(), "", []byte("x")); !errors.Is(err, ErrInvalid) {
		t.Errorf("no key: %v", err)
	}
	w.store.set(func(f *faulty) { f.err = errors.New("full") })
	if err := k.PutDocument(t.Context(), "k", []byte("x")); !errors.Is(err, ErrStore) {
		t.Errorf("a store that fails: %v", err)
	}
	w.store.set(func(f *faulty) { f.err = nil })
	if err := k.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, readErr := k.Document(t.Context(), "k")
	_, keysErr := k.DocumentKeys(t.Context(), "")
	for _, err := range []error{readErr, keysErr, k.PutDocument(t.Context(), "k", []byte("x"))} {
		if !errors.Is(err, ErrPaused) {
			t.Errorf("paused: %v", err)
		}
	}
}

// TestARollbackDoesNotWaitForADocument that a store hangs over.
func TestARollbackDoesNotWaitForADocument(t *testing.T) {
	w := begin(t)
	hang := make(chan struct{})
	w.store.set(func(f *faulty) { f.hang = hang })
	put := make(chan error, 1)
	go func() { put <- w.keep.PutDocument(t.Context(), "k", []byte("x")) }()
	began := time.Now()
	result, err := w.keep.Do(t.Context(), Rollback{Service: "web"}, Meta{By: "judge"})
	if err != nil || result.State.Services["web"].Versions["v1"].Weight != 100 {
		t.Errorf("error %v, state %+v", err, result.State)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the rollback took %v", took)
	}
	close(hang)
	if err := <-put; err != nil && !errors.Is(err, ErrStore) {
		t.Error(err)
	}
	w.store.set(func(f *faulty) { f.hang = nil })
}
