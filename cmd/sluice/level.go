package main

import (
	"context"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newLevel returns the command that says which shape is in the database.
func newLevel(r *remote) *cobra.Command {
	var body api.Level
	var none bool
	cmd := &cobra.Command{
		Use:   "level SERVICE LEVEL",
		Short: "Say which data shape is in the database now",
		Long: `Say which data shape is in a service's database now, as a migration does when it
is through. Versions say by their shape whether they can read it. Without a
barrier the level holds nobody back: a flip to a version that can't read it warns.
With one ("sluice barrier") such a version gets no traffic.

--none takes the level back.`,
		Example: `  sluice level web 13 --reason "orders split, migration 13"
  sluice level web --none`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			if none == (len(args) == 2) {
				return usage("give a level, or --none")
			}
			if !none {
				if body.Level = args[1]; body.Level == "" {
					return usage("the level is empty; --none takes it back")
				}
			}
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.SetLevel(ctx, args[0], body)
			})
		},
	}
	cmd.Flags().BoolVar(&none, "none", false, "take the level back")
	addReasonFlag(cmd, &body.Reason)
	return cmd
}
