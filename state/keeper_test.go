package state_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	. "sluice/state"
	"sluice/state/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is a store that fails on demand.
type faulty struct {
	*memory.Store
	mu     sync.Mutex
	err    error         // what Commit and Load return
	reads  bool          // Load works although err is set
	hang   chan struct{} // Commit and Load wait for it, whatever their context
	after  error         // Commit returns it after it has come through
	before func()        // runs once before the next Commit
	calls  int
}

func (f *faulty) set(change func(*faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *faulty) gate(read bool) (err, after error) {
	f.mu.Lock()
	hang, before := f.hang, f.before
	f.calls++
	if !read {
		f.before = nil
	}
	f.mu.Unlock()
	if before != nil && !read {
		before()
	}
	if hang != nil {
		<-hang
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if read && f.reads {
		return nil, nil
	}
	return f.err, f.after
}

func (f *faulty) Load(ctx context.Context) (State, error) {
	if err, _ := f.gate(true); err != nil {
		return State{}, err
	}
	return f.Store.Load(context.Background())
}

func (f *faulty) Commit(ctx context.Context, next State, events []Event) error {
	err, after := f.gate(false)
	if err != nil {
		return err
	}
	return errors.Join(f.Store.Commit(context.Background(), next, events), after)
}

var day = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

type world struct {
	t     *testing.T
	store *faulty
	keep  *Keeper
	mu    sync.Mutex
	now   time.Time
	told  []Event
	last  State
}

// begin starts a keeper over a store where "web" runs v2 after v1, with v3 in
// waiting.
func begin(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: &faulty{Store: memory.New()}, now: day}
	w.keep = w.keeper()
	w.keep.OnChange(func(s State, events []Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.last, w.told = s, append(w.told, events...)
	})
	w.ok(Declare{Services: map[string]DeclaredService{"web": {Versions: map[string]DeclaredVersion{
		"v1": {Spec: Spec{Endpoints: []string{"a:1"}}, Weight: 100},
		"v2": {Spec: Spec{Endpoints: []string{"a:2"}}},
		"v3": {Spec: Spec{Endpoints: []string{"a:3"}}},
	}}}})
	w.ok(flip("v2", 100))
	return w
}

func (w *world) keeper() *Keeper {
	w.t.Helper()
	k, err := NewKeeper(w.t.Context(), w.store, KeeperOptions{
		Now: w.clock, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond,
		Timeout: 10 * time.Second, Patience: 30 * time.Millisecond,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Minute)
	return w.now
}

// run starts Run and returns what ends it.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.keep.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

func flip(version string, weight int) SetWeights {
	return SetWeights{Service: "web", Weights: map[string]int{version: weight}}
}

func (w *world) ok(cmd Command) Result {
	w.t.Helper()
	r, err := w.keep.Do(w.t.Context(), cmd, Meta{By: "anna"})
	if err != nil || !r.Durable {
		w.t.Fatalf("%s: durable %v, error %v", cmd.Kind(), r.Durable, err)
	}
	return r
}

// held rolls back while the store fails.
func (w *world) held(cmd Rollback) Result {
	w.t.Helper()
	r, err := w.keep.Do(w.t.Context(), cmd, Meta{By: "anna"})
	if err != nil || r.Durable || len(r.Events) != 1 {
		w.t.Fatalf("rollback: durable %v, events %v, error %v", r.Durable, r.Events, err)
	}
	return r
}

func (w *world) fails(cmd Command, want error) {
	w.t.Helper()
	before := w.keep.State()
	if _, err := w.keep.Do(w.t.Context(), cmd, Meta{By: "anna"}); !errors.Is(err, want) {
		w.t.Fatalf("%s: error %v, want %v", cmd.Kind(), err, want)
	}
	if !reflect.DeepEqual(w.keep.State(), before) {
		w.t.Fatalf("%s failed and changed the state", cmd.Kind())
	}
}

// other commits as another process would.
func (w *world) other(cmd Command) State {
	w.t.Helper()
	s, err := w.store.Store.Load(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	next, events, err := Apply(s, cmd, Meta{By: "other", At: w.clock()})
	if err == nil {
		err = w.store.Store.Commit(context.Background(), next, events)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return next
}

func live(s State) string {
	out := ""
	for _, name := range s.Services["web"].VersionNames() {
		if weight := s.Services["web"].Versions[name].Weight; weight > 0 {
			out += fmt.Sprintf("%s=%d ", name, weight)
		}
	}
	return out
}

func (w *world) live(want string) {
	w.t.Helper()
	if got := live(w.keep.State()); got != want+" " {
		w.t.Fatalf("live %q, want %q", got, want)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := live(w.last); got != want+" " {
		w.t.Fatalf("told %q, want %q", got, want)
	}
}

func (w *world) stored(want string) State {
	w.t.Helper()
	s, err := w.store.Store.Load(context.Background())
	if err != nil || live(s) != want+" " {
		w.t.Fatalf("stored %q, error %v; want %q", live(s), err, want)
	}
	return s
}

func (w *world) await(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("10 s passed without: %s", what)
		}
	}
}

func (w *world) settled() bool { return len(w.keep.Pending()) == 0 }

func (w *world) kinds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var kinds []string
	for _, e := range w.told {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func TestKeeperCommits(t *testing.T) {
	w := begin(t)
	r := w.ok(flip("v3", 100))
	if len(r.Events) != 1 || r.Events[0].At != w.now || r.State.Revision != 3 {
		t.Errorf("result %+v", r)
	}
	w.live("v3=100")
	if r := w.ok(flip("v3", 100)); len(r.Events) != 0 || r.State.Revision != 3 {
		t.Errorf("a flip to the same changed %+v", r.Events)
	}
	w.fails(flip("v9", 1), ErrNotFound)
	events, err := w.keep.Audit(t.Context(), "web", 3, 1)
	if err != nil || len(events) != 1 || events[0].Revision != 2 {
		t.Errorf("audit %+v, error %v", events, err)
	}
	if got := fmt.Sprint(w.kinds()); got != "[declare set_weights set_weights]" {
		t.Errorf("told %s", got)
	}
}

func TestKeeperAppliesAgainOnConflict(t *testing.T) {
	w := begin(t)
	w.store.set(func(f *faulty) { f.before = func() { w.other(VoidPins{Service: "web", Version: "v1"}) } })
	if r := w.ok(flip("v3", 100)); r.State.Revision != 4 || r.State.Services["web"].Versions["v1"].LeastEpoch != 3 {
		t.Errorf("state %+v", r.State)
	}
	if got := fmt.Sprint(w.kinds()); got != "[declare set_weights void_pins set_weights]" {
		t.Errorf("told %s", got)
	}
	w.store.set(func(f *faulty) { f.err = fmt.Errorf("always: %w", ErrConflict); f.reads = true })
	w.fails(flip("v1", 100), ErrStore)
}

func TestKeeperFollowsOthers(t *testing.T) {
	w := begin(t)
	defer w.run()()
	w.other(flip("v3", 100))
	w.await("the flip of another", func() bool { return live(w.keep.State()) == "v3=100 " })
	w.other(VoidPins{Service: "web", Version: "v1"})
	w.await("all events", func() bool { return fmt.Sprint(w.kinds()) == "[declare set_weights set_weights void_pins]" })
}

func TestStoreFailsAtTheStart(t *testing.T) {
	store := &faulty{Store: memory.New(), err: syscall.EIO}
	if _, err := NewKeeper(t.Context(), store, KeeperOptions{}); !errors.Is(err, ErrStore) || !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v", err)
	}
}

func TestRollbackWithoutTheStore(t *testing.T) {
	for name, cause := range map[string]error{"disk full": syscall.ENOSPC, "read-only": syscall.EROFS, "down": errors.New("no route")} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			w.store.set(func(f *faulty) { f.err = cause })
			w.fails(flip("v3", 100), ErrStore)
			w.fails(flip("v3", 100), cause)
			w.held(Rollback{Service: "web"})
			w.live("v1=100")
			w.stored("v2=100")
			p := w.keep.Pending()
			if len(p) != 1 || !errors.Is(p[0].Err, cause) || !reflect.DeepEqual(p[0].Command, Rollback{Service: "web"}) || len(p[0].Events) != 1 {
				t.Errorf("pending %+v", p)
			}
			w.fails(flip("v3", 100), ErrStore)
			w.fails(Rollback{Service: "web"}, ErrRefused)

			stop := w.run()
			calls := func() int { w.store.mu.Lock(); defer w.store.mu.Unlock(); return w.store.calls }
			from := calls()
			w.await("some attempts", func() bool { return calls() > from+3 })
			w.live("v1=100")
			w.store.set(func(f *faulty) { f.err = nil })
			w.await("the store to take it", w.settled)
			stop()
			w.live("v1=100")
			if s := w.stored("v1=100"); !reflect.DeepEqual(s, w.keep.State()) {
				t.Errorf("stored %+v, in force %+v", s, w.keep.State())
			}
			if got := fmt.Sprint(w.kinds()); got != "[declare set_weights rollback]" {
				t.Errorf("told %s", got)
			}
			w.ok(flip("v3", 100))
		})
	}
}

