package main

import (
	"context"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newWeights returns the command that replaces the weights of a service.
func newWeights(r *remote) *cobra.Command {
	var body api.Weights
	var revision uint64
	cmd := &cobra.Command{
		Use:   "weights SERVICE VERSION=WEIGHT...",
		Short: "Replace the weights of a service",
		Long: `Replace the weights of a service in one step. Weights are whole numbers and
count relative to one another; versions that are not named get 0.

Sessions pinned to a version that is lowered to 0 finish where they are for 30
minutes, unless --pins says otherwise: "drain:2h" for longer, "keep" without end,
"move" to send them to the new split at once. --streams close also has the clients
of WebSockets and other streams on versions without weight come again, a few at a
time; to do so after a flip, set the weights that it left once more.

What the rules of safety forbid (shapes that can't share data, a barrier, what
another service needs, endpoints that could not take the share) is refused, and
says what would work; --force passes over them, for callers who may.

With --if-revision the change is made only if the service still has the revision
that "sluice status" or --json showed; else nothing changes and the exit status
is 4.`,
		Example: `  sluice weights web v1=95 v2=5 --reason "try the new cart"
  sluice weights web v2=1 --pins drain:2h
  sluice weights web v1=9999 v2=1 --if-revision 12`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: r.completeAll(services, weights),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if body.Weights, err = parseWeights(args[1:]); err != nil {
				return err
			}
			// An empty variable of a script must not undo its caution.
			if revision == 0 && cmd.Flags().Changed("if-revision") {
				return usage("--if-revision is 0, which no service has")
			}
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.SetWeights(ctx, args[0], body, revision)
			})
		},
	}
	addReasonFlag(cmd, &body.Reason)
	addPinsFlag(cmd, &body.Pins, "drain:30m")
	addStreamsFlag(cmd, &body.Streams)
	addForceFlag(cmd, &body.Force)
	cmd.Flags().Uint64Var(&revision, "if-revision", 0, "change only if the service has this `REVISION`")
	return cmd
}
