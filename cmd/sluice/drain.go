package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newDrain returns the command that lets the sessions of a version finish.
func newDrain(r *remote) *cobra.Command {
	var reason string
	var span time.Duration
	var end bool
	cmd := &cobra.Command{
		Use:   "drain SERVICE VERSION [--for DURATION | --end]",
		Short: "Let the sessions of a version without weight finish",
		Long: `Let a version of weight 0 go on serving the sessions pinned to it: for a time
from now, or until the pins run out. On a version that drains already this sets
the time anew. --end makes it dark at once; its sessions are split anew at their
next request.`,
		Example: `  sluice drain web v1 --for 30m
  sluice drain web v1 --end`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: r.complete(services, versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("for") && span <= 0 {
				return usage("--for is %v; give a duration above 0, or --end", span)
			}
			body := api.Drain{On: !end, For: api.Duration(span), Reason: reason}
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.Drain(ctx, args[0], args[1], body)
			})
		},
	}
	cmd.Flags().DurationVar(&span, "for", 0, "for how long from now (default until the pins run out)")
	cmd.Flags().BoolVar(&end, "end", false, "end the draining now")
	cmd.MarkFlagsMutuallyExclusive("for", "end")
	addReasonFlag(cmd, &reason)
	return cmd
}
