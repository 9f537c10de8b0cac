package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/state"
)

func newRolloutStatus(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "status [SERVICE]",
		Short: "List the rollouts of a service, or all",
		Long: `List the rollouts of a service, or all, newest first: where each stands, or how it
ended. "sluice rollout show" tells all about one.`,
		Example: `  sluice rollout status
  sluice rollout status web --json | jq -r '.rollouts[] | select(.over | not) | .id'`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			service := ""
			if len(args) == 1 {
				service = args[0]
			}
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Rollouts, error) {
				return c.Rollouts(ctx, service)
			}, printRollouts)
		},
	}
}

func printRollouts(w io.Writer, all *api.Rollouts) error {
	t := newTable(w, "ROLLOUT", "WHAT", "PHASE", "STAGE", "SHARE", "POLICY", "SINCE", "BY")
	for _, r := range all.Rollouts {
		since := r.StageBegan
		if since.IsZero() {
			since = r.Created
		}
		if r.Over {
			since = r.Ended
		}
		t.row(r.ID, r.Title(), string(r.Phase), stageText(&r), api.Percent(r.Share), r.Policy.Name, stamp(since), r.By)
	}
	return t.end()
}

// stageText writes the place in the stages: "2/6".
func stageText(r *api.Rollout) string {
	if r.Phase == state.PhaseQueued || r.Phase == state.PhaseSuperseded {
		return "-"
	}
	return fmt.Sprintf("%d/%d", r.Stage+1, len(r.Policy.Stages))
}

