package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/state"
)

// newRollout returns the commands about rollouts.
func newRollout(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollout COMMAND",
		Short: "Move a service to a new version stage by stage, as far as the evidence goes",
		Long: `Move a service to a new version stage by stage. The version first gets no traffic,
then synthetic requests, then a rising share of new sessions; a judge compares
them with the sessions of the version before. It promotes as soon as the evidence
allows, and rolls back as soon as it must. A policy says what the stages are:
standard, cautious, blue-green, manual, or one of the file.

A rollout goes on without this command, also over restarts of the proxy.`,
		Example: `  sluice rollout start web v42 --endpoint 10.0.1.7:8080 --wait
  sluice rollout status
  sluice rollout show r17`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help()
			return usage("which command?")
		},
	}
	var output string
	cmd.PersistentFlags().StringVar(&output, "output", "text", "text or json; json is the same as --json")
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch output {
		case "json":
			r.json = true
		case "text":
		default:
			return usage("--output %q: write text or json", output)
		}
		return nil
	}
	cmd.AddCommand(newRolloutStart(r), newRolloutStatus(r), newRolloutShow(r), newRolloutWatch(r),
		newSteer(r, state.ActionPause, "Stop a rollout where it is", `Stop a rollout where it is: the weights stay, and no stage begins or ends, until it
is resumed, promoted or aborted. The time of its stage stands still meanwhile. The
judge goes on watching, and still rolls back what fails.`),
		newSteer(r, state.ActionResume, "Let a paused rollout go on", `Let a paused rollout go on with the stage in which it was paused.`),
		newSteer(r, state.ActionPromote, "Open a gate, or go on to the next stage now", `Open the gate at which a rollout waits for a person. In a stage, go on to the next
one now, whatever the evidence says; after the last one it is promoted. The judge
goes on watching.`),
		newSteer(r, state.ActionAbort, "End a rollout, with the weights of before", `End a rollout. The weights are those of before again, at once; sessions move as the
policy's on_rollback says. One that waits in the queue leaves it. What was promoted
is taken back by "sluice rollback".`),
		newRolloutQueue(r))
	return cmd
}

// newSteer returns a command that gives a rollout an order.
func newSteer(r *remote, action state.Action, short, long string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               string(action) + " ROLLOUT",
		Short:             short,
		Long:              long + "\n\nROLLOUT is an ID, such as r17; a service, for the one that is under way there; or\nSERVICE=VERSION.",
		Example:           fmt.Sprintf("  sluice rollout %[1]s r17 --reason \"as agreed\"\n  sluice rollout %[1]s web\n  sluice rollout %[1]s web=v42", action),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Rollout, error) {
				id, err := underWay(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return steer(ctx, c, id, action, reason)
			}, printStanding)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit")
	return cmd
}

// carriedOut is how long a command waits for an order to be carried out: that takes
// milliseconds, unless the rules or the store are in its way.
const carriedOut = 3 * time.Second

// steer gives a rollout an order and returns it as it is once that is carried out,
// or as it stands if that takes too long.
func steer(ctx context.Context, c *client.Client, id string, action state.Action, reason string) (*api.Rollout, error) {
	ordered, err := c.SteerRollout(ctx, id, action, reason)
	if err != nil || ordered.Order == nil {
		return ordered, err
	}
	now, err := c.AwaitRollout(ctx, id, ordered.Seq, carriedOut)
	if err != nil {
		return ordered, nil // the order was taken, which is what was asked for
	}
	now.Warning = ordered.Warning
	return now, nil
}

// printStanding writes a line about a rollout.
func printStanding(w io.Writer, r *api.Rollout) error {
	_, err := fmt.Fprintln(w, plain(fmt.Sprintf("%s %s: %s", r.ID, r.Title(), r.Text)))
	return err
}

var rolloutID = regexp.MustCompile(`^r[0-9]+$`)

