package main

import (
	"context"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newPins returns the commands about pins.
func newPins(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pins COMMAND",
		Short:   "Make the pins to a version void",
		Long:    "The commands about the pins that hold sessions on versions.",
		Example: "  sluice pins void web v2",
		RunE:    needsCommand,
	}
	cmd.AddCommand(newPinsVoid(r))
	return cmd
}

// needsCommand is what a command that only holds others does.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return usage("%q needs a command", cmd.CommandPath())
}

func newPinsVoid(r *remote) *cobra.Command {
	var body api.VoidPins
	cmd := &cobra.Command{
		Use:   "void SERVICE VERSION",
		Short: "Make the pins to a version so far void",
		Long: `Make every pin to a version that was made so far void. The sessions are split
anew at their next request, so some come back to the version with a new pin if
it has weight.`,
		Example:           `  sluice pins void web v2 --reason "poisoned caches"`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: r.complete(services, versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			body.Version = args[1]
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.VoidPins(ctx, args[0], body)
			})
		},
	}
	addReasonFlag(cmd, &body.Reason)
	return cmd
}
