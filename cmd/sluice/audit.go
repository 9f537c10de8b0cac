package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newAudit returns the command that lists all changes.
func newAudit(r *remote) *cobra.Command {
	var before uint64
	var limit int
	cmd := &cobra.Command{
		Use:   "audit [SERVICE]",
		Short: "List who changed what, newest first",
		Long: `List all changes, or those of one service, newest first: who made them, what they
did and why. Where there are older ones, the last line says how to see them.`,
		Example: `  sluice audit --limit 20
  sluice audit web --before 118`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > 1000 {
				return usage("--limit is %d; give 1 to 1000", limit)
			}
			service := ""
			if len(args) == 1 {
				service = args[0]
			}
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Audit, error) {
				return c.Audit(ctx, service, before, limit)
			}, printAudit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "about how many changes, at most 1000")
	cmd.Flags().Uint64Var(&before, "before", 0, "only changes older than this `REVISION`")
	return cmd
}

func printAudit(w io.Writer, a *api.Audit) error {
	t := newTable(w, "WHEN", "REVISION", "BY", "KIND", "SERVICE", "WHAT", "WHY")
	for _, e := range a.Events {
		t.row(stamp(e.At), strconv.FormatUint(e.Revision, 10), e.By, e.Kind, e.Service, e.Detail, e.Why)
	}
	if err := t.end(); err != nil || a.Next == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "older: --before %d\n", a.Next)
	return err
}
