package state

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// ErrStore is returned when the store did not take a change: nothing changed.
// Where the store did not answer at all, the change may still come later.
var ErrStore = errors.New("the store did not take the change")

// KeeperOptions are what a Keeper needs besides its store.
type KeeperOptions struct {
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log gets what nobody waits for: stores that fail, rollbacks that become
	// durable or lapse. nil: nothing is logged.
	Log *zap.Logger
	// Facts returns what this process sees of services, or of all where none is
	// named; nil: nothing. It is asked before a command that may raise shares and
	// brings no facts.
	Facts func(services []string) *Facts
	// RetryMin and RetryMax bound the time between attempts to reach a store
	// that failed; it doubles from one to the other. 0: 100 ms and 10 s.
	RetryMin, RetryMax time.Duration
	// Timeout is how long one call of the store may take before the store
	// counts as failed. 0: 2 s.
	Timeout time.Duration
	// Patience is how long a rollback waits, for its turn and then for the
	// store, before it goes ahead without the store. 0: 250 ms.
	Patience time.Duration
}

func (o KeeperOptions) withDefaults() KeeperOptions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.RetryMin <= 0 {
		o.RetryMin = 100 * time.Millisecond
	}
	if o.RetryMax <= 0 {
		o.RetryMax = 10 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 250 * time.Millisecond
	}
	return o
}

// Result is what a command led to.
type Result struct {
	State  State   // in force in this process
	Events []Event // empty if the command changed nothing
	// Durable is false while the store lacks this command or a rollback before
	// it.
	Durable bool
}

// PendingChange is a rollback in force in this process that the store has not
// taken yet.
type PendingChange struct {
	Command Command // as it was asked for
	Meta    Meta
	Events  []Event // what it changed here; the revisions are provisional
	Err     error   // why the store has not taken it
}

// Keeper is the one writer of the state in this process. It applies commands,
// commits them, follows what others commit to the same store, and tells those
// who asked.
//
// A rollback works without the store: it is applied here at once and held until
// the store takes it. Held rollbacks lie over whatever the store says
// meanwhile. The revision of a state with held rollbacks is provisional.
type Keeper struct {
	store Store
	opts  KeeperOptions

	view atomic.Pointer[view] // what readers see, whole

	// turn is held, by its one token, by whoever reads or changes what follows.
	turn   chan struct{}
	base   State  // as the store had it last
	held   []held // oldest first
	tell   []func(State, []Event)
	paused bool // no change is taken, and the store is not touched

	// slot is held while the store works, even after its caller gave up: a
	// store that hangs gets no second call.
	slot chan struct{}
	// hurry makes whoever waits for the store give way to a rollback.
	hurry chan struct{}
	wake  chan struct{} // tells Run of a newly held rollback
}

// view is what a reader sees: the state in force and what of it is not durable.
type view struct {
	state   State
	pending []PendingChange
}

// NewKeeper loads the state. A store that fails now is an error wrapping
// ErrStore: without a state there is nothing to keep.
func NewKeeper(ctx context.Context, store Store, opts KeeperOptions) (*Keeper, error) {
	k := &Keeper{
		store: store,
		opts:  opts.withDefaults(),
		turn:  make(chan struct{}, 1),
		slot:  make(chan struct{}, 1),
		hurry: make(chan struct{}),
		wake:  make(chan struct{}, 1),
	}
	s, err := k.load(ctx)
	if err != nil {
		return nil, err
	}
	k.base = s
	k.publish(nil)
	return k, nil
}

// State returns the state in force: one atomic load.
func (k *Keeper) State() State { return k.view.Load().state }

// Pending returns the changes in force here that are not durable yet, oldest
// first. It doesn't wait for anything.
func (k *Keeper) Pending() []PendingChange { return k.view.Load().pending }

// Audit returns events from the store: see Store.Audit. Rollbacks that are held
// are not among them.
func (k *Keeper) Audit(ctx context.Context, service string, before uint64, limit int) ([]Event, error) {
	return k.store.Audit(ctx, service, before, limit)
}

// OnChange calls f once now, with the present state and no events, and then at
// every change, whoever made it, in order and before Do returns. What a
// rollback changes is told when it takes effect, and not again when it becomes
// durable. f must be quick and must not call Do or OnChange.
func (k *Keeper) OnChange(f func(State, []Event)) {
	k.turn <- struct{}{}
	defer k.release()
	k.tell = append(k.tell, f)
	f(k.State(), nil)
}

