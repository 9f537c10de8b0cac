package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newToken returns the command that signs override tokens.
func newToken(r *remote) *cobra.Command {
	var subject string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "token SERVICE=VERSION...",
		Short: "Sign an override token, which reaches a version, dark or not",
		Long: `Sign a token whose bearer reaches the named versions, dark or not, until it
expires. The token alone goes to standard output, what it is good for to
standard error. It is sent as the header Sluice-Token, as the cookie
sluice_token, or once as the query parameter sluice-token, which sets the cookie.

The proxy needs a key for it: override.keys in its file.`,
		Example: `  sluice token web=v2 --ttl 8h
  curl -H "Sluice-Token: $(sluice token web=v2)" https://shop.example.com/
  sluice token web=v2 api=v3 --subject alice`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: r.completeAll(overrides),
		RunE: func(cmd *cobra.Command, args []string) error {
			pairs, err := parsePairs("override; write SERVICE=VERSION, such as web=v2", args)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("ttl") && ttl <= 0 {
				return usage("--ttl is %v; give a duration above 0, such as 8h", ttl)
			}
			body := api.TokenRequest{Overrides: pairs, TTL: api.Duration(ttl), Subject: subject}
			return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.SignedToken, error) {
				return c.SignToken(ctx, body)
			}, func(w io.Writer, t *api.SignedToken) error {
				fmt.Fprintf(cmd.ErrOrStderr(), "for %s, %s, until %s\n", plain(t.Subject), pairsText(t.Overrides), stamp(t.Expires))
				_, err := fmt.Fprintln(w, t.Token)
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long it is good for (default 8h, at most 720h)")
	cmd.Flags().StringVar(&subject, "subject", "", "who will use it (default the caller)")
	return cmd
}
