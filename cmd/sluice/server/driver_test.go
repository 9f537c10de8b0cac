package server

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/state"
)

// failing serves as one version and fails a part of the requests, probes apart.
type failing struct {
	address string
	part    atomic.Int64 // of 10,000
	served  atomic.Int64
	failed  atomic.Int64
}

func fails(t testing.TB, part int64) *failing {
	f := &failing{}
	f.part.Store(part)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == "Sluice-Probe" {
			return
		}
		f.served.Add(1)
		if rand.Int64N(10_000) < f.part.Load() {
			f.failed.Add(1)
			w.WriteHeader(500)
		}
		io.WriteString(w, "x")
	}))
	t.Cleanup(s.Close)
	f.address = strings.TrimPrefix(s.URL, "http://")
	return f
}

// traffic sends requests of new sessions until it is ended. A server that starts
// anew is waited for.
func traffic(t testing.TB, target func() string) (end func()) {
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		v := stranger(t)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := v.try(target()); err != nil {
					select {
					case <-stop:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			}
		})
	}
	return func() {
		close(stop)
		clients.Wait()
	}
}

// swift is a policy with margins that little traffic can refute.
func swift() state.Policy {
	return state.Policy{Name: "swift", Stages: []state.Stage{
		{Kind: state.StageProbe, Passes: 2, Every: 100 * time.Millisecond},
		{Kind: state.StageShift, Share: 2500, Hold: 100 * time.Millisecond},
		{Kind: state.StageShift, Share: 5000, Hold: 100 * time.Millisecond},
		{Kind: state.StageBake, Hold: 500 * time.Millisecond},
	}, Guards: state.Guards{Margins: map[int]float64{10_000: 8}, Latency: 3, Objective: -1}}
}

// roll starts a rollout of web v2, to be moved by the driver.
func (s *sluice) roll(p state.Policy, address string) string {
	s.t.Helper()
	st := s.do(state.StartRollout{Policy: p, Legs: []state.StartLeg{{Service: "web", Version: "v2", Spec: &state.Spec{Endpoints: []string{address}}}}})
	return st.RolloutOf("web", "v2").ID
}

func (s *sluice) rolloutOf(id string) *state.Rollout { return s.keeper.State().Rollouts[id] }

// account writes what became of a rollout.
func account(r *state.Rollout) string {
	var b strings.Builder
	for _, m := range r.Moves {
		fmt.Fprintf(&b, "%s %s: %s to %s, stage %d, %d: %s\n", m.At.Format("05.000"), m.By, m.From, m.To, m.Stage, m.Share, m.Why)
	}
	return b.String()
}

// awaitPhase waits, for up to a minute, until a rollout is in a phase and stage.
func (s *sluice) awaitPhase(id string, phase state.Phase, stage int) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r := s.rolloutOf(id)
		if r.Phase == phase && (r.Stage == stage || stage < 0) {
			return
		}
		if r.Phase.Over() || time.Now().After(deadline) {
			s.t.Fatalf("%s instead of %s; evidence %+v\n%s", r.Phase, phase, s.driver.Evidence(id), account(r))
		}
	}
}

const oneVersion = `services: {web: {versions: {v1: {endpoints: [%q], weight: 100}}}}`

// warm lets the baseline have a past to compare latencies with.
func (s *sluice) warm() {
	s.t.Helper()
	v := stranger(s.t)
	for range 300 {
		v.try(s.url("", "/"))
	}
}

func TestAGoodVersionIsPromotedByItself(t *testing.T) {
	if testing.Short() {
		t.Skip("takes thousands of requests")
	}
	v1, v2 := fails(t, 200), fails(t, 200)
	s := run(t, fmt.Sprintf(oneVersion, v1.address))
	s.warm()
	end := traffic(t, func() string { return s.url("", "/") })
	defer end()
	id := s.roll(swift(), v2.address)
	s.awaitPhase(id, state.PhaseShifting, 1)
	if page := s.metricsPage(); !strings.Contains(page, `sluice_rollout_phase{phase="shifting",service="web"} 1`) || !strings.Contains(page, `sluice_rollout_share{service="web"} 0.25`) {
		t.Error("the metrics don't tell of the rollout")
	}
	s.awaitPhase(id, state.PhasePromoted, -1)
	t.Logf("%d and %d requests\n%s", v1.served.Load(), v2.served.Load(), account(s.rolloutOf(id)))
	if w := s.keeper.State().Services["web"].Weights(); w["v2"] == 0 || w["v1"] != 0 {
		t.Errorf("weights %v", w)
	}
	if page := s.metricsPage(); !strings.Contains(page, `sluice_rollout_transitions_total{phase="promoted"} 1`) || strings.Contains(page, "sluice_rollout_phase{") {
		t.Error("the metrics don't tell of the promotion")
	}
}

// TestABadVersionIsRolledBackByItself within a handful of bad requests.
func TestABadVersionIsRolledBackByItself(t *testing.T) {
	v1, v2 := fails(t, 100), fails(t, 5000)
	s := run(t, fmt.Sprintf(oneVersion, v1.address))
	s.warm()
	end := traffic(t, func() string { return s.url("", "/") })
	defer end()
	id := s.roll(swift(), v2.address)
	s.awaitPhase(id, state.PhaseRolledBack, -1)
	r := s.rolloutOf(id)
	m := r.Moves[len(r.Moves)-1]
	if m.By != "judge" || len(m.Evidence) != 1 || m.Evidence[0].Decision != "roll_back" {
		t.Errorf("%s", account(r))
	}
	// The four clients may each have one more under way, and the machine is slow.
	await(t, "the end of the candidate's requests", func() bool {
		n := v2.served.Load()
		v1.served.Store(0)
		await(t, "more requests", func() bool { return v1.served.Load() > 50 })
		return v2.served.Load() == n
	})
	if line := s.logs.FilterMessage("a rollout has moved").FilterLevelExact(zap.WarnLevel).All(); len(line) != 1 ||
		line[0].ContextMap()["to"] != "rolled_back" || line[0].ContextMap()["by"] != "judge" {
		t.Errorf("the log does not tell of the rollback alone as a warning: %v", line)
	}
	seen := m.Evidence[0].CandidateBad
	t.Logf("%d bad requests, of which the judge saw %d\n%s", v2.failed.Load(), seen, account(r))
	if v2.failed.Load() > 60 {
		t.Errorf("%d bad requests before the rollback, %d seen", v2.failed.Load(), seen)
	}
}

// TestARolloutGoesOnAfterRestarts, at each of its stages.
func TestARolloutGoesOnAfterRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes thousands of requests")
	}
	v1, v2 := fails(t, 200), fails(t, 200)
	path := write(t, t.TempDir(), plainListener, boltState, fmt.Sprintf(oneVersion, v1.address))
	var s *sluice
	var url atomic.Value
	begin := func() {
		s = start(t, path, Options{})
		url.Store(s.url("", "/"))
	}
	begin()
	s.warm()
	end := traffic(t, func() string { return url.Load().(string) })
	defer end()
	id := s.roll(swift(), v2.address)
	restart := func(phase state.Phase, stage int) {
		t.Helper()
		s.awaitPhase(id, phase, stage)
		s.close()
		begin()
	}
	restart(state.PhaseProbing, 0)
	restart(state.PhaseShifting, 1)
	restart(state.PhaseShifting, 2)
	restart(state.PhaseBaking, 3)
	s.awaitPhase(id, state.PhasePromoted, -1)
	t.Logf("%s", account(s.rolloutOf(id)))
}
