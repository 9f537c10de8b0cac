// Package driver moves rollouts: it has the clock and the I/O that the pure
// machine (package rollout) and the judge do without.
//
// Each rollout that is not over has a goroutine. At every change of the state,
// at every bad event on the data path and each second it takes in what was
// counted, asks the judge and then the machine, and carries out what the machine
// says by a command to the state. So a decision is never more than a few
// milliseconds behind what it rests on, and nobody else moves a rollout.
//
// A step forward is taken once the evidence is in the store, so that a process
// that dies in between finds it there. A rollback waits for nothing: it carries
// its evidence along, and the keeper puts it in force without the store if it
// has to.
package driver

import (
	"context"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/rollout"
	"sluice/rollout/hook"
	"sluice/state"
	"sluice/stats/trial"
)

// Control is the state and the way to change it; state.Keeper has it.
type Control interface {
	State() state.State
	Do(ctx context.Context, cmd state.Command, meta state.Meta) (state.Result, error)
	OnChange(func(state.State, []state.Event))
}

// Trial is where the evidence of a rollout in a service comes from; trial.Trial
// is one. Drain has one caller at a time.
type Trial interface {
	Wake() <-chan struct{}
	Drain(now time.Time) trial.Increments
}

// Options are what a Driver needs. All but Control and Documents may be nil.
type Options struct {
	Control   Control
	Documents state.Documents
	// Trial returns the trial of a rollout in a service; nil while there is none.
	Trial func(rollout, service string) Trial
	// Endpoints returns how many endpoints of a version are neither down nor
	// ejected, and how many are known.
	Endpoints func(service, version string) (healthy, known int)
	// Facts are what the rules of safety ask for, of some services.
	Facts func(services []string) *state.Facts
	// Probe sends one round of a stage's synthetic requests to a version; nil
	// as a result passes.
	Probe func(ctx context.Context, service, version string, stage state.Stage) error
	// Shadow returns how a candidate answers copies of requests in a stage of its
	// rollout, and that as evidence; nil: nobody sends any.
	Shadow func(rollout string, stage int, service string) (*rollout.Shadow, *state.ShadowEvidence)
	// Tell gives a transition to the hooks. It returns at once.
	Tell func(hook.Transition, []state.Hook)
	// Lost is told how many events did not fit into a trial.
	Lost func(events int64)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Ticks returns a channel that ticks about so often, and what ends it; nil: a
	// time.Ticker.
	Ticks func(time.Duration) (<-chan time.Time, func())
	Log   *zap.Logger // nil: none
}

