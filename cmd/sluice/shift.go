package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// newShift returns the command that gives one version a share.
func newShift(r *remote) *cobra.Command {
	var body api.Weights
	cmd := &cobra.Command{
		Use:   "shift SERVICE VERSION SHARE%",
		Short: "Give one version a share of new sessions",
		Long: `Give one version a share of new sessions, from 0% to 100% with at most two
decimals. The share is exact; the other versions split the rest as before. At
100% they get nothing.

The change is made to the weights that were read for it: if somebody else changes
the service in between, nothing changes and the exit status is 4.`,
		Example: `  sluice shift web v2 5%
  sluice shift web v2 0.01% --reason "first traffic"
  sluice shift web v2 100% --pins move`,
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: r.complete(services, versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			share, err := parseShare(args[2])
			if err != nil {
				return err
			}
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return shift(ctx, c, args[0], args[1], share, body)
			})
		},
	}
	addReasonFlag(cmd, &body.Reason)
	addPinsFlag(cmd, &body.Pins, "drain:30m")
	addStreamsFlag(cmd, &body.Streams)
	addForceFlag(cmd, &body.Force)
	return cmd
}

// shift reads the weights, shifts them and sets them if nobody else has.
func shift(ctx context.Context, c *client.Client, service, version string, share int, body api.Weights) (*api.Change, error) {
	s, err := c.Service(ctx, service)
	if err != nil {
		return nil, err
	}
	before := make(map[string]int, len(s.Versions))
	for _, v := range s.Versions {
		before[v.Name] = v.Weight
	}
	body.Weights, err = shifted(before, version, share)
	var p *api.Problem
	if errors.As(err, &p) {
		p.Service = service
	}
	if err != nil {
		return nil, err
	}
	return c.SetWeights(ctx, service, body, s.Revision)
}
