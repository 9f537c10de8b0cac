package main

import (
	"context"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newHistory returns the command that lists the flips of a service.
func newHistory(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "history SERVICE",
		Short: "List the flips of a service, newest first",
		Long: `List the changes of a service's weights, newest first: who made them, what they
were before and after, what became of pins, and why. The last 100 are kept;
"sluice audit" knows all, and what was no flip.`,
		Example:           "  sluice history web",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.History, error) {
				return c.History(ctx, args[0])
			}, printHistory)
		},
	}
}

func printHistory(w io.Writer, h *api.History) error {
	t := newTable(w, "WHEN", "EPOCH", "BY", "KIND", "BEFORE", "AFTER", "PINS", "WHY")
	for _, f := range h.Flips {
		t.row(stamp(f.At), strconv.FormatUint(f.Epoch, 10), f.By, f.Kind, weightsText(f.Before), weightsText(f.After), brief(f.Pins), f.Why)
	}
	return t.end()
}
