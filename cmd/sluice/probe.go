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

// newProbe returns the commands that send synthetic requests.
func newProbe(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Send synthetic requests to a version",
		Long: `Journeys are requests in order, with what is expected of their answers; the file
declares them. They are run against every version again and again ("sluice matrix"
shows what comes of it), gate rollouts, and can be run at any time.`,
		Example: `  sluice probe run web v2
  sluice probe run web v2 checkout`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newProbeRun(r))
	return cmd
}

// probeTimeout is longer than any probe takes.
const probeTimeout = time.Minute

func newProbeRun(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "run SERVICE VERSION [JOURNEY…]",
		Short: "Run journeys against a version, dark or not",
		Long: `Run journeys against a version: those that are named, or else those of the service.
They go the way of customers, by the proxy's routing, with an override that reaches
a dark version; with "direct: true" a journey asks each healthy endpoint instead.
The answer tells each run; of a step that failed, why, and what was exchanged, with
secrets masked. All of it may take 50 seconds. The runs count for "sluice matrix"
too, and in no statistic of customers.

The exit status is 0 if every run passed and 1 if not.`,
		Example: `  sluice probe run web v2
  sluice probe run web v2 checkout --json`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: r.completeJourney(100),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("timeout") {
				r.timeout = probeTimeout
			}
			passed := true
			err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Probe, error) {
				p, err := c.Probe(ctx, args[0], args[1], args[2:])
				passed = err != nil || p.Passed
				return p, err
			}, printProbe)
			if err == nil && !passed {
				return errSilent
			}
			return err
		},
	}
}

// printProbe writes a line for each run, and then what failed.
func printProbe(w io.Writer, p *api.Probe) error {
	t := newTable(w, "JOURNEY", "ENDPOINT", "RESULT", "TOOK", "STEP")
	for _, run := range p.Runs {
		result, step := "passed", ""
		if !run.Passed {
			last := lastStep(&run)
			result, step = "failed", last.Name+": "+last.Failure
		}
		t.row(run.Journey, run.Endpoint, result, time.Duration(run.Took).Round(time.Millisecond).String(), step)
	}
	if err := t.end(); err != nil {
		return err
	}
	for _, run := range p.Runs {
		if run.Passed {
			continue
		}
		last, at := lastStep(&run), ""
		if run.Endpoint != "" {
			at = ", at " + run.Endpoint
		}
		if _, err := fmt.Fprintf(w, "\n%s, step %s%s\n%s%s", run.Journey, last.Name, at, quoted("> ", last.Request), quoted("< ", last.Response)); err != nil {
			return err
		}
	}
	return nil
}

// lastStep returns the step that a run ended with.
func lastStep(run *api.JourneyRun) api.JourneyStep {
	if len(run.Steps) == 0 {
		return api.JourneyStep{}
	}
	return run.Steps[len(run.Steps)-1]
}

// quoted writes lines of a message, each behind a mark.
func quoted(mark, text string) string {
	text = strings.TrimRight(strings.ReplaceAll(text, "\t", " "), "\n")
	if text == "" {
		return ""
	}
	return mark + strings.ReplaceAll(plainLines(text), "\n", "\n"+mark) + "\n"
}
