package driver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/rollout"
	"sluice/rollout/hook"
	"sluice/state"
	"sluice/state/memory"
	"sluice/stats"
	"sluice/stats/trial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// store is one in memory that can fail and hang.
type store struct {
	*memory.Store
	mu      sync.Mutex
	fails   error
	hang    chan struct{}
	written []string // what was put and committed, in order
}

func (s *store) gate(what string) error {
	s.mu.Lock()
	hang, err := s.hang, s.fails
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err == nil && what != "" {
		s.mu.Lock()
		s.written = append(s.written, what)
		s.mu.Unlock()
	}
	return err
}

func (s *store) set(fails error, hang chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.hang = fails, hang
}

func (s *store) Load(ctx context.Context) (state.State, error) {
	if err := s.gate(""); err != nil {
		return state.State{}, err
	}
	return s.Store.Load(ctx)
}

func (s *store) Commit(ctx context.Context, next state.State, events []state.Event) error {
	if err := s.gate(fmt.Sprint("commit ", events[0].Kind)); err != nil {
		return err
	}
	return s.Store.Commit(context.WithoutCancel(ctx), next, events)
}

func (s *store) PutDocument(ctx context.Context, key string, doc []byte) error {
	what := "put " + key
	if doc == nil {
		what = "delete " + key
	}
	if err := s.gate(what); err != nil {
		return err
	}
	return s.Store.PutDocument(context.WithoutCancel(ctx), key, doc)
}

func (s *store) Document(ctx context.Context, key string) ([]byte, error) {
	if err := s.gate(""); err != nil {
		return nil, err
	}
	return s.Store.Document(ctx, key)
}

// source is a trial that a test counts in.
type source struct {
	mu   sync.Mutex
	inc  trial.Increments
	wake chan struct{}
}

func (s *source) Wake() <-chan struct{} { return s.wake }

func (s *source) Drain(time.Time) trial.Increments {
	s.mu.Lock()
	defer s.mu.Unlock()
	inc := s.inc
	s.inc = trial.Increments{FailuresInARow: inc.FailuresInARow, Dispersion: 1}
	return inc
}

// count adds to what the next Drain returns; wakes if something was bad.
func (s *source) count(add func(*trial.Increments)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.inc.Events)
	add(&s.inc)
	if len(s.inc.Events) > before || s.inc.FailuresInARow > 0 {
		poke(s.wake)
	}
}

// world is a keeper over a store, and a driver with a clock that tests turn.
type world struct {
	t      *testing.T
	store  *store
	keeper *state.Keeper
	driver *Driver
	logs   *observer.ObservedLogs
	log    *zap.Logger
	stop   func()

	mu      sync.Mutex
	now     time.Time
	ticks   map[chan time.Time]time.Duration
	sources map[string]*source // by service
	told    []hook.Transition
	probe   func(ctx context.Context, service string) error
	shadow  func(stage int) (*rollout.Shadow, *state.ShadowEvidence) // nil: nobody sends copies
	healthy int
}

// policy is of a probe, a share of 5%, all, and a bake.
func policy() state.Policy {
	return state.Policy{Name: "quick", Stages: []state.Stage{
		{Kind: state.StageProbe, Passes: 2},
		{Kind: state.StageShift, Share: 500, Hold: time.Minute},
		{Kind: state.StageShift, Share: 10_000, Hold: time.Minute},
		{Kind: state.StageBake, Hold: time.Hour},
	}}
}

func begin(t *testing.T) *world {
	core, logs := observer.New(zap.DebugLevel)
	w := &world{
		t: t, store: &store{Store: memory.New()}, now: noon, logs: logs, log: zap.New(core),
		ticks: map[chan time.Time]time.Duration{}, sources: map[string]*source{}, healthy: 2,
		probe: func(context.Context, string) error { return nil },
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	versions := map[string]state.DeclaredVersion{"v1": {Spec: state.Spec{Endpoints: []string{"a:1"}}, Weight: 100}}
	w.do(state.Declare{Services: map[string]state.DeclaredService{"web": {Versions: versions}, "api": {Versions: versions}}})
	return w
}

// start begins a process over the store.
func (w *world) start() {
	w.t.Helper()
	keeper, err := state.NewKeeper(w.t.Context(), w.store, state.KeeperOptions{
		Now: w.clock, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond, Patience: 50 * time.Millisecond, Timeout: 20 * time.Second,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.keeper = keeper
	if _, err := keeper.Do(w.t.Context(), state.RenewCohorts{}, state.Meta{By: "restart"}); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { keeper.Run(ctx) })
	w.driver = New(w.options())
	w.driver.Start()
	w.stop = func() {
		w.driver.Stop()
		cancel()
		running.Wait()
		w.stop = func() {}
	}
}

// restart is a kill, if the evidence is not to be saved, and a new process.
func (w *world) restart(kill bool) {
	w.t.Helper()
	if kill {
		w.store.set(errors.New("killed"), nil)
	}
	w.stop()
	w.store.set(nil, nil)
	w.mu.Lock()
	w.sources = map[string]*source{}
	w.mu.Unlock()
	w.start()
}

func (w *world) options() Options {
	return Options{
		Control: w.keeper, Documents: w.keeper, Log: w.log, Now: w.clock,
		Trial: func(_, service string) Trial {
			if s := w.source(service); s != nil {
				return s
			}
			return nil
		},
		Endpoints: func(string, string) (int, int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.healthy, 2
		},
		Probe: func(ctx context.Context, service, _ string, _ state.Stage) error {
			w.mu.Lock()
			probe := w.probe
			w.mu.Unlock()
			return probe(ctx, service)
		},
		Shadow: func(_ string, stage int, _ string) (*rollout.Shadow, *state.ShadowEvidence) {
			w.mu.Lock()
			shadow := w.shadow
			w.mu.Unlock()
			if shadow == nil {
				return nil, nil
			}
			return shadow(stage)
		},
		Tell: func(t hook.Transition, _ []state.Hook) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, t)
		},
		Ticks: func(d time.Duration) (<-chan time.Time, func()) {
			ch := make(chan time.Time, 1)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ticks[ch] = d
			return ch, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				delete(w.ticks, ch)
			}
		},
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time pass: each ticker ticks once.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	for ch := range w.ticks {
		select {
		case ch <- w.now:
		default:
		}
	}
}

