package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newExplain returns the command that tells how a request would be routed.
func newExplain(r *remote) *cobra.Command {
	var body api.ExplainRequest
	var headers []string
	cmd := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "Tell how a request would be routed, and why",
		Long: `Tell which version would answer a request by the routing table in force, with
each step of the decision and why it went so; a star marks the steps that
decided. No request is sent and no pin is made. Where the split draws at random,
another call may draw otherwise.

The URL is the one that the client would use; its host decides the route.
Headers count as the client's: a Cookie may carry a pin, a Sluice-Token an
override. With --trusted the request counts as coming from a trusted network, so
that Sluice-Override is believed.`,
		Example: `  sluice explain GET https://shop.example.com/cart
  sluice explain GET https://shop.example.com/ -H 'X-Tenant: acme' --client 203.0.113.7
  sluice explain POST http://api/orders -H 'Sluice-Override: api=v2' --trusted`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: completeMethod,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if body.Headers, err = parseHeaders(headers); err != nil {
				return err
			}
			body.Method, body.URL = args[0], args[1]
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Explanation, error) {
				return c.Explain(ctx, body)
			}, printExplanation)
		},
	}
	cmd.Flags().StringArrayVarP(&headers, "header", "H", nil, "`'NAME: VALUE'` of a header; may be repeated")
	cmd.Flags().StringVar(&body.Client, "client", "", "the client's `IP` address (default unknown)")
	cmd.Flags().BoolVar(&body.Trusted, "trusted", false, "the request comes from a trusted network")
	return cmd
}

// completeMethod offers methods for the first argument.
func completeMethod(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodHead, http.MethodOptions}, cobra.ShellCompDirectiveNoFileComp
}

// printExplanation writes the answer first, then the way to it.
func printExplanation(w io.Writer, e *api.Explanation) error {
	answer := e.Service + " " + e.Version
	if e.Status != 0 {
		answer = fmt.Sprintf("the proxy itself: %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Failed != "" {
		answer += fmt.Sprintf("; %s was chosen but has no usable endpoint", e.Failed)
	}
	if _, err := fmt.Fprintf(w, "%s (%s)\n", answer, plain(e.Reason)); err != nil {
		return err
	}
	t := newTable(w)
	for _, step := range e.Steps {
		mark := " "
		if step.Decided {
			mark = "*"
		}
		t.row(mark+" "+step.Step, step.Text)
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "pin: %s; table of revision %d\n", dash(e.Pin), e.Revision)
	return err
}