// underWay returns the ID of a rollout that is named by it or by its service: the
// one under way there, or the only one that waits.
func underWay(ctx context.Context, c *client.Client, name string) (string, error) {
	if rolloutID.MatchString(name) {
		return name, nil
	}
	if service, version, ok := strings.Cut(name, "="); ok {
		return ofVersion(ctx, c, service, version)
	}
	q, err := c.Queue(ctx, name)
	switch {
	case err != nil:
		return "", err
	case q.Active != nil:
		return q.Active.ID, nil
	case len(q.Waiting) == 1:
		return q.Waiting[0].ID, nil
	case len(q.Waiting) > 1:
		return "", &api.Problem{Service: name, Detail: fmt.Sprintf("%d rollouts wait, and none is under way", len(q.Waiting)),
			Remedy: "name one of them by its ID: sluice rollout queue " + name}
	}
	return "", &api.Problem{Status: http.StatusNotFound, Service: name, Detail: "no rollout is under way",
		Remedy: "sluice rollout status " + name + " shows those that ended"}
}

// ofVersion returns the ID of the newest rollout that brings a version.
func ofVersion(ctx context.Context, c *client.Client, service, version string) (string, error) {
	all, err := c.Rollouts(ctx, service)
	if err != nil {
		return "", err
	}
	for _, r := range all.Rollouts {
		for _, leg := range r.Legs {
			if leg.Service == service && leg.Candidate == version {
				return r.ID, nil
			}
		}
	}
	return "", &api.Problem{Status: http.StatusNotFound, Service: service, Version: version, Detail: "there is no rollout of this version",
		Remedy: "sluice rollout status " + service + " shows those there are"}
}

// newest is underWay that also finds the newest one that ended.
func newest(ctx context.Context, c *client.Client, name string) (string, error) {
	id, err := underWay(ctx, c, name)
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != http.StatusNotFound || strings.Contains(name, "=") {
		return id, err
	}
	all, listErr := c.Rollouts(ctx, name)
	if listErr != nil || len(all.Rollouts) == 0 {
		return "", err
	}
	return all.Rollouts[0].ID, nil
}

func newRolloutQueue(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue SERVICE",
		Short: "Show which rollout of a service is under way, and which wait",
		Long: `Show which rollout of a service is under way, and which wait, with a guess when
each begins. A policy with "queue: supersede" lets the newest one alone wait.`,
		Example: `  sluice rollout queue web
  sluice rollout queue move r19 1`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Queue, error) {
				return c.Queue(ctx, args[0])
			}, printQueue)
		},
	}
	cmd.AddCommand(newRolloutPlace(r))
	return cmd
}

func newRolloutPlace(r *remote) *cobra.Command {
	var body api.RolloutPlace
	cmd := &cobra.Command{
		Use:     "move ROLLOUT PLACE",
		Short:   "Move a rollout that waits to a place in line",
		Long:    "Move a rollout that waits to a place in line: 1 is next. The others close ranks.",
		Example: `  sluice rollout queue move r19 1 --reason "a fix that cannot wait"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			place, err := strconv.Atoi(args[1])
			if err != nil || place < 1 || !rolloutID.MatchString(args[0]) {
				return usage("%q %q: write the rollout's ID and a place from 1, such as r19 1", args[0], args[1])
			}
			body.Place = place
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Rollout, error) {
				return c.PlaceRollout(ctx, args[0], body)
			}, printStanding)
		},
	}
	cmd.Flags().StringVar(&body.Reason, "reason", "", "why, for the audit")
	return cmd
}

// printQueue writes what is under way, and what waits.
func printQueue(w io.Writer, q *api.Queue) error {
	t := newTable(w, "PLACE", "ROLLOUT", "WHAT", "POLICY", "BY", "ABOUT")
	if q.Active != nil {
		t.row("now", q.Active.ID, q.Active.Title(), q.Active.Policy.Name, q.Active.By, q.Active.Text)
	}
	for i, r := range q.Waiting {
		place := r.Place
		if place == 0 {
			place = i + 1
		}
		t.row(strconv.Itoa(place), r.ID, r.Title(), r.Policy.Name, r.By, dash(strings.TrimPrefix(r.Text, "queued, ")))
	}
	if q.Active == nil && len(q.Waiting) == 0 {
		t.row("-", "-", "nothing is under way, and nothing waits")
	}
	return t.end()
}