func (o Options) withDefaults() Options {
	if o.Trial == nil {
		o.Trial = func(string, string) Trial { return nil }
	}
	if o.Endpoints == nil {
		o.Endpoints = func(string, string) (int, int) { return 0, 0 }
	}
	if o.Facts == nil {
		o.Facts = func([]string) *state.Facts { return nil }
	}
	if o.Probe == nil {
		o.Probe = func(context.Context, string, string, state.Stage) error { return nil }
	}
	if o.Shadow == nil {
		o.Shadow = func(string, int, string) (*rollout.Shadow, *state.ShadowEvidence) { return nil, nil }
	}
	if o.Tell == nil {
		o.Tell = func(hook.Transition, []state.Hook) {}
	}
	if o.Lost == nil {
		o.Lost = func(int64) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ticks == nil {
		o.Ticks = func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Driver moves the rollouts of one process, from Start to Stop.
type Driver struct {
	opts  Options
	moved chan struct{}   // the state has changed; has room for one token
	told  map[string]told // by rollout

	mu      sync.Mutex
	runners map[string]*runner // by rollout
	ctx     context.Context    // of the runners; ended: there are to be none
	halt    context.CancelFunc

	ending  context.Context // ends with Stop
	end     context.CancelFunc
	running sync.WaitGroup // runners
	tasks   sync.WaitGroup // all else
}

// New returns a driver that does nothing before Start.
func New(opts Options) *Driver {
	d := &Driver{opts: opts.withDefaults(), moved: make(chan struct{}, 1), runners: map[string]*runner{}}
	d.ending, d.end = context.WithCancel(context.Background())
	d.ctx, d.halt = context.WithCancel(d.ending)
	return d
}

// Start begins to move the rollouts that the state has. Transitions that were
// made before are not told to hooks again.
func (d *Driver) Start() {
	d.told = map[string]told{}
	for id, r := range d.opts.Control.State().Rollouts {
		d.told[id] = newest(r)
	}
	d.opts.Control.OnChange(func(state.State, []state.Event) { poke(d.moved) })
	d.tasks.Go(d.supervise)
	d.tasks.Go(d.sweep)
}

// poke leaves a token in a channel with room for one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// supervise follows the state: it tells hooks of new transitions, and sees to it
// that each rollout which is not over has a runner.
func (d *Driver) supervise() {
	for {
		s := d.opts.Control.State()
		if !d.pausing() { // else the successor tells
			d.tell(s)
		}
		d.follow(s)
		select {
		case <-d.moved:
		case <-d.ending.Done():
			return
		}
	}
}

// told is the newest transition of a rollout that the hooks know.
type told struct {
	seq uint64
	to  state.Phase
}

// newest returns what the hooks are to know of a rollout.
func newest(r *state.Rollout) told {
	if n := len(r.Moves); n > 0 {
		return told{r.Moves[n-1].Seq, r.Moves[n-1].To}
	}
	return told{}
}

// tell tells the hooks of transitions since the last time. A rollback that was
// held takes the place of its provisional self when it is durable, and is told
// then, too.
func (d *Driver) tell(s state.State) {
	for id, r := range s.Rollouts {
		before, now := d.told[id], newest(r)
		if now == before {
			continue
		}
		after := before.seq
		if now.seq == before.seq {
			after--
		}
		for _, t := range hook.Transitions(r, after) {
			d.opts.Tell(t, r.Policy.Hooks)
		}
		d.told[id] = now
	}
	maps.DeleteFunc(d.told, func(id string, _ told) bool { return s.Rollouts[id] == nil })
}

// follow starts runners for new rollouts and wakes the others. A runner ends by
// itself when its rollout is over.
func (d *Driver) follow(s state.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, r := range s.Rollouts {
		run := d.runners[id]
		if r.Phase.Over() || run != nil && run.ctx == d.ctx || d.ctx.Err() != nil {
			continue
		}
		if run == nil {
			run = newRunner(d, id)
			d.runners[id] = run
		}
		ctx := d.ctx
		run.ctx = ctx
		d.running.Go(func() {
			if run.run(ctx) {
				d.ended(id)
			}
		})
	}
	for _, run := range d.runners {
		poke(run.poke)
	}
}

// ended forgets the runner of a rollout that is over.
func (d *Driver) ended(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.runners, id)
	poke(d.moved)
}

// Evidence returns what the judge sees of a rollout under way, a leg each; nil
// where nothing is counted yet.
func (d *Driver) Evidence(id string) []state.Evidence {
	if run := d.runner(id); run != nil {
		return run.report.Load().evidence
	}
	return nil
}

// Trouble returns why a rollout does not do what it is due to do; "": it does.
func (d *Driver) Trouble(id string) string {
	if run := d.runner(id); run != nil {
		return run.report.Load().trouble
	}
	return ""
}

func (d *Driver) runner(id string) *runner {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.runners[id]
}

func (d *Driver) pausing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx.Err() != nil
}

// Pause ends all moves and brings the evidence into the store, so that another
// process can go on by it, until Resume. Evidence that the store does not take is
// lost to the other process: it decides later, and no less rightly.
func (d *Driver) Pause() {
	d.mu.Lock()
	d.halt()
	d.mu.Unlock()
	d.running.Wait()
}

// Resume goes on after Pause, by the evidence in the store.
func (d *Driver) Resume() {
	d.mu.Lock()
	d.ctx, d.halt = context.WithCancel(d.ending)
	d.mu.Unlock()
	poke(d.moved)
}

// Stop ends all that Start began and brings the evidence into the store, which
// is to be open still.
func (d *Driver) Stop() {
	d.end()
	d.Pause()
	d.tasks.Wait()
}
