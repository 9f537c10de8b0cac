package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newBarrier returns the command that sets and lifts barriers.
func newBarrier(r *remote) *cobra.Command {
	var body api.Barrier
	cmd := &cobra.Command{
		Use:   "barrier SERVICE on|off [--level LEVEL]",
		Short: "Keep traffic from versions that can't read the data",
		Long: `Set a barrier at a service's level: from then on no version that can't read it
gets traffic, new sessions or pinned ones, by whatever way. So a rollback past a
destructive migration is refused, with the versions that are still possible. A
version that declares no shape can't be shown to read the level, and is kept out.

A barrier is refused while a version that can't read the level has traffic.
Setting one takes the role deployer; lifting or moving it takes operator.`,
		Example: `  sluice barrier web on --level 13 --reason "old columns dropped"
  sluice can-rollback web
  sluice barrier web off`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: r.complete(services, func([]api.Service, []string) []string {
			return []string{"on", "off"}
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case args[1] == "on":
				body.On = true
			case args[1] != "off":
				return usage("%q is neither on nor off", args[1])
			case body.Level != "":
				return usage("--level goes with on; sluice level sets it alone")
			}
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.SetBarrier(ctx, args[0], body)
			})
		},
	}
	cmd.Flags().StringVar(&body.Level, "level", "", "the service's `LEVEL` from now on (default as it is)")
	addReasonFlag(cmd, &body.Reason)
	return cmd
}

// guardText says at what level a service is and whether a barrier stands there;
// "" without a level.
func guardText(level string, barrier bool) string {
	switch {
	case level == "":
		return ""
	case barrier:
		return fmt.Sprintf("barrier at level %s; ", level)
	}
	return fmt.Sprintf("level %s; ", level)
}
