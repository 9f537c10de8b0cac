package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/state"
)

// endsAsRollout marks the commands whose exit status says how a rollout ended, or
// another thing that they were asked for: 3 is whatever kept them from it.
const endsAsRollout = "ends as rollout"

// The exit statuses of those commands.
const (
	statusPromoted   = 0
	statusRolledBack = 1
	statusDropped    = 2 // superseded or aborted
	statusNotStarted = 3
	statusWaiting    = 4 // still under way
)

// outcome is returned when a command that stayed with a rollout has said all
// there is, and only the exit status is left to tell.
type outcome struct{ status int }

// Error is never shown.
func (o *outcome) Error() string { return fmt.Sprintf("exit status %d", o.status) }

// stillUnderWay is returned when a command stops to stay with a rollout.
type stillUnderWay struct {
	id  string
	why string
}

// Error says why, and that the rollout goes on.
func (e *stillUnderWay) Error() string { return fmt.Sprintf("%s; rollout %s goes on", e.why, e.id) }

// rolloutStatus maps an error of these commands to their exit status.
func rolloutStatus(err error) int {
	var ended *outcome
	var waiting *stillUnderWay
	switch {
	case errors.As(err, &ended):
		return ended.status
	case errors.As(err, &waiting):
		return statusWaiting
	}
	return statusNotStarted
}

func newRolloutWatch(r *remote) *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "watch ROLLOUT",
		Short: "See a rollout through",
		Long: `Tell of a rollout's transitions, those that were and those that come, until it is
over. The exit status is that of "rollout start --wait", and 3 where there is no
such rollout. ROLLOUT is an ID, such as r17; a service, for its newest one; or
SERVICE=VERSION.`,
		Example: `  sluice rollout watch r17
  sluice rollout watch web --timeout 30m`,
		Args:              cobra.ExactArgs(1),
		Annotations:       map[string]string{endsAsRollout: "yes"},
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.dial()
			if err != nil {
				return err
			}
			defer c.Close()
			if limit <= 0 {
				return usage("--timeout is %v; give a duration above 0, such as 2h", limit)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			id, err := newest(ctx, c, args[0])
			if err != nil {
				return err
			}
			now, err := c.Rollout(ctx, id)
			if err != nil {
				return err
			}
			return r.follow(ctx, cmd, c, now)
		},
	}
	cmd.Flags().DurationVar(&limit, "timeout", 2*time.Hour, "how long to stay at most")
	return cmd
}

// The times of a follower.
const (
	lookFor    = 20 * time.Second // one question for news
	tellEvery  = time.Minute      // what is seen while nothing moves
	missingFor = 10 * time.Minute // how long a proxy may be gone
)

// follower tells of a rollout until it is over.
type follower struct {
	r       *remote
	out     io.Writer
	warn    io.Writer
	last    *api.RolloutMove // the last that was told
	told    time.Time        // when something was told
	missing time.Time        // since when the proxy does not answer; zero: it does
	again   backoff
}

// follow tells of a rollout until it is over, ctx ends or the proxy is gone for
// too long.
func (r *remote) follow(ctx context.Context, cmd *cobra.Command, c *client.Client, now *api.Rollout) error {
	f := &follower{r: r, out: cmd.OutOrStdout(), warn: cmd.ErrOrStderr(), told: time.Now(),
		again: backoff{least: 100 * time.Millisecond, most: 3 * time.Second}}
	for {
		if err := f.tell(now); err != nil {
			return err
		}
		if now.Over {
			return ended(now.Phase)
		}
		next, err := c.AwaitRollout(ctx, now.ID, now.Seq, lookFor)
		switch {
		case ctx.Err() != nil:
			return stopped(ctx, cmd.Context(), now)
		case err == nil:
			f.missing, now = time.Time{}, next
			f.again.reset()
		case !passing(err):
			return err
		case !f.retry(ctx, err) && ctx.Err() != nil:
			return stopped(ctx, cmd.Context(), now)
		case time.Since(f.missing) >= missingFor:
			return &stillUnderWay{id: now.ID, why: fmt.Sprintf("no answer for %v: %v", missingFor, err)}
		}
	}
}

// stopped says why a command stays no longer.
func stopped(ctx, parent context.Context, now *api.Rollout) error {
	why := "interrupted while " + now.Text
	if parent.Err() == nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = "the time is over, and it is " + now.Text
	}
	return &stillUnderWay{id: now.ID, why: why}
}

// ended returns nil for what was promoted, else the exit status.
func ended(phase state.Phase) error {
	switch phase {
	case state.PhasePromoted:
		return nil
	case state.PhaseRolledBack:
		return &outcome{statusRolledBack}
	}
	return &outcome{statusDropped}
}

// tell writes what is new: transitions, at the end the result, and now and then
// what is seen.
func (f *follower) tell(r *api.Rollout) error {
	fresh := r.Since(f.last)
	for i := range fresh {
		f.last = &fresh[i]
		if err := f.say(map[string]any{"move": &fresh[i]}, r.Progress(&fresh[i])); err != nil {
			return err
		}
	}
	switch {
	case r.Over:
		return f.say(map[string]any{"rollout": r}, r.Result())
	case time.Since(f.told) >= tellEvery:
		return f.say(map[string]any{"rollout": r}, r.Now(time.Now()))
	}
	return nil
}

// say writes a line of JSON, or lines of text.
func (f *follower) say(v any, text string) error {
	f.told = time.Now()
	if f.r.json {
		return json.NewEncoder(f.out).Encode(v)
	}
	_, err := fmt.Fprintln(f.out, plainLines(text))
	return err
}

// passing tells whether an error may go away by itself: a proxy that restarts
// comes back.
func passing(err error) bool {
	var lost *client.Unreachable
	var p *api.Problem
	return errors.As(err, &lost) || errors.As(err, &p) && p.Status == http.StatusServiceUnavailable
}

// retry waits after a question that was not answered, and reports whether it came
// to the end before ctx did.
func (f *follower) retry(ctx context.Context, err error) bool {
	if f.missing.IsZero() {
		f.missing = time.Now()
		fmt.Fprintln(f.warn, "sluice: the proxy does not answer, trying again:", err)
	}
	return f.again.wait(ctx)
}

// backoff waits longer and longer.
type backoff struct{ least, most, next time.Duration }

func (b *backoff) reset() { b.next = 0 }

// wait waits, and reports whether it came to the end before ctx did.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(max(2*b.next, b.least), b.most)
	timer := time.NewTimer(b.next)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
