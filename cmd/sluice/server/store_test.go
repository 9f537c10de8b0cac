package server

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/admin/api"
	"sluice/state"
	"sluice/state/memory"
)

// faulty is a store that fails on demand.
type faulty struct {
	*memory.Store
	down atomic.Bool
}

var errDown = errors.New("no space left on device")

// Load implements state.Store.
func (f *faulty) Load(ctx context.Context) (state.State, error) {
	if f.down.Load() {
		return state.State{}, errDown
	}
	return f.Store.Load(ctx)
}

// Commit implements state.Store.
func (f *faulty) Commit(ctx context.Context, next state.State, events []state.Event) error {
	if f.down.Load() {
		return errDown
	}
	return f.Store.Commit(ctx, next, events)
}

// refused fails unless an API call was refused so.
func refused(t testing.TB, err error, status int, text string) {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != status || !strings.Contains(p.Error(), text) {
		t.Fatalf("got %v, want status %d and %q", err, status, text)
	}
}

func TestWithoutItsStoreOnlyARollbackWorksAndSaysSo(t *testing.T) {
	store := &faulty{Store: memory.New()}
	path := write(t, t.TempDir(), plainListener, web(t, 100, 0))
	s := start(t, path, Options{Store: store})
	c := stranger(t)
	s.flip("web", "", all("v2"))
	pinned := c.browser()
	pinned.get(s.url("", "/")).served(t, "v2")
	store.down.Store(true)

	_, err := s.admin.SetWeights(t.Context(), "web", api.Weights{Weights: all("dark")}, 0)
	refused(t, err, 503, "no space left on device")
	c.get(s.url("", "/")).served(t, "v2")

	change, err := s.admin.Rollback(t.Context(), "web", api.Rollback{})
	if err != nil {
		t.Fatal(err)
	}
	c.get(s.url("", "/")).served(t, "v1")
	pinned.get(s.url("", "/")).served(t, "v1")
	if change.Durable || !strings.Contains(change.Warning, "has not taken it yet") {
		t.Errorf("got %+v", change)
	}
	ready, err := s.admin.Ready(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !ready.Ready || ready.Durable || len(ready.Pending) != 1 || !strings.Contains(ready.Pending[0], "rollback by") {
		t.Errorf("readiness %+v", ready)
	}
	if page := s.metricsPage(); !strings.Contains(page, "sluice_state_pending 1\n") {
		t.Error("sluice_state_pending is not 1")
	}

	store.down.Store(false)
	await(t, "the rollback's durability", func() bool { return len(s.keeper.Pending()) == 0 })
	saved, err := store.Load(t.Context())
	if err != nil || saved.Services["web"].Versions["v1"].Weight != 100 {
		t.Errorf("the store holds %v, %v", saved.Services["web"].Weights(), err)
	}
	c.get(s.url("", "/")).served(t, "v1")
	await(t, "the metric's fall", func() bool { return strings.Contains(s.metricsPage(), "sluice_state_pending 0\n") })
}

func TestAFileThatTheStoreCantTakeChangesNothing(t *testing.T) {
	store := &faulty{Store: memory.New()}
	services := web(t, 100, 0)
	path := write(t, t.TempDir(), plainListener, services)
	s := start(t, path, Options{Store: store})
	store.down.Store(true)
	s.reload() // it is the same: nothing to store
	rewrite(t, path, `listeners: [{name: other, address: "127.0.0.1:0"}]`, strings.Replace(services, "weight: 0", "weight: 1", 1))
	edge := s.url("", "/")
	_, err := s.admin.Reload(t.Context())
	refused(t, err, 503, "no space left on device")
	stranger(t).get(edge).served(t, "v1")
	if len(s.Addrs()) != 1 || s.Addrs()["edge"] == nil {
		t.Errorf("it listens on %v", s.Addrs())
	}
	store.down.Store(false)
	s.reload()
	if len(s.Addrs()) != 1 || s.Addrs()["other"] == nil {
		t.Errorf("it listens on %v", s.Addrs())
	}
	stranger(t).get(s.url("other", "/"))
}

func TestAStartNeedsItsStore(t *testing.T) {
	store := &faulty{Store: memory.New()}
	store.down.Store(true)
	path := write(t, t.TempDir(), plainListener, web(t, 100, 0))
	if _, err := startFile(t, path, Options{Store: store}); !errors.Is(err, state.ErrStore) {
		t.Errorf("got %v", err)
	}
}