func newRolloutShow(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "show ROLLOUT",
		Short: "Give the account of a rollout: what was seen, when, and what decided",
		Long: `Give the account of a rollout: what was asked for, each transition with its reason,
and the evidence that decided, or that there is now, in numbers that can be
checked. ROLLOUT is an ID, such as r17; a service, for its newest one; or
SERVICE=VERSION.

An e-value says how much better "harm" explains what was seen than "no harm" does.
Whatever the traffic, and however often one looks, that of a version without harm
reaches 100 in one rollout of a hundred at most: there the judge rolls back, with
three failing sessions or more. It promotes where every metric has 20 for "no
worse than the margin".

  EVENTS     sessions with a bad request, of both versions; of the candidate
  RATIO      how many times as many the candidate has, at equal exposure
  95%        what that ratio may be
  HARM       e-value for "more than the baseline", and how far that alone is on the
             way to rolling back
  SAFE       e-value for "less than MARGIN times the baseline"
  shift      compares whole distributions of latency; p95, p99 count sessions with a
             request slower than the baseline's 95th, 99th percentile; the
             candidate's may be slower, as the policy says`,
		Example: `  sluice rollout show r17
  sluice rollout show web
  sluice rollout show web --json | jq '.moves[-1].evidence'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Rollout, error) {
				id, err := newest(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return c.Rollout(ctx, id)
			}, printAccount)
		},
	}
}

// printAccount writes all about a rollout.
func printAccount(w io.Writer, r *api.Rollout) error {
	fmt.Fprintln(w, plain(fmt.Sprintf("rollout %s: %s, %s", r.ID, r.Title(), strings.ReplaceAll(string(r.Phase), "_", " "))))
	for _, leg := range r.Legs {
		fmt.Fprintln(w, plain(fmt.Sprintf("  %s: %s against %s", leg.Service, leg.Candidate, dash(leg.Baseline)))+beforeText(leg.Before))
	}
	fmt.Fprintln(w, plain(fmt.Sprintf("  policy %s: %s", r.Policy.Name, stagesText(&r.Policy))))
	why := ""
	if r.Why != "" {
		why = ": " + r.Why
	}
	fmt.Fprintln(w, plain(fmt.Sprintf("  asked for by %s at %s%s", r.By, stamp(r.Created), why)))
	if r.Force {
		fmt.Fprintln(w, "  with force: the rules of safety were passed over")
	}
	if !r.Over {
		fmt.Fprintln(w, plain("  now: "+r.Text))
	}
	if len(r.Moves) > 0 {
		fmt.Fprintln(w)
		if err := printMoves(w, r); err != nil {
			return err
		}
	}
	what, evidence := deciding(r)
	for i := range evidence {
		if err := printEvidence(w, what, &evidence[i]); err != nil {
			return err
		}
	}
	return nil
}

// beforeText says to which weights a rollback returns.
func beforeText(before map[string]int) string {
	if len(before) == 0 {
		return ""
	}
	return "; weights before: " + weightsText(before)
}

// stagesText writes the stages of a policy: "probe, 5%, 100%, bake 1h".
func stagesText(p *api.RolloutPolicy) string {
	var parts []string
	if p.Gate {
		parts = append(parts, "gate")
	}
	for _, s := range p.Stages {
		text := string(s.Kind)
		if s.Kind == state.StageShift {
			text = api.Percent(s.Share)
		}
		if s.Kind == state.StageShadow && s.Share > 0 {
			text += " of " + api.Percent(s.Share)
		}
		if s.Hold > 0 {
			text += " for " + brief(s.Hold.String())
		}
		if s.Gate {
			text = "gate, " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func printMoves(w io.Writer, r *api.Rollout) error {
	t := newTable(w, "WHEN", "FROM", "TO", "STAGE", "SHARE", "BY", "WHY")
	for _, m := range r.Moves {
		t.row(stamp(m.At), dash(string(m.From)), string(m.To), fmt.Sprintf("%d/%d", m.Stage+1, len(r.Policy.Stages)), api.Percent(m.Share), m.By, m.Why)
	}
	return t.end()
}

// deciding returns the evidence that an account ends with: what is seen now, or
// what decided last.
func deciding(r *api.Rollout) (what string, evidence []state.Evidence) {
	if len(r.Evidence) > 0 {
		return "seen now", r.Evidence
	}
	for i := len(r.Moves) - 1; i >= 0; i-- {
		if m := &r.Moves[i]; len(m.Evidence) > 0 {
			return "what decided on " + strings.ReplaceAll(string(m.To), "_", " "), m.Evidence
		}
	}
	return "", nil
}

// printEvidence writes what the judge saw of one service.
func printEvidence(w io.Writer, what string, e *state.Evidence) error {
	if e.Shadow != nil {
		return printShadowEvidence(w, what, e)
	}
	fmt.Fprintf(w, "\n%s, %s at %s: %s\n", plain(e.Service), what, stamp(e.At), plain(fmt.Sprintf("%s (%s): %s", e.Decision, e.Reason, e.Text)))
	fmt.Fprintf(w, "  e-value against \"no harm\": %s (ln %.3f; the judge rolls back from 100 on, ln %.3f)\n", api.Exp(e.LogR), e.LogR, math.Log(100))
	fmt.Fprintf(w, "  candidate %d sessions, %d requests, %d bad (%s); baseline %d sessions, %d requests, %d bad (%s)\n",
		e.CandidateSessions, e.CandidateRequests, e.CandidateBad, percent(ratio(e.CandidateBad, e.CandidateRequests)),
		e.BaselineSessions, e.BaselineRequests, e.BaselineBad, percent(ratio(e.BaselineBad, e.BaselineRequests)))
	fmt.Fprintf(w, "  at a share of %s of new sessions; %.3g bad requests a minute more than the baseline would have\n", percent(e.Share), e.ExcessPerMinute)
	t := newTable(w, "  METRIC", "EVENTS", "CANDIDATE", "RATIO", "95%", "HARM", "SAFE", "MARGIN")
	for _, m := range e.Metrics {
		interval, likely := "-", "-"
		if m.Name != "shift" {
			interval, likely = fmt.Sprintf("%.3g-%.3g", m.Low, m.High), fmt.Sprintf("%.3g", m.Ratio)
		}
		t.row("  "+m.Name, fmt.Sprint(m.Events), fmt.Sprint(m.Candidate), likely, interval,
			fmt.Sprintf("%s (%.0f%%)", api.Exp(m.LogHarm), 100*m.Bar), api.Exp(m.LogSafe), fmt.Sprintf("%.3g", m.Margin))
	}
	if err := t.end(); err != nil {
		return err
	}
	fmt.Fprintf(w, "  below the ceiling: %s; sessions arrive as the weights say: %s against it\n", api.Exp(e.LogCeiling), api.Exp(e.LogSessionShare))
	_, err := fmt.Fprintf(w, "  to roll back: %s; to promote: %s\n", timeText(e.MinutesToRollBack), timeText(e.MinutesToPromote))
	return err
}

// printShadowEvidence writes what copies of requests told of one service.
func printShadowEvidence(w io.Writer, what string, e *state.Evidence) error {
	s := e.Shadow
	fmt.Fprintf(w, "\n%s, %s at %s: %s: %s\n", plain(e.Service), what, stamp(e.At), e.Decision, plain(e.Text))
	fmt.Fprintf(w, "  %d requests copied and compared, %d of them beside a second answer of the baseline; %d count, of %d needed\n",
		s.Comparisons, s.Second, s.Whole, s.Least)
	if s.NotCompared > 0 {
		fmt.Fprintf(w, "  %d bodies could not be compared\n", s.NotCompared)
	}
	_, err := fmt.Fprintf(w, "  %d fields differ, %d may; \"sluice shadow report %s\" tells them\n", s.Different, s.Suspect, plain(e.Service))
	return err
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// timeText writes a time to a decision at the present rates.
func timeText(minutes *float64) string {
	switch {
	case minutes == nil || math.IsNaN(*minutes) || *minutes > 60*24*365:
		return "not at these rates"
	case *minutes < 1:
		return "within a minute"
	}
	return "in about " + brief(time.Duration(*minutes*float64(time.Minute)).Round(time.Minute).String())
}
