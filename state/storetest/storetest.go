// Package storetest is what every state.Store must pass.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"sluice/state"
)

// Run holds stores that open returns, each empty, against the contract of
// state.Store. The test that calls it sees to it that they are closed.
func Run(t *testing.T, open func(t *testing.T) state.Store) {
	t.Run("empty", func(t *testing.T) { empty(t, open(t)) })
	t.Run("commit and load", func(t *testing.T) { commitAndLoad(t, open(t)) })
	t.Run("rollouts", func(t *testing.T) { rollouts(t, open(t)) })
	t.Run("conflict", func(t *testing.T) { conflict(t, open(t)) })
	t.Run("one of many wins", func(t *testing.T) { race(t, open(t)) })
	t.Run("watch", func(t *testing.T) { watch(t, open(t)) })
	t.Run("audit", func(t *testing.T) { audit(t, open(t)) })
	t.Run("context", func(t *testing.T) { ended(t, open(t)) })
	t.Run("closed", func(t *testing.T) { closed(t, open(t)) })
	t.Run("documents", func(t *testing.T) { documents(t, open(t)) })
	t.Run("documents are the callers'", func(t *testing.T) { documentsAreTheCallers(t, open(t)) })
	t.Run("documents refused", func(t *testing.T) { documentsRefused(t, open(t)) })
}

// Step returns the command that leads from revision n to n+1, and its meta.
// Applied from an empty state on, these make and change some services, over and
// over: a history that a test can replay.
func Step(n uint64) (state.Command, state.Meta) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
	meta := state.Meta{By: "test", Why: fmt.Sprintf("step %d", n), At: at}
	if n == 0 {
		return declaration(), meta
	}
	service := fmt.Sprintf("s%d", n%3)
	w := int(n % 99)
	switch n % 10 {
	case 8:
		return state.PutVersion{Service: service, Version: "extra", Spec: state.Spec{Tags: map[string]string{"step": fmt.Sprint(n)}}}, meta
	case 9:
		return state.VoidPins{Service: service, Version: "v1"}, meta
	}
	return state.SetWeights{Service: service, Weights: map[string]int{"v1": 100 - w, "v2": w + int(n)}}, meta
}

func declaration() state.Declare {
	d := state.Declare{Services: map[string]state.DeclaredService{}}
	for i := range 3 {
		d.Services[fmt.Sprintf("s%d", i)] = state.DeclaredService{Versions: map[string]state.DeclaredVersion{
			"v1": {Spec: state.Spec{Endpoints: []string{"127.0.0.1:1"}, Shape: &state.Shape{Writes: "1", Reads: []string{"1", "2"}}, Provides: []string{"x"}}, Weight: 100},
			"v2": {Spec: state.Spec{Endpoints: []string{"127.0.0.1:2"}, Provides: []string{"x"}, Requires: map[string][]string{fmt.Sprintf("s%d", (i+1)%3): {"x"}}}},
		}}
	}
	return d
}

// Advance applies and commits steps until the store is at a revision.
func Advance(t *testing.T, store state.Store, to uint64) (state.State, []state.Event) {
	t.Helper()
	s, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []state.Event
	for s.Revision < to {
		cmd, meta := Step(s.Revision)
		next, events, err := state.Apply(s, cmd, meta)
		if err != nil || next.Revision != s.Revision+1 {
			t.Fatalf("step %d: revision %d, error %v", s.Revision, next.Revision, err)
		}
		if err := store.Commit(t.Context(), next, events); err != nil {
			t.Fatal(err)
		}
		s, all = next, append(all, events...)
	}
	return s, all
}

func empty(t *testing.T, store state.Store) {
	s, err := store.Load(t.Context())
	if err != nil || s.Revision != 0 || len(s.Services) != 0 {
		t.Errorf("state %+v, error %v; want an empty one", s, err)
	}
	for _, before := range []uint64{0, 1, 9} {
		if events, err := store.Audit(t.Context(), "", before, 10); err != nil || len(events) != 0 {
			t.Errorf("events %v, error %v", events, err)
		}
	}
}

