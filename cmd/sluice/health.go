package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// healthTimeout bounds the question, unless --timeout does: whoever asks for
// health wants an answer.
const healthTimeout = 3 * time.Second

// newHealth returns the command that asks whether the proxy can serve.
func newHealth(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Tell by the exit status whether the proxy can serve",
		Long: `Ask the admin API's /readyz whether the proxy can serve. It exits with 0 if so
and with 1 in every other case, also if nobody answers, as container runtimes
expect. It needs no token; with one it says more. Unless --timeout is given it
waits 3s at most.`,
		Example: `  sluice health
  HEALTHCHECK --interval=5s CMD ["/sluice", "health"]`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("timeout") {
				r.timeout = healthTimeout
			}
			ready := false
			err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Readiness, error) {
				answer, err := c.Ready(ctx)
				ready = err == nil && answer.Ready
				return answer, err
			}, printReadiness)
			var wrong *usageError
			switch {
			case errors.As(err, &wrong):
				return err
			case err != nil: // its own type would set another exit status
				return errors.New(err.Error())
			case !ready:
				return errSilent
			}
			return nil
		},
	}
}

// printReadiness says whether the proxy is ready, and what is amiss.
func printReadiness(w io.Writer, r *api.Readiness) error {
	text := "ready"
	if !r.Ready {
		text = "not ready"
	}
	if _, err := fmt.Fprintln(w, text); err != nil {
		return err
	}
	for _, warning := range amiss(r) {
		fmt.Fprintln(w, "  "+warning)
	}
	return nil
}

// amiss lists what people should know of an instance, as viewers see it.
// Others are told of readiness alone, so no durability is missing there.
func amiss(r *api.Readiness) []string {
	var all []string
	add := func(text, detail string) {
		if detail != "" {
			all = append(all, text+": "+detail)
		}
	}
	add("the last change of the file was refused", r.ConfigError)
	add("the last change of the token file was refused", r.TokensError)
	add("not durable yet, a restart would undo", strings.Join(r.Pending, "; "))
	add("no healthy endpoint", strings.Join(r.Down, ", "))
	for _, l := range r.Listeners {
		add("listener "+l.Name+" does not accept", l.Error)
	}
	return all
}
