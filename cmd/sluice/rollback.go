package main

import (
	"context"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newRollback returns the command that gives traffic back.
func newRollback(r *remote) *cobra.Command {
	var body api.Rollback
	cmd := &cobra.Command{
		Use:   "rollback SERVICE [--to VERSION]",
		Short: "Give traffic back to the version before, at once",
		Long: `Return a service to the weights that were in force before the newest raise of a
version, or with --to give one version everything. "sluice status SERVICE" tells
beforehand where it leads, "sluice can-rollback SERVICE" where else it could. A
second rollback goes back further, never forth.

A rollback that the rules of safety forbid (the version can't read the data that
is there now, another service needs the one that would go) is refused and says
what would work; --force passes over them, for callers who may.

Sessions on the version that is left move at once, unless --pins says otherwise.
Requests in flight finish where they are. So do WebSockets and responses that go
on and on, such as events, unless --streams close has their clients come again.

A rollback works also while the store does not: it is then in force on this
instance, a warning on standard error says that it is not durable yet, and the
exit status is 0 still.`,
		Example: `  sluice rollback web
  sluice rollback web --to v1 --reason "errors in checkout"
  sluice rollback web --pins drain:10m
  sluice rollback web --streams close`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.Rollback(ctx, args[0], body)
			})
		},
	}
	cmd.Flags().StringVar(&body.To, "to", "", "the `VERSION` that gets all new sessions (default the weights before the newest raise)")
	addReasonFlag(cmd, &body.Reason)
	addPinsFlag(cmd, &body.Pins, "move")
	addStreamsFlag(cmd, &body.Streams)
	addForceFlag(cmd, &body.Force)
	_ = cmd.RegisterFlagCompletionFunc("to", r.completeAll(versions))
	return cmd
}
