package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/state"
)

// addReasonFlag gives a command that changes something what all of them take.
func addReasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "why, for the audit")
	cmd.Flags().Bool("wait", false, "return when the change is in force; a single instance always does")
}

// addPinsFlag gives a command that flips the choice of what becomes of pins.
func addPinsFlag(cmd *cobra.Command, pins *string, preset string) {
	cmd.Flags().StringVar(pins, "pins", "", "what becomes of sessions on lowered versions: keep, move or drain[:30m] (default "+preset+")")
	_ = cmd.RegisterFlagCompletionFunc("pins", cobra.FixedCompletions(
		[]string{"keep", "move", "drain", "drain:30m"}, cobra.ShellCompDirectiveNoFileComp))
}

// addStreamsFlag gives a command that flips the choice of what becomes of
// streams.
func addStreamsFlag(cmd *cobra.Command, streams *string) {
	cmd.Flags().StringVar(streams, "streams", "", "what becomes of WebSockets and other streams on versions left without weight: finish or close (default finish)")
	_ = cmd.RegisterFlagCompletionFunc("streams", cobra.FixedCompletions(
		[]string{"finish", "close"}, cobra.ShellCompDirectiveNoFileComp))
}

// addForceFlag gives a command that flips the way past the rules of safety.
func addForceFlag(cmd *cobra.Command, force *bool) {
	cmd.Flags().BoolVar(force, "force", false, "pass over the rules of safety: shapes, barrier, needs, capacity; needs a token that may")
}

// change makes a change, prints what it did and warns of what it did not do.
func (r *remote) change(cmd *cobra.Command, call func(context.Context, *client.Client) (*api.Change, error)) error {
	var warnings []string
	err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
		answer, err := call(ctx, c)
		if err == nil {
			warnings = answer.Warnings
			if !answer.Durable {
				answer.Warning = cmp.Or(answer.Warning, "in force, but not durable yet: a restart would undo it")
			}
			if answer.Warning != "" {
				warnings = append(slices.Clip(warnings), answer.Warning)
			}
		}
		return answer, err
	}, printChange)
	for _, text := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "sluice: warning:", plain(text))
	}
	return err
}

// printChange writes the weights before and after.
func printChange(w io.Writer, c *api.Change) error {
	if weightsText(c.Before) == weightsText(c.After) {
		text := cmp.Or(c.Detail, "changed")
		if !c.Changed {
			text = "nothing to change: it is so already"
		}
		_, err := fmt.Fprintf(w, "%s: %s\nweights %s; revision %d, epoch %d\n", c.Service, plain(text), weightsText(c.After), c.Revision, c.Epoch)
		return err
	}
	t := newTable(w, "SERVICE", "VERSION", "WEIGHT BEFORE", "AFTER", "SHARE BEFORE", "AFTER")
	names := maps.Clone(c.Before)
	if names == nil {
		names = map[string]int{}
	}
	maps.Copy(names, c.After)
	sumBefore, sumAfter := total(c.Before), total(c.After)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := c.Before[name], c.After[name]
		t.row(c.Service, name, strconv.Itoa(before), strconv.Itoa(after), percentOf(before, sumBefore), percentOf(after, sumAfter))
	}
	if err := t.end(); err != nil {
		return err
	}
	pins := ""
	if c.Pins != "" {
		pins = "; pins " + brief(c.Pins)
	}
	if c.Streams == string(state.StreamsClose) {
		pins += "; streams close"
	}
	_, err := fmt.Fprintf(w, "revision %d, epoch %d%s\n", c.Revision, c.Epoch, pins)
	return err
}

// percentOf writes what part of a sum is, in percent.
func percentOf(part, sum int) string {
	if sum == 0 {
		return percent(0)
	}
	return percent(float64(part) / float64(sum))
}
