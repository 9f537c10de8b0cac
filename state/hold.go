package state

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"
)

// held is a rollback that waits for the store.
type held struct {
	PendingChange
	fixed restore // the same with its outcome settled
}

// over applies the rollback to a state from the store. One that is refused
// there leaves it as it is, and lapses when the store can be asked.
func (h held) over(s State) State {
	next, _, _ := Apply(s, h.fixed, h.Meta)
	return next
}

// hold puts a rollback in force without the store. Its outcome is settled now,
// on the state that the caller saw: asked again later, "before the newest
// raise" could mean another one.
func (k *Keeper) hold(c Rollback, meta Meta, cause error) (Result, error) {
	now := k.State()
	fixed, err := c.resolve(now)
	if err != nil {
		return Result{}, err
	}
	fixed.Held = true
	next, events, err := Apply(now, fixed, meta)
	if err != nil {
		return Result{}, err
	}
	if len(events) > 0 {
		for i, w := range fixed.Ways {
			if svc := next.Services[w.Service]; svc != nil {
				fixed.Ways[i].Epoch = svc.Epoch
			}
		}
		k.held = append(k.held, held{PendingChange{Command: c, Meta: meta, Events: events, Err: cause}, fixed})
		k.opts.Log.Error("a rollback is in force but not durable", zap.String("service", c.Service), zap.Error(cause))
		k.publish(events)
		select {
		case k.wake <- struct{}{}:
		default:
		}
	}
	return Result{State: k.State(), Events: events, Durable: len(k.held) == 0}, nil
}

// reconcile commits what is held, oldest first, on the newest state.
func (k *Keeper) reconcile(ctx context.Context) error {
	if len(k.held) == 0 {
		return nil
	}
	waiting := len(k.held)
	err := k.follow(ctx)
	for tries := 0; err == nil && len(k.held) > 0; tries++ {
		if tries == maxTries+len(k.held) {
			err = fmt.Errorf("%w: others committed first too often", ErrStore)
			break
		}
		if err = k.commitHeld(ctx); errors.Is(err, ErrConflict) {
			err = k.follow(ctx)
		}
	}
	if err != nil {
		for i := range k.held {
			k.held[i].Err = err
		}
	}
	if len(k.held) == waiting {
		k.show()
		return err
	}
	k.publish(nil)
	return err
}

// commitHeld commits the oldest rollback that is held. One that the store has
// already, since an earlier attempt came through after all, needs no commit;
// one that its state refuses, since its versions are gone, lapses.
func (k *Keeper) commitHeld(ctx context.Context) error {
	h := k.held[0]
	log := k.opts.Log.With(zap.String("service", h.fixed.Service), zap.String("by", h.Meta.By))
	durable := h.fixed
	durable.Held = false
	next, events, err := Apply(k.base, durable, h.Meta)
	switch {
	case err != nil:
		log.Error("a rollback that was in force lapses: the state in the store refuses it", zap.Error(err))
	case len(events) == 0:
		log.Info("a rollback is durable")
	default:
		if err := k.put(ctx, next, events); err != nil {
			return err
		}
		k.base = next
		log.Info("a rollback is durable")
	}
	k.held = slices.Clone(k.held[1:])
	return nil
}

// maxFollowed is how many events of others are told at a time; the oldest are
// left out.
const maxFollowed = 1000

// follow takes in what others committed.
func (k *Keeper) follow(ctx context.Context) error {
	s, err := k.load(ctx)
	if err != nil {
		return err
	}
	if s.Revision == k.base.Revision {
		return nil
	}
	if s.Revision < k.base.Revision {
		k.opts.Log.Warn("the store went back", zap.Uint64("from", k.base.Revision), zap.Uint64("to", s.Revision))
	}
	events := k.eventsSince(ctx, k.base.Revision, s.Revision)
	k.base = s
	k.publish(events)
	return nil
}

// eventsSince returns the events after one revision up to another, oldest
// first. The state matters more: without them it is still followed.
func (k *Keeper) eventsSince(ctx context.Context, after, upTo uint64) []Event {
	events, err := call(ctx, k, func(ctx context.Context) ([]Event, error) {
		return k.store.Audit(ctx, "", upTo+1, maxFollowed)
	})
	if err != nil {
		k.opts.Log.Warn("the audit can't be read", zap.Error(err))
		return nil
	}
	events = slices.DeleteFunc(events, func(e Event) bool { return e.Revision <= after || k.told(e) })
	slices.Reverse(events)
	return events
}

// told tells whether an event is that of a held rollback, told when it took
// effect, whose commit came through after its caller had given up.
func (k *Keeper) told(e Event) bool {
	return slices.ContainsFunc(k.held, func(h held) bool {
		return e.Kind == h.fixed.Kind() && e.By == h.Meta.By && e.At.Equal(h.Meta.At) &&
			slices.ContainsFunc(h.Events, func(told Event) bool { return told.Service == e.Service })
	})
}

func (k *Keeper) load(ctx context.Context) (State, error) {
	return call(ctx, k, k.store.Load)
}

func (k *Keeper) put(ctx context.Context, next State, events []Event) error {
	_, err := call(ctx, k, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, k.store.Commit(ctx, next, events)
	})
	return err
}

// call runs one act on the store and gives up after the timeout, whether or not
// the store heeds its context: a file on a disk that hangs doesn't. The act
// then goes on alone, and the store counts as failed until it ends. An error
// wraps ErrConflict or ErrStore.
func call[T any](ctx context.Context, k *Keeper, act func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	select {
	case k.slot <- struct{}{}:
	default:
		return none, fmt.Errorf("%w: it still hangs in an earlier call", ErrStore)
	}
	ctx, cancel := context.WithTimeout(ctx, k.opts.Timeout)
	defer cancel()
	answers := make(chan answer, 1)
	go func() {
		value, err := act(ctx)
		<-k.slot // before the answer, whose receiver may call at once
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && !errors.Is(a.err, ErrConflict) {
			return none, fmt.Errorf("%w: %w", ErrStore, a.err)
		}
		return a.value, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("%w: it did not answer in time", ErrStore)
	case <-k.hurry:
		return none, fmt.Errorf("%w: it did not answer before a rollback came", ErrStore)
	}
}
