package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/state"
)

// newStatus returns the command that shows how services do.
func newStatus(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "Show how the versions do",
		Long: `Show every service, or one with where a rollback would lead, version by version:

  MODE       live, draining (serves its pinned sessions, for how long) or dark
  WEIGHT     share of new sessions, relative to the other versions
  NEW        that share in percent
  SESSIONS   share of the sessions seen lately: pins make it follow slowly
  TRAFFIC    share of the requests of the last minute
  HEALTHY    endpoints that get requests, of all
  REQUESTS   since the proxy began
  ERRORS     part of them that was answered 5xx
  P50, P99   time from a request's first byte to its response's last
  PINS       sessions pinned to the version since the proxy began

Warnings go to standard error. The exit status says nothing about health: see
"sluice health".`,
		Example: `  sluice status
  sluice status web
  sluice status web --json | jq -r '.versions[] | select(.weight > 0) | .name'`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.showStatus(cmd, args); err != nil || r.json {
				return err
			}
			return r.warn(cmd)
		},
	}
}

// showStatus shows one service or all.
func (r *remote) showStatus(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Services, error) {
			return c.Services(ctx)
		}, func(w io.Writer, all *api.Services) error { return printServices(w, all.Services) })
	}
	return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Service, error) {
		return c.Service(ctx, args[0])
	}, printService)
}

// warn tells what is amiss with the instance as a whole.
func (r *remote) warn(cmd *cobra.Command) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ready, err := c.Ready(cmd.Context())
	if err != nil {
		return err
	}
	for _, text := range amiss(ready) {
		fmt.Fprintln(cmd.ErrOrStderr(), "sluice: warning:", text)
	}
	return nil
}

// printServices writes the versions of services, a line each.
func printServices(w io.Writer, all []api.Service) error {
	t := newTable(w, "SERVICE", "VERSION", "MODE", "WEIGHT", "NEW", "SESSIONS", "TRAFFIC", "HEALTHY", "REQUESTS", "ERRORS", "P50", "P99", "PINS")
	for _, s := range all {
		for _, v := range s.Versions {
			t.row(append([]string{s.Name}, versionCells(v, time.Now())...)...)
		}
	}
	return t.end()
}

// versionCells returns what the table says of a version.
func versionCells(v api.Version, now time.Time) []string {
	n := v.Live
	return []string{
		v.Name, modeText(v, now), strconv.Itoa(v.Weight),
		percent(v.Shares.NewSessions), percent(v.Shares.LiveSessions), percent(v.Shares.Requests),
		fmt.Sprintf("%d/%d", n.Healthy, n.Total), count(n.Requests), percent(n.ErrorRate),
		span(time.Duration(n.Latency.P50)), span(time.Duration(n.Latency.P99)), count(n.PinsMade),
	}
}

// modeText adds to draining for how long.
func modeText(v api.Version, now time.Time) string {
	if v.Mode != state.Draining || v.DrainUntil.IsZero() {
		return string(v.Mode)
	}
	left := max(v.DrainUntil.Sub(now), time.Second)
	return string(v.Mode) + " " + brief(left.Round(time.Second).String())
}

// printService writes a service with where a rollback would lead.
func printService(w io.Writer, s *api.Service) error {
	if err := printServices(w, []api.Service{*s}); err != nil {
		return err
	}
	text := "a rollback is not possible"
	switch {
	case s.Rollback == nil:
		text = "where a rollback leads is not known"
	case s.Rollback.Possible:
		text = "a rollback leads to " + weightsText(s.Rollback.Weights)
	case s.Rollback.Why != "":
		text += ": " + s.Rollback.Why
	}
	for _, v := range s.Versions {
		if v.TakenBack != nil {
			text += "\n" + plain(takenBackText(v.TakenBack))
		}
	}
	if s.Rollout != "" {
		text += fmt.Sprintf("\nrollout %s is under way: sluice rollout show %s", s.Rollout, s.Rollout)
	}
	_, err := fmt.Fprintf(w, "\nrevision %d, epoch %d; %s%s\n", s.Revision, s.Epoch, guardText(s.Level, s.Barrier), text)
	return err
}
