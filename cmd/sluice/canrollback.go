package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newCanRollback returns the command that tells where a rollback could go.
func newCanRollback(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "can-rollback SERVICE",
		Short: "Tell where a rollback could go, and why not elsewhere",
		Long: `Tell where "sluice rollback SERVICE" would go now and to which versions --to could
lead, how many sessions would move at once (on this instance, estimated), and why
the others are out of the question. Of a version that was taken back, and has had
no weight since, it says when, by whom and why. Nothing is changed.

It exits with 0 if "sluice rollback SERVICE" would be done and with 1 if not.`,
		Example: `  sluice can-rollback web
  sluice can-rollback web --json | jq -r '.versions[] | select(.possible) | .to'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			possible := false
			err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.CanRollback, error) {
				answer, err := c.CanRollback(ctx, args[0])
				possible = err == nil && answer.Default.Possible
				return answer, err
			}, printCanRollback)
			if err == nil && !possible {
				return errSilent
			}
			return err
		},
	}
}

// printCanRollback writes a line for each target, the default first.
func printCanRollback(w io.Writer, c *api.CanRollback) error {
	t := newTable(w, "TO", "POSSIBLE", "WEIGHTS AFTER", "SESSIONS THAT MOVE", "WHY")
	for i, target := range append([]api.Target{c.Default}, c.Versions...) {
		to := target.To
		if i == 0 {
			to = "(default)"
		}
		t.row(to, yesNo(target.Possible), dash(weightsAfter(target)), moving(target), dash(doubts(target)))
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%srevision %d\n", guardText(c.Level, c.Barrier), c.Revision)
	return err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func weightsAfter(t api.Target) string {
	if !t.Possible {
		return ""
	}
	return weightsText(t.Weights)
}

// moving says how many sessions move, and from where.
func moving(t api.Target) string {
	if !t.Possible || len(t.Leaves) == 0 {
		return "-"
	}
	return fmt.Sprintf("about %s, from %s", count(t.Sessions), strings.Join(t.Leaves, " "))
}

// doubts says why not, or what would be done all the same.
func doubts(t api.Target) string {
	switch {
	case !t.Possible && t.Rule != "":
		return string(t.Rule) + ": " + t.Why
	case !t.Possible:
		return t.Why
	}
	all := slices.Clone(t.Warnings)
	for i := range t.TakenBack {
		all = append(all, takenBackText(&t.TakenBack[i]))
	}
	if len(all) == 0 {
		return ""
	}
	return "warning: " + strings.Join(all, "; ")
}

// takenBackText says how a version lost its last weight: "v3 was taken back at … by
// judge, in rollout r17: …".
func takenBackText(b *api.TakenBack) string {
	text := fmt.Sprintf("%s was taken back at %s by %s", b.Version, stamp(b.At), b.By)
	if b.Rollout != "" {
		text += ", in rollout " + b.Rollout
	}
	if b.Why != "" {
		text += ": " + b.Why
	}
	return text
}