// TestHeldRollbacksKeepTheirOutcome rolls back twice without a store: "before
// the newest raise" must not be asked again when they are committed.
func TestHeldRollbacksKeepTheirOutcome(t *testing.T) {
	w := begin(t)
	w.ok(flip("v3", 100))
	w.store.set(func(f *faulty) { f.err = syscall.ENOSPC })
	w.held(Rollback{Service: "web"})
	w.live("v2=100")
	w.held(Rollback{Service: "web"})
	w.live("v1=100")
	epoch := w.keep.State().Services["web"].Epoch
	w.store.set(func(f *faulty) { f.err = nil })
	// Any command brings them to the store first.
	w.ok(VoidPins{Service: "web", Version: "v3"})
	s := w.stored("v1=100")
	if !w.settled() || s.Revision != 6 || s.Services["web"].Epoch != epoch+1 {
		t.Errorf("pending %v, revision %d, epoch %d after %d", w.keep.Pending(), s.Revision, s.Services["web"].Epoch, epoch)
	}
}

func TestHeldRollbackLiesOverTheStore(t *testing.T) {
	w := begin(t)
	w.store.set(func(f *faulty) { f.err = syscall.EROFS; f.reads = true })
	w.held(Rollback{Service: "web"})
	stop := w.run()
	w.other(SetWeights{Service: "web", Weights: map[string]int{"v2": 50, "v3": 50}})
	w.await("the state of another", func() bool { return w.keep.State().Revision == 4 })
	w.live("v1=100")
	w.store.set(func(f *faulty) { f.err = nil })
	w.await("the store to take it", w.settled)
	stop()
	w.live("v1=100")
	w.stored("v1=100")
}

