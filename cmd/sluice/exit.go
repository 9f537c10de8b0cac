package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// The exit statuses. The help of the root command promises them to scripts.
const (
	statusDone        = 0
	statusFailed      = 1
	statusUsage       = 2
	statusUnreachable = 3
	statusConflict    = 4
)

// usageError is returned by a command that was called wrongly.
type usageError struct{ msg string }

// Error returns what was wrong.
func (e *usageError) Error() string { return e.msg }

// usage returns an error that says how a command was called wrongly.
func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// errSilent is returned by a command that failed and has said all there is.
var errSilent = errors.New("failed")

// failure wraps what a command that was called rightly returned. All else that
// comes out of cobra is about flags and arguments.
type failure struct{ err error }

// Error returns what the command returned.
func (e *failure) Error() string { return e.err.Error() }

// Unwrap returns what the command returned.
func (e *failure) Unwrap() error { return e.err }

// markFailures makes every command below cmd, and itself, return failures.
func markFailures(cmd *cobra.Command) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := inner(cmd, args)
			var wrong *usageError
			if err == nil || errors.As(err, &wrong) {
				return err
			}
			return &failure{err}
		}
	}
	for _, sub := range cmd.Commands() {
		markFailures(sub)
	}
}

// exitStatus maps an error to the exit status: the one place that does, but for
// those who end as a rollout does.
func exitStatus(cmd *cobra.Command, err error) int {
	if cmd != nil && cmd.Annotations[endsAsRollout] != "" {
		return rolloutStatus(err)
	}
	var failed *failure
	var lost *client.Unreachable
	var problem *api.Problem
	switch {
	case !errors.As(err, &failed):
		return statusUsage
	case errors.Is(err, context.Canceled):
		return statusFailed
	case errors.As(err, &lost):
		return statusUnreachable
	case errors.As(err, &problem) && problem.Status == http.StatusPreconditionFailed:
		return statusConflict
	}
	return statusFailed
}

// report tells what was wrong, where, and what would work: to people in lines,
// to scripts as a problem in JSON.
func report(w io.Writer, cmd *cobra.Command, err error, asJSON bool) {
	var ended *outcome
	if errors.Is(err, errSilent) || errors.As(err, &ended) {
		return
	}
	p := describe(cmd, err)
	if asJSON {
		_ = json.NewEncoder(w).Encode(p)
		return
	}
	fmt.Fprintln(w, "sluice:", p.Detail)
	for _, e := range p.Errors {
		if text := strings.TrimPrefix(e.Location+": "+e.Message, ": "); !strings.Contains(p.Detail, text) {
			fmt.Fprintln(w, "  -", text)
		}
	}
	for _, o := range p.Obstacles[min(1, len(p.Obstacles)):] { // the detail tells the first
		fmt.Fprintln(w, "  also:", o.Message)
	}
	if at := location(p); at != "" {
		fmt.Fprintln(w, "  at: ", at)
	}
	if p.Remedy != "" {
		fmt.Fprintln(w, "  fix:", p.Remedy)
	}
}

// location says in words what a problem is about.
func location(p *api.Problem) string {
	var parts []string
	for _, part := range [][2]string{{"service", p.Service}, {"version", p.Version}, {"field", p.Field}, {"rule", string(p.Rule)}} {
		if part[1] != "" {
			parts = append(parts, part[0]+" "+part[1])
		}
	}
	return strings.Join(parts, ", ")
}

// describe makes a problem of any error. Its status is 0 where no API gave one.
func describe(cmd *cobra.Command, err error) *api.Problem {
	var failed *failure
	var problem *api.Problem
	var lost *client.Unreachable
	var waiting *stillUnderWay
	switch {
	case errors.As(err, &waiting):
		return &api.Problem{Title: "still under way", Detail: err.Error(),
			Remedy: "sluice rollout watch " + waiting.id + " goes on with it, sluice rollout abort " + waiting.id + " ends it"}
	case !errors.As(err, &failed):
		return &api.Problem{Title: "called wrongly", Detail: err.Error(),
			Remedy: fmt.Sprintf("usage: %s; %q says more", cmd.UseLine(), cmd.CommandPath()+" --help")}
	case errors.Is(err, context.Canceled):
		return &api.Problem{Title: "interrupted", Detail: "interrupted",
			Remedy: "see with sluice status whether a change was made"}
	case errors.As(err, &problem):
		p := *problem
		if p.Detail == "" {
			p.Detail = p.Title
		}
		if p.Status == http.StatusUnauthorized {
			p.Remedy = "set SLUICE_TOKEN to a token of its token file; sluice tokens new makes one"
		}
		return &p
	case errors.Is(err, context.DeadlineExceeded):
		return &api.Problem{Title: "no answer", Detail: err.Error(),
			Remedy: "see with sluice status whether a change was made; --timeout waits longer"}
	case errors.As(err, &lost):
		return &api.Problem{Title: "unreachable", Detail: err.Error(),
			Remedy: "start sluice serve there, or name another address with --admin or SLUICE_ADMIN"}
	}
	return &api.Problem{Title: "failed", Detail: err.Error()}
}