// source returns the trial of a service whose rollout counts; nil: none does.
func (w *world) source(service string) *source {
	r := w.keeper.State().Under(service)
	w.mu.Lock()
	defer w.mu.Unlock()
	if r == nil || r.Legs[0].Counts() == 0 {
		return nil
	}
	if w.sources[service] == nil {
		w.sources[service] = &source{wake: make(chan struct{}, 1), inc: trial.Increments{Dispersion: 1}}
	}
	return w.sources[service]
}

func (w *world) do(cmd state.Command) state.Result {
	w.t.Helper()
	r, err := w.keeper.Do(w.t.Context(), cmd, state.Meta{By: "anna"})
	if err != nil {
		w.t.Fatalf("%s: %v", cmd.Kind(), err)
	}
	return r
}

// roll starts a rollout of v2 in some services and returns its ID.
func (w *world) roll(p state.Policy, services ...string) string {
	w.t.Helper()
	c := state.StartRollout{Policy: p}
	for _, s := range services {
		c.Legs = append(c.Legs, state.StartLeg{Service: s, Version: "v2", Spec: &state.Spec{Endpoints: []string{"b:1"}}})
	}
	w.do(c)
	return w.keeper.State().RolloutOf(services[0], "v2").ID
}

func (w *world) rollout(id string) *state.Rollout { return w.keeper.State().Rollouts[id] }

// await waits for a condition while seconds pass.
func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	w.awaitEvery(time.Second, what, ok)
}

func (w *world) awaitEvery(step time.Duration, what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
			if step > 0 {
				w.pass(step)
			}
		case <-deadline:
			w.t.Fatalf("20 s passed without: %s", what)
		}
	}
}

// stage waits until a rollout is in a phase, and a stage of it.
func (w *world) stage(id string, phase state.Phase, stage int) {
	w.t.Helper()
	w.await(fmt.Sprintf("%s at stage %d", phase, stage), func() bool {
		r := w.rollout(id)
		if r.Phase.Over() && r.Phase != phase {
			w.t.Fatalf("%s: %+v", r.Phase, r.Moves[len(r.Moves)-1])
		}
		return r.Phase == phase && (r.Stage == stage || stage < 0)
	})
}

// good is what a healthy candidate at a share of 5% brings.
func (w *world) good(service string, epoch uint64) {
	s := w.source(service)
	s.count(func(inc *trial.Increments) {
		inc.Candidate = trial.Counts{Requests: 5000, Sessions: 5000, Bad: 5, BadSessions: 5}
		inc.Baseline = trial.Counts{Requests: 95000, Sessions: 95000, Bad: 995, BadSessions: 995}
		inc.Sessions = []trial.SessionCount{{Epoch: epoch, Candidate: 5000, All: 100_000, W: 0.05}}
		inc.Events = append(inc.Events, trial.Event{Metric: trial.Errors, X: 5, E: 1000, S: 0.05},
			trial.Event{Metric: trial.P95, X: 250, E: 5000, S: 0.05}, trial.Event{Metric: trial.P99, X: 50, E: 1000, S: 0.05})
		inc.Latencies = append(inc.Latencies, alike())
	})
}

// alike is latencies of both versions that are the same.
func alike() trial.Latencies {
	l := trial.Latencies{Share: 0.05, Candidate: make([]float64, stats.Buckets), All: make([]float64, stats.Buckets), Reference: make([]float64, stats.Buckets)}
	for i, part := range []float64{10, 40, 30, 15, 5} {
		l.Candidate[100+i], l.All[100+i], l.Reference[100+i] = 50*part, 1000*part, 1000*part
	}
	return l
}

// bad is n sessions in a row that fail on the candidate.
func (w *world) bad(service string, n int) {
	w.source(service).count(func(inc *trial.Increments) {
		inc.Candidate.Requests += int64(n)
		inc.Candidate.Bad += int64(n)
		inc.Candidate.Sessions += int64(n)
		inc.Candidate.BadSessions += int64(n)
		for range n {
			inc.Events = append(inc.Events, trial.Event{Metric: trial.Errors, X: 1, E: 1, S: 0.05})
		}
	})
}

func (w *world) transitions() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, t := range w.told {
		all = append(all, string(t.To))
	}
	return strings.Join(all, " ")
}
