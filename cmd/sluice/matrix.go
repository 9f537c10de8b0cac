package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newMatrix returns the commands that show how journeys do against versions.
func newMatrix(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "matrix [SERVICE [VERSION]]",
		Short: "Show journeys by versions: which pass, which fail, and where",
		Long: `Show how the journeys of a service do against each of its versions, live and dark:
whether the newest run passed, how long it took, when that was, and the last ten
runs, the newest at the right ("+" passed, "x" failed). What does not pass follows
with the step and the reason. Runs of the schedule, of rollouts and those that
somebody asked for count alike.

The exit status is 0 if every journey has passed and 1 if not.`,
		Example: `  sluice matrix
  sluice matrix web v2
  sluice matrix show web v2 checkout`,
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: r.complete(services, versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			names := append(args, "", "")
			passed := true
			err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Matrix, error) {
				m, err := c.Matrix(ctx, names[0], names[1])
				passed = err != nil || m.Passed
				return m, err
			}, func(w io.Writer, m *api.Matrix) error { return printMatrix(w, m, time.Now()) })
			if err == nil && !passed {
				return errSilent
			}
			return err
		},
	}
	cmd.AddCommand(newMatrixShow(r))
	return cmd
}

func newMatrixShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "show SERVICE VERSION JOURNEY",
		Short: "Show the runs of a journey against a version, and what a failure exchanged",
		Long: `Show the runs of a journey against a version that are kept, the newest first: the
last 20, and the last 5 that failed. Of the newest failure, each step follows, and
what the failed one exchanged, with secrets masked; --json has it of all.

The exit status is 0 if the newest run passed and 1 if not.`,
		Example: `  sluice matrix show web v2 checkout
  sluice matrix show web v2 checkout --json | jq -r '.runs[] | select(.passed | not) | .failure'`,
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: r.completeJourney(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			passed := true
			err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.CellHistory, error) {
				h, err := c.Cell(ctx, args[0], args[1], args[2])
				passed = err != nil || h.State == api.CellPassed
				return h, err
			}, func(w io.Writer, h *api.CellHistory) error { return printCell(w, h, time.Now()) })
			if err == nil && !passed {
				return errSilent
			}
			return err
		},
	}
}

// printMatrix writes a table for each service, and then what does not pass.
func printMatrix(w io.Writer, m *api.Matrix, now time.Time) error {
	if len(m.Services) == 0 {
		_, err := fmt.Fprintln(w, "no service has journeys; declare some in the file")
		return err
	}
	for i := range m.Services {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printServiceMatrix(w, &m.Services[i], now); err != nil {
			return err
		}
	}
	return printFailing(w, m, now)
}

// printServiceMatrix writes journeys as rows and versions as columns.
func printServiceMatrix(w io.Writer, m *api.ServiceMatrix, now time.Time) error {
	cells := map[[2]string]*api.MatrixCell{}
	for i := range m.Cells {
		cells[[2]string{m.Cells[i].Journey, m.Cells[i].Version}] = &m.Cells[i]
	}
	headings := []string{strings.ToUpper(m.Service)}
	for _, v := range m.Versions {
		headings = append(headings, fmt.Sprintf("%s (%s)", v.Name, v.Mode))
	}
	t := newTable(w, headings...)
	for _, journey := range m.Journeys {
		row := []string{journey}
		for _, v := range m.Versions {
			row = append(row, cellText(cells[[2]string{journey, v.Name}], now))
		}
		t.row(row...)
	}
	return t.end()
}

// maxTrend is how many runs a cell of the table shows.
const maxTrend = 10

// cellText writes a cell: "passed 34ms 12s ago ++x++".
func cellText(c *api.MatrixCell, now time.Time) string {
	switch {
	case c == nil:
		return "-"
	case c.Newest == nil:
		return string(c.State)
	}
	trend := ""
	for _, passed := range c.Recent[:min(len(c.Recent), maxTrend)] {
		trend = mark(passed) + trend
	}
	return fmt.Sprintf("%s %s %s %s", resultText(c.Newest.Passed), span(time.Duration(c.Newest.Took)), ago(c.Newest.Began, now), trend)
}

func mark(passed bool) string {
	if passed {
		return "+"
	}
	return "x"
}

// resultText makes a failure stand out in a table.
func resultText(passed bool) string {
	if passed {
		return "passed"
	}
	return "FAILED"
}

// ago says how long ago a moment was.
func ago(at, now time.Time) string {
	d := max(now.Sub(at), 0)
	if d < time.Minute {
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	}
	return brief(d.Truncate(time.Minute).String()) + " ago"
}

// printFailing lists the cells whose newest run failed.
func printFailing(w io.Writer, m *api.Matrix, now time.Time) error {
	if m.Passed {
		return nil
	}
	for _, s := range m.Services {
		for _, c := range s.Cells {
			if c.State != api.CellFailed {
				continue
			}
			_, err := fmt.Fprintf(w, "\n%s failed against %s %s %s%s: %s\n  sluice matrix show %s %s %s\n", plain(c.Journey), plain(s.Service), plain(c.Version),
				ago(c.Newest.Began, now), atStep(c.Newest), plain(c.Newest.Failure), plain(s.Service), plain(c.Version), plain(c.Journey))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// atStep says where a run failed.
func atStep(run *api.CellRun) string {
	text := ""
	if run.Step != "" {
		text = " at step " + plain(run.Step)
	}
	if run.Asked > 1 {
		text += fmt.Sprintf(" (%d of %d endpoints)", run.Failed, run.Asked)
	}
	return text
}

// printCell writes a line for each run, and then the newest failure in full.
func printCell(w io.Writer, h *api.CellHistory, now time.Time) error {
	if len(h.Runs) == 0 {
		_, err := fmt.Fprintf(w, "%s has never been run against %s %s; sluice probe run %s %s %s does so\n", plain(h.Journey), plain(h.Service), plain(h.Version),
			plain(h.Service), plain(h.Version), plain(h.Journey))
		return err
	}
	t := newTable(w, "WHEN", "RESULT", "TOOK", "CAUSE", "STEP", "WHY")
	var failed *api.CellRun
	for i := range h.Runs {
		run := &h.Runs[i]
		if !run.Passed && failed == nil {
			failed = run
		}
		t.row(stamp(run.Began), resultText(run.Passed), span(time.Duration(run.Took)), run.Cause, dash(run.Step), dash(run.Failure))
	}
	if err := t.end(); err != nil || failed == nil {
		return err
	}
	at := ""
	if failed.Endpoint != "" {
		at = " at " + plain(failed.Endpoint)
	}
	if _, err := fmt.Fprintf(w, "\nThe newest failure, %s%s%s\n\n", ago(failed.Began, now), at, atStep(failed)); err != nil {
		return err
	}
	return printSteps(w, failed)
}

// printSteps writes the steps of a run that failed, and what the last exchanged.
func printSteps(w io.Writer, run *api.CellRun) error {
	t := newTable(w, "STEP", "RESULT", "TOOK", "TRIES")
	for _, s := range run.Steps {
		t.row(s.Name, resultText(s.Failure == ""), span(time.Duration(s.Took)), fmt.Sprint(s.Tries))
	}
	if err := t.end(); err != nil {
		return err
	}
	if n := len(run.Steps); n > 0 {
		last := run.Steps[n-1]
		_, err := fmt.Fprintf(w, "\n%s: %s\n%s%s", plain(last.Name), plain(last.Failure), quoted("> ", last.Request), quoted("< ", last.Response))
		return err
	}
	return nil
}
