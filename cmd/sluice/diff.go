package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newDiff returns the command that compares file and state.
func newDiff(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "diff",
		Short: "Show where the file and what is in force part",
		Long: `Show where the proxy's file, as it is on its disk, and what is in force part.
Both may well be wanted: what people and jobs decide goes on to hold until the
file itself changes. Like diff(1) it exits with 0 if they agree and 1 if not.`,
		Example: "  sluice diff || echo 'somebody changed weights by hand'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			same := false
			err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Diff, error) {
				d, err := c.Diff(ctx)
				same = err == nil && d.Same
				return d, err
			}, printDiff)
			if err == nil && !same {
				return errSilent
			}
			return err
		},
	}
}

func printDiff(w io.Writer, d *api.Diff) error {
	if d.Same {
		_, err := fmt.Fprintln(w, "the file and what is in force agree")
		return err
	}
	t := newTable(w, "SERVICE", "VERSION", "WHAT", "FILE", "IN FORCE")
	for _, p := range d.Differences {
		t.row(p.Service, dash(p.Version), p.Field, p.File, p.State)
	}
	return t.end()
}
