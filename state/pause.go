package state

import (
	"context"
	"errors"
)

// ErrPaused is returned by Do while the keeper is paused: nothing changed, and
// the same command may be given again in a moment.
var ErrPaused = errors.New("this process hands its work over to a successor and takes no change meanwhile")

// Pause makes the keeper refuse every change, rollbacks too, until Resume, and
// leave the store alone, so that another process may have it. It first waits
// for the change under way and brings what is held to the store. A store that
// fails is an error, wrapping ErrStore, and the keeper is not paused: what it
// holds would be lost to the other process.
func (k *Keeper) Pause(ctx context.Context) error {
	if err := k.acquire(ctx); err != nil {
		return err
	}
	defer k.release()
	if err := k.follow(ctx); err != nil {
		return err
	}
	if err := k.reconcile(ctx); err != nil {
		return err
	}
	k.paused = true
	return nil
}

// Resume ends a Pause and takes in what others committed meanwhile; if the
// store can't be read, Run does so later.
func (k *Keeper) Resume(ctx context.Context) error {
	if err := k.acquire(ctx); err != nil {
		return err
	}
	defer k.release()
	k.paused = false
	err := k.follow(ctx)
	select {
	case k.wake <- struct{}{}:
	default:
	}
	return err
}

// Adopt puts a state in force that another process is the keeper of, while this
// one is paused. It is told as a change without events.
func (k *Keeper) Adopt(ctx context.Context, s State) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if err := k.acquire(ctx); err != nil {
		return err
	}
	defer k.release()
	if !k.paused {
		return errors.New("state: only a keeper that is paused takes another's state")
	}
	k.base = s
	k.publish(nil)
	return nil
}
