package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newReload returns the command that makes the proxy read its file anew.
func newReload(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the proxy read its file anew",
		Long: `Make the proxy read its file anew, as it does by itself when the file changes,
and wait for the outcome. A file that is wrong changes nothing, and the errors
are told.`,
		Example: `  sluice check && sluice reload`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Reloaded, error) {
				return c.Reload(ctx)
			}, func(w io.Writer, answer *api.Reloaded) error {
				text := "the state is as before"
				if answer.Changed {
					text = "the state changed"
				}
				_, err := fmt.Fprintf(w, "the file is in force; %s (revision %d)\n", text, answer.Revision)
				return err
			})
		},
	}
}