func commitAndLoad(t *testing.T, store state.Store) {
	want, _ := Advance(t, store, 30)
	got, err := store.Load(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("error %v, state\n%+v, want\n%+v", err, got, want)
	}
	gone := state.Declare{Services: map[string]state.DeclaredService{}}
	next, events, err := state.Apply(got, gone, state.Meta{By: "test", At: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)})
	if err != nil || len(events) != 3 {
		t.Fatalf("events %v, error %v", events, err)
	}
	if err := store.Commit(t.Context(), next, events); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(t.Context()); err != nil || len(got.Services) != 0 || got.Revision != 31 {
		t.Errorf("state %+v, error %v; want revision 31 without services", got, err)
	}
}

func conflict(t *testing.T, store state.Store) {
	s, _ := Advance(t, store, 3)
	for _, revision := range []uint64{0, 2, 3, 5} {
		err := store.Commit(t.Context(), state.State{Revision: revision}, []state.Event{{Revision: revision}})
		if !errors.Is(err, state.ErrConflict) {
			t.Errorf("commit of revision %d after 3: error %v, want ErrConflict", revision, err)
		}
	}
	got, err := store.Load(t.Context())
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("a conflict changed the state to %+v, error %v", got, err)
	}
	if events, err := store.Audit(t.Context(), "", 0, 1); err != nil || events[0].Revision != 3 {
		t.Errorf("a conflict changed the audit: %+v, error %v", events, err)
	}
}

func race(t *testing.T, store state.Store) {
	s, _ := Advance(t, store, 1)
	cmd, meta := Step(1)
	next, events, err := state.Apply(s, cmd, meta)
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = store.Commit(t.Context(), next, events) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, state.ErrConflict):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of 8 commits of one revision won", won)
	}
}

func watch(t *testing.T, store state.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	one, other := store.Watch(ctx), store.Watch(t.Context())
	Advance(t, store, 5)
	await(t, one, true)
	await(t, other, true)
	Advance(t, store, 6)
	await(t, other, true)
	cancel()
	for range 2 { // the token of the sixth commit may still wait
		if _, open := <-one; !open {
			break
		}
	}
	await(t, one, false)
	Advance(t, store, 7)
	await(t, other, true)
}

func await(t *testing.T, ch <-chan struct{}, open bool) {
	t.Helper()
	select {
	case _, ok := <-ch:
		if ok != open {
			t.Fatalf("channel open: %v, want %v", ok, open)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no token for 10 s")
	}
}

func audit(t *testing.T, store state.Store) {
	_, all := Advance(t, store, 50)
	for _, service := range []string{"", "s0", "s2", "none"} {
		for _, before := range []uint64{0, 1, 2, 20, 50, 51, 99} {
			for _, limit := range []int{0, 1, 7, 1000} {
				var want []state.Event
				for i := len(all) - 1; i >= 0 && len(want) < limit; i-- {
					if e := all[i]; (before == 0 || e.Revision < before) && (service == "" || e.Service == service) {
						want = append(want, e)
					}
				}
				got, err := store.Audit(t.Context(), service, before, limit)
				if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
					t.Fatalf("audit(%q, %d, %d): error %v, events\n%+v, want\n%+v", service, before, limit, err, got, want)
				}
			}
		}
	}
}

func ended(t *testing.T, store state.Store) {
	s, _ := Advance(t, store, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, loadErr := store.Load(ctx)
	_, auditErr := store.Audit(ctx, "", 0, 1)
	s.Revision++
	for _, err := range []error{loadErr, auditErr, store.Commit(ctx, s, nil)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	}
}

func closed(t *testing.T, store state.Store) {
	s, _ := Advance(t, store, 1)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Audit(t.Context(), "", 0, 1); err == nil {
		t.Error("a closed store answers Audit")
	}
	s.Revision++
	if err := store.Commit(t.Context(), s, nil); err == nil {
		t.Error("a closed store takes a commit")
	}
}
