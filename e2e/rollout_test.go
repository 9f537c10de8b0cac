package e2e

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// swift is a policy that little traffic can satisfy.
const swift = `policies:
  swift:
    stages:
      - probe: {passes: 2, every: 100ms}
      - shift: {share: 25%, hold: 200ms}
      - shift: {share: 50%, hold: 200ms}
      - bake: {hold: 2s}
    guards: {margins: {100%: 8}, latency: 300%, objective: 0%}
`

// visit sends requests of new sessions until it is ended, whatever becomes of
// them.
func (st *stand) visit() (end func()) {
	stop := make(chan struct{})
	var clients sync.WaitGroup
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	hc := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	for range 4 {
		clients.Go(func() {
			for {
				pause := time.Duration(0)
				if res, err := hc.Get("http://" + st.Plain + "/"); err == nil {
					res.Body.Close()
				} else {
					pause = 5 * time.Millisecond
				}
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	return func() {
		close(stop)
		clients.Wait()
		transport.CloseIdleConnections()
	}
}

// roll starts a rollout.
func (st *stand) roll(version string, endpoints ...string) string {
	st.t.Helper()
	r, err := st.Admin.StartRollout(st.t.Context(), "web", api.RolloutStart{
		Candidate: api.Candidate{Version: version, Endpoints: endpoints}, RolloutTerms: api.RolloutTerms{Policy: "swift"},
	})
	if err != nil {
		st.t.Fatal(err)
	}
	return r.ID
}

// awaitPhase waits until a rollout is in a phase and a stage, from 0; -1: any.
func (st *stand) awaitPhase(id string, phase state.Phase, stage int) *api.Rollout {
	st.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); ; {
		r, err := st.Admin.Rollout(st.t.Context(), id)
		if err == nil && r.Phase == phase && (stage < 0 || r.Stage == stage) {
			return r
		}
		if err == nil && r.Over {
			st.t.Fatalf("%s instead of %s: %+v", r.Phase, phase, r.Moves[len(r.Moves)-1])
		}
		select {
		case <-tick.C:
		case <-deadline:
			st.t.Fatalf("not %s within a minute: %+v, %v", phase, r, err)
		}
	}
}

// dies kills the process that serves and starts another.
func (st *stand) dies() {
	st.t.Helper()
	if err := st.Kill(st.t.Context()); err != nil {
		st.t.Fatal(err)
	}
	if err := st.Start(st.t.Context()); err != nil {
		st.t.Fatal(err)
	}
}

// TestARolloutOutlivesItsProcess: killed at each stage, and replaced at one, it
// goes on where it stood.
func TestARolloutOutlivesItsProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	st := setUp(t)
	st.rewrite(st.services(100, 0) + swift)
	v3 := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer v3.Close()
	defer st.visit()()
	id := st.roll("v3", strings.TrimPrefix(v3.URL, "http://"))
	st.awaitPhase(id, state.PhaseProbing, 0)
	st.dies()
	st.awaitPhase(id, state.PhaseShifting, 1)
	st.dies()
	st.awaitPhase(id, state.PhaseShifting, 2)
	if err := st.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	st.awaitPhase(id, state.PhaseBaking, 3)
	st.dies()
	r := st.awaitPhase(id, state.PhasePromoted, -1)
	for _, m := range r.Moves {
		t.Logf("%s %s: %s to %s: %s", m.At.Format("05.000"), m.By, m.From, m.To, m.Why)
	}
}

// TestABadVersionIsFoundOutAfterADeath, at no greater cost.
func TestABadVersionIsFoundOutAfterADeath(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	st := setUp(t)
	st.rewrite(st.services(100, 0) + strings.ReplaceAll(swift, "hold: 200ms", "hold: 10m"))
	var bad atomic.Bool
	var failed atomic.Int64
	v3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bad.Load() && rand.IntN(2) == 0 {
			failed.Add(1)
			w.WriteHeader(500)
		}
	}))
	defer v3.Close()
	defer st.visit()()
	id := st.roll("v3", strings.TrimPrefix(v3.URL, "http://"))
	st.awaitPhase(id, state.PhaseShifting, 1)
	st.dies()
	bad.Store(true)
	r := st.awaitPhase(id, state.PhaseRolledBack, -1)
	last := r.Moves[len(r.Moves)-1]
	t.Logf("%d requests failed: %s", failed.Load(), last.Why)
	if n := failed.Load(); n > 60 || last.By != "judge" && last.By != "guard" {
		t.Errorf("%d requests failed, rolled back by %s", n, last.By)
	}
}