func (k *Keeper) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// acquireSoon is acquire for a rollback: once its patience is at an end, it
// sends away whoever holds the turn only to wait for a store that hangs.
func (k *Keeper) acquireSoon(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, k.opts.Patience)
	defer cancel()
	if err := k.acquire(patient); err == nil || ctx.Err() != nil {
		return err
	}
	for {
		select {
		case k.turn <- struct{}{}:
			return nil
		case k.hurry <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *Keeper) release() { <-k.turn }

// maxTries bounds how often a command is applied anew because others were
// quicker to commit.
const maxTries = 10

// Do applies a command and commits it. Without meta.At it happens now. A
// refusal is a *Refusal; a store that fails is an error wrapping ErrStore,
// except for a Rollback, which then is in force here and not durable. Once it
// has its turn, it runs to its end although ctx ends.
func (k *Keeper) Do(ctx context.Context, cmd Command, meta Meta) (Result, error) {
	if meta.At.IsZero() {
		meta.At = k.opts.Now()
	}
	if services, wants := k.State().wantsFacts(cmd); wants && meta.Facts == nil && k.opts.Facts != nil {
		meta.Facts = k.opts.Facts(services)
	}
	if rollback, ok := cmd.(Rollback); ok {
		return k.rollback(ctx, rollback, meta)
	}
	if err := k.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer k.release()
	return k.commit(context.WithoutCancel(ctx), cmd, meta)
}

// rollback commits a rollback or, where the store fails, holds it.
func (k *Keeper) rollback(ctx context.Context, c Rollback, meta Meta) (Result, error) {
	if err := k.acquireSoon(ctx); err != nil {
		return Result{}, err
	}
	defer k.release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.opts.Patience)
	defer cancel()
	result, err := k.commit(ctx, c, meta)
	if errors.Is(err, ErrStore) {
		return k.hold(c, meta, err)
	}
	return result, err
}

// commit applies a command to the newest state until the store takes it.
func (k *Keeper) commit(ctx context.Context, cmd Command, meta Meta) (Result, error) {
	if k.paused {
		return Result{}, ErrPaused
	}
	if err := k.reconcile(ctx); err != nil {
		return Result{}, err
	}
	for range maxTries {
		next, events, err := Apply(k.base, cmd, meta)
		if err != nil || len(events) == 0 {
			return Result{State: k.State(), Durable: true}, err
		}
		err = k.put(ctx, next, events)
		if err == nil {
			k.base = next
			k.publish(events)
			return Result{State: next, Events: events, Durable: true}, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Result{}, err
		}
		if err := k.follow(ctx); err != nil {
			return Result{}, err
		}
	}
	return Result{}, fmt.Errorf("%w: others committed first %d times in a row; try again", ErrStore, maxTries)
}

// Run follows the store and brings held rollbacks to it until ctx ends, which
// is no error. A store that fails is tried again, ever less often.
func (k *Keeper) Run(ctx context.Context) error {
	tokens := k.store.Watch(ctx)
	delay := k.opts.RetryMin
	for {
		var retry <-chan time.Time
		if err := k.catchUp(ctx); err == nil {
			delay = k.opts.RetryMin
		} else if ctx.Err() == nil {
			k.opts.Log.Warn("the store fails", zap.Error(err), zap.Int("pending", len(k.Pending())), zap.Duration("retry_in", delay))
			retry = time.After(delay)
			delay = min(2*delay, k.opts.RetryMax)
		}
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-tokens:
			if !open {
				tokens = nil // ctx is ending
			}
		case <-k.wake:
		case <-retry:
		}
	}
}

// catchUp takes in what others committed and commits what is held.
func (k *Keeper) catchUp(ctx context.Context) error {
	if err := k.acquire(ctx); err != nil {
		return err
	}
	defer k.release()
	if k.paused {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if err := k.follow(ctx); err != nil {
		return err
	}
	return k.reconcile(ctx)
}

// publish shows the state in force to readers and tells those who asked. The
// caller has the turn.
func (k *Keeper) publish(events []Event) {
	k.show()
	for _, f := range k.tell {
		f(k.State(), events)
	}
}

// show makes the state in force, base and what is held over it, what readers
// see.
func (k *Keeper) show() {
	v := &view{state: k.base}
	for _, h := range k.held {
		v.state = h.over(v.state)
		v.pending = append(v.pending, h.PendingChange)
	}
	k.view.Store(v)
}
