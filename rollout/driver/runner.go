package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/rollout"
	"sluice/state"
)

const (
	// lookEvery is how often a rollout is looked at when nothing happens.
	lookEvery = time.Second
	// lookGap is the least time between two looks, so that a storm of bad events
	// costs a tenth of one CPU at most: a look takes some 0.2 ms.
	lookGap = 2 * time.Millisecond
	// saveEvery is how often the evidence is saved while it changes.
	saveEvery = 5 * time.Second
	// retryAfter is how long a step that failed waits for its next try, and
	// lookAgain one that met a change by others.
	retryAfter = time.Second
	lookAgain  = 20 * time.Millisecond
)

// runner moves one rollout. Its fields belong to the goroutine of run, but for
// poke, results and report.
type runner struct {
	d    *Driver
	id   string
	ctx  context.Context // that it runs under, of Driver.mu
	log  *zap.Logger
	poke chan struct{} // asks for a look; has room for one token

	legs    map[string]*leg // by service
	loaded  bool            // what an earlier process has counted is among them
	loadAt  time.Time       // the next try
	saved   []byte          // the newest document in the store
	feeds   map[string]feed // by service
	probing *probing        // nil: no probes are sent
	facts   *state.Facts
	factsAt time.Time // when they were asked for

	forward, back, saving task
	tasks                 sync.WaitGroup
	results               chan func() // what came of tasks, to be taken in
	trouble               string

	report atomic.Pointer[report]
}

// report is what others may know.
type report struct {
	evidence []state.Evidence
	trouble  string
}

// publish lets others know.
func (r *runner) publish(o rollout.Observation) {
	p := &report{trouble: r.trouble}
	for _, l := range o.Legs {
		if l.Evidence != nil {
			p.evidence = append(p.evidence, *l.Evidence)
		}
		if p.trouble == "" && l.Probes.Failed != "" {
			p.trouble = fmt.Sprintf("a probe of %s failed: %s", l.Service, l.Probes.Failed)
		}
	}
	r.report.Store(p)
}

// task is something that is done beside the looks, once at a time.
type task struct {
	busy      bool
	notBefore time.Time
}

func newRunner(d *Driver, id string) *runner {
	r := &runner{
		d: d, id: id, log: d.opts.Log.With(zap.String("rollout", id)),
		poke: make(chan struct{}, 1), results: make(chan func(), 8),
		legs: map[string]*leg{}, feeds: map[string]feed{},
	}
	r.report.Store(&report{})
	return r
}

// run moves the rollout until it is over or ctx ends. In the latter case it may
// be called again.
func (r *runner) run(ctx context.Context) (over bool) {
	ctx, cancel := context.WithCancel(ctx)
	ticks, stop := r.d.opts.Ticks(lookEvery)
	defer stop()
	for {
		if over = r.look(ctx); over || !r.await(ctx, ticks) {
			break
		}
	}
	cancel()
	r.leave(over)
	return over
}

// await waits for a reason to look; false: ctx has ended.
func (r *runner) await(ctx context.Context, ticks <-chan time.Time) bool {
	gap := time.NewTimer(lookGap)
	defer gap.Stop()
	select {
	case <-gap.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-ticks:
	case <-r.poke:
	case <-ctx.Done():
		return false
	}
	return true
}

// look takes in what was counted, asks the machine, and begins what it says.
func (r *runner) look(ctx context.Context) (over bool) {
	now, s := r.d.opts.Now(), r.d.opts.Control.State()
	r.collect()
	ro := s.Rollouts[r.id]
	if ro == nil || ro.Phase.Over() {
		return true
	}
	r.load(ctx, ro, now)
	o := r.observe(s, ro, now)
	r.publish(o)
	if step, due := rollout.Next(s, ro, o); due {
		r.act(ctx, step, now)
	}
	if !now.Before(r.saving.notBefore) {
		r.save(ctx, now)
	}
	return false
}

// begin does something beside the looks; what it returns is called by the next
// look.
func (r *runner) begin(t *task, do func() (then func())) {
	t.busy = true
	r.tasks.Go(func() {
		then := do()
		r.results <- func() { t.busy = false; then() }
		poke(r.poke)
	})
}

// collect takes in what came of tasks.
func (r *runner) collect() {
	for {
		select {
		case then := <-r.results:
			then()
		default:
			return
		}
	}
}

// act begins to carry out what the machine says, unless it is under way. A
// rollback does not wait for a step forward that is under way, and waits for
// nothing else.
func (r *runner) act(ctx context.Context, step rollout.Step, now time.Time) {
	if _, isBack := step.Command.(state.Rollback); !isBack {
		r.actForward(ctx, step, now)
		return
	}
	t := &r.back
	if t.busy || now.Before(t.notBefore) {
		return
	}
	r.begin(t, func() func() {
		_, err := r.d.opts.Control.Do(ctx, step.Command, step.Meta)
		return func() { r.done(t, step, err, now) }
	})
}

// actForward saves the evidence and then takes the step. A save that is under way
// comes first, or it would bring older evidence over this.
func (r *runner) actForward(ctx context.Context, step rollout.Step, now time.Time) {
	t := &r.forward
	if t.busy || r.saving.busy || now.Before(t.notBefore) {
		return
	}
	doc := r.document()
	r.begin(t, func() func() {
		var err error
		if doc != nil {
			err = r.d.opts.Documents.PutDocument(ctx, documentKey(r.id), doc)
		}
		saved := err == nil
		if saved {
			_, err = r.d.opts.Control.Do(ctx, step.Command, step.Meta)
		}
		return func() {
			if saved {
				r.saved = doc
			}
			r.done(t, step, err, now)
		}
	})
}

// done takes in what came of a step. Whoever was quicker to move the rollout has
// changed what is due: the look under way finds it.
func (r *runner) done(t *task, step rollout.Step, err error, began time.Time) {
	if err == nil || errors.Is(err, state.ErrConflict) || errors.Is(err, context.Canceled) {
		r.trouble = ""
		t.notBefore = began.Add(lookAgain)
		return
	}
	t.notBefore = began.Add(retryAfter)
	if text := err.Error(); text != r.trouble {
		r.trouble = text
		r.log.Error("a rollout can't be moved; it is tried again", zap.String("command", step.Command.Kind()), zap.String("why", step.Meta.Why), zap.Error(err))
	}
}

// leaveWithin bounds the last save.
const leaveWithin = 3 * time.Second

// leave ends what runs beside the looks, and leaves the evidence to whoever
// comes next, if anybody.
func (r *runner) leave(over bool) {
	for service := range r.feeds {
		r.listen(service, nil)
	}
	r.endProbes()
	r.tasks.Wait()
	r.collect()
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	doc := r.document()
	if over {
		r.report.Store(&report{})
		doc = nil // its moves say what decided
	} else if doc == nil || bytes.Equal(doc, r.saved) {
		return
	}
	if err := r.d.opts.Documents.PutDocument(ctx, documentKey(r.id), doc); err != nil {
		r.log.Warn("the evidence of a rollout is not saved", zap.Error(err))
	}
}