// TestFleetRollsBackOnce holds the same rollback in two processes: the one that
// comes second finds it done.
func TestFleetRollsBackOnce(t *testing.T) {
	w := begin(t)
	w.ok(flip("v3", 100))
	second := w.keeper()
	w.store.set(func(f *faulty) { f.err = syscall.EIO })
	w.held(Rollback{Service: "web"})
	if r, err := second.Do(t.Context(), Rollback{Service: "web"}, Meta{By: "ben"}); err != nil || r.Durable {
		t.Fatalf("durable %v, error %v", r.Durable, err)
	}
	w.store.set(func(f *faulty) { f.err = nil })
	for _, k := range []*Keeper{w.keep, second} {
		if _, err := k.Do(t.Context(), flip("v9", 1), Meta{By: "x"}); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if len(k.Pending()) != 0 || live(k.State()) != "v2=100 " {
			t.Errorf("pending %v, live %s", k.Pending(), live(k.State()))
		}
	}
	if s := w.stored("v2=100"); s.Revision != 4 {
		t.Errorf("revision %d, want one rollback, 4", s.Revision)
	}
}

func TestCommitThatCameThroughAfterAll(t *testing.T) {
	w := begin(t)
	w.ok(flip("v3", 100))
	w.store.set(func(f *faulty) { f.after = errors.New("connection lost") })
	w.held(Rollback{Service: "web"})
	w.store.set(func(f *faulty) { f.after = nil })
	defer w.run()()
	w.await("the store to be asked", w.settled)
	if s := w.stored("v2=100"); s.Revision != 4 {
		t.Errorf("revision %d, want 4: it had it already", s.Revision)
	}
	if got := fmt.Sprint(w.kinds()); got != "[declare set_weights set_weights rollback]" {
		t.Errorf("told %s", got)
	}
}

func TestHeldRollbackLapses(t *testing.T) {
	w := begin(t)
	w.store.set(func(f *faulty) { f.err = syscall.EIO })
	w.held(Rollback{Service: "web"})
	w.other(Declare{Services: map[string]DeclaredService{}})
	w.store.set(func(f *faulty) { f.err = nil })
	defer w.run()()
	w.await("the rollback to lapse", w.settled)
	w.await("the service to go", func() bool { return w.keep.State().Services["web"] == nil })
}

// TestStoreHangs has a store that neither answers nor heeds its context, and a
// command that waits for it with a long timeout.
func TestStoreHangs(t *testing.T) {
	w := begin(t)
	hang := make(chan struct{})
	w.store.set(func(f *faulty) { f.hang = hang })
	waiting := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := w.keep.Do(context.Background(), flip("v3", 100), Meta{By: "ben"})
			waiting <- err
		}()
	}
	w.await("the store to hang", func() bool { w.store.mu.Lock(); defer w.store.mu.Unlock(); return w.store.calls == 4 })
	began := time.Now()
	w.held(Rollback{Service: "web"})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a rollback took %v", took)
	}
	w.live("v1=100")
	for range 2 {
		if err := <-waiting; !errors.Is(err, ErrStore) {
			t.Errorf("error %v", err)
		}
	}
	// The flip comes through after all, and the rollback over it.
	w.store.set(func(f *faulty) { f.hang = nil })
	close(hang)
	defer w.run()()
	w.await("the store to take it", w.settled)
	w.live("v1=100")
	w.stored("v1=100")
}

func TestDoHeedsItsContextWhileItWaits(t *testing.T) {
	w := begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, cmd := range []Command{flip("v3", 1), Rollback{Service: "web"}} {
		if _, err := w.keep.Do(ctx, cmd, Meta{By: "anna"}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", cmd.Kind(), err)
		}
	}
	w.live("v2=100")
}

func TestManyAtOnce(t *testing.T) {
	w := begin(t)
	defer w.run()()
	second := w.keeper()
	var wg sync.WaitGroup
	for i := range 40 {
		k := w.keep
		if i%2 == 1 {
			k = second
		}
		wg.Go(func() {
			_, err := k.Do(t.Context(), VoidPins{Service: "web", Version: "v1"}, Meta{By: "anna"})
			if err != nil && !errors.Is(err, ErrStore) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := w.stored("v2=100")
	w.await("the newest revision", func() bool { return w.keep.State().Revision == s.Revision })
	if s.Services["web"].Epoch != s.Revision {
		t.Errorf("epoch %d at revision %d: a command was lost or done twice", s.Services["web"].Epoch, s.Revision)
	}
}

// TestRolloutRollsBackWithoutTheStore in all its services, and is rolling back
// until the store has it.
func TestRolloutRollsBackWithoutTheStore(t *testing.T) {
	w := begin(t)
	endpoint := Spec{Endpoints: []string{"a:9"}}
	w.ok(Declare{Services: map[string]DeclaredService{
		"web": {Versions: map[string]DeclaredVersion{"v1": {Spec: endpoint, Weight: 100}, "v2": {Spec: endpoint}, "v3": {Spec: endpoint}}},
		"api": {Versions: map[string]DeclaredVersion{"v7": {Spec: endpoint, Weight: 1}}},
	}})
	policy := Policy{Name: "p", Stages: []Stage{{Kind: StageShift, Share: 500}, {Kind: StageBake}}}
	w.ok(StartRollout{Policy: policy, Legs: []StartLeg{{"web", "v9", &endpoint}, {"api", "v9", &endpoint}}})
	id := w.keep.State().RolloutOf("web", "v9").ID
	w.ok(MoveRollout{ID: id, To: PhaseShifting})
	rollback := Rollback{Service: "api", Rollout: id, Evidence: []Evidence{{Service: "api"}}}

	w.store.set(func(f *faulty) { f.err = syscall.ENOSPC })
	w.fails(SteerRollout{ID: id, Action: ActionAbort}, ErrStore)
	r, err := w.keep.Do(t.Context(), rollback, Meta{By: "judge", Why: "harm"})
	if err != nil || r.Durable || len(r.Events) != 2 || r.Events[0].Rollout != id {
		t.Fatalf("durable %v, events %+v, error %v", r.Durable, r.Events, err)
	}
	phase := func(want Phase) {
		t.Helper()
		s := w.keep.State()
		if got := s.Rollouts[id]; got.Phase != want || s.Services["api"].Weights()["v9"]+s.Services["web"].Weights()["v9"] > 0 {
			t.Fatalf("%s, want %s; %v and %v", got.Phase, want, s.Services["api"].Weights(), s.Services["web"].Weights())
		}
	}
	phase(PhaseRollingBack)
	w.fails(rollback, ErrConflict)
	w.store.set(func(f *faulty) { f.err = nil })
	w.ok(VoidPins{Service: "web", Version: "v3"}) // brings it to the store first
	phase(PhaseRolledBack)
	if m := w.keep.State().Rollouts[id].Moves; len(m) != 2 || m[1].By != "judge" || len(m[1].Evidence) != 1 || m[1].From != PhaseShifting {
		t.Errorf("%+v", m)
	}
}

// TestRolloutsRollbackThatCameThrough after its caller had given up is not made
// twice.
func TestRolloutsRollbackThatCameThrough(t *testing.T) {
	w := begin(t)
	endpoint := Spec{Endpoints: []string{"a:9"}}
	w.ok(StartRollout{Policy: Policy{Name: "p", Stages: []Stage{{Kind: StageBake}}}, Legs: []StartLeg{{"web", "v9", &endpoint}}})
	id := w.keep.State().RolloutOf("web", "v9").ID
	w.ok(MoveRollout{ID: id, To: PhaseBaking})
	w.store.set(func(f *faulty) { f.after = syscall.EIO })
	if _, err := w.keep.Do(t.Context(), Rollback{Service: "web"}, Meta{By: "anna"}); err != nil {
		t.Fatal(err)
	}
	w.store.set(func(f *faulty) { f.after = nil })
	w.ok(VoidPins{Service: "web", Version: "v3"})
	s := w.stored("v2=100")
	if r := s.Rollouts[id]; r.Phase != PhaseRolledBack || len(r.Moves) != 2 {
		t.Errorf("%+v", r)
	}
}
