package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/state"
)

// newVersions returns the commands about the versions of a service.
func newVersions(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "versions SERVICE",
		Short: "List, register or remove the versions of a service",
		Long: `List what the versions of a service are: where they are reached, the data shape
they write and read, what they provide and require, and their tags. The commands
below register and remove versions. "versions SERVICE" is short for "versions
list SERVICE".`,
		Example: `  sluice versions web
  sluice versions add web v3 --endpoint 10.0.1.7:8080 --tag commit=3f2a9c1
  sluice versions rm web v1`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE:              r.listVersions,
	}
	cmd.AddCommand(newVersionsList(r), newVersionsAdd(r), newVersionsRemove(r))
	return cmd
}

func newVersionsList(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "list SERVICE",
		Short:             "List what the versions of a service are",
		Long:              "List what the versions of a service are. \"sluice status\" shows how they do.",
		Example:           "  sluice versions list web",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE:              r.listVersions,
	}
}

func (r *remote) listVersions(cmd *cobra.Command, args []string) error {
	return show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Service, error) {
		return c.Service(ctx, args[0])
	}, printVersions)
}

// printVersions writes what each version is.
func printVersions(w io.Writer, s *api.Service) error {
	t := newTable(w, "VERSION", "MODE", "WEIGHT", "FROM", "ENDPOINTS", "SHAPE", "PROVIDES", "REQUIRES", "CAPACITY", "TAGS")
	for _, v := range s.Versions {
		t.row(v.Name, string(v.Mode), fmt.Sprint(v.Weight), string(v.Origin), dash(strings.Join(v.Endpoints, " ")),
			shapeText(v.Shape), dash(strings.Join(v.Provides, " ")), requiresText(v.Requires), capacityText(v.Capacity), pairsText(v.Tags))
	}
	return t.end()
}

// shapeText writes a shape: "writes 12, reads 11 12".
func shapeText(s *state.Shape) string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("writes %s, reads %s", s.Writes, dash(strings.Join(s.Reads, " ")))
}

// capacityText writes what one endpoint serves: "500/s".
func capacityText(perSecond int) string {
	if perSecond == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/s", perSecond)
}

func requiresText(needs map[string][]string) string {
	var parts []string
	for _, service := range slices.Sorted(maps.Keys(needs)) {
		for _, capability := range needs[service] {
			parts = append(parts, service+":"+capability)
		}
	}
	return dash(strings.Join(parts, " "))
}

// pairsText writes pairs in order: "commit=3f2a9c1 team=cart".
func pairsText(pairs map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		parts = append(parts, name+"="+pairs[name])
	}
	return dash(strings.Join(parts, " "))
}

func newVersionsAdd(r *remote) *cobra.Command {
	var body api.VersionSpec
	var shape string
	var requires, tags []string
	cmd := &cobra.Command{
		Use:   "add SERVICE VERSION --endpoint HOST:PORT...",
		Short: "Register a version, dark, or replace what one is",
		Long: `Register a version of a service. It begins dark: only overrides reach it, until
"sluice shift" or "sluice weights" gives it a weight. If the version is there
already, what it is is replaced as a whole; one that serves keeps its shape and
at least one endpoint.

An endpoint is host:port, [v6]:port or unix:/path.`,
		Example: `  sluice versions add web v3 --endpoint 10.0.1.7:8080 --endpoint 10.0.1.8:8080 \
      --shape 13,12,13 --requires api:orders-v2 --tag commit=3f2a9c1`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: r.complete(services, versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if body.Shape, err = parseShape(shape); err != nil {
				return err
			}
			if body.Requires, err = parseRequires(requires); err != nil {
				return err
			}
			if body.Tags, err = parsePairs("tag; write --tag NAME=VALUE, such as commit=3f2a9c1", tags); err != nil {
				return err
			}
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.PutVersion(ctx, args[0], args[1], body)
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&body.Endpoints, "endpoint", nil, "`HOST:PORT` that serves it; may be repeated")
	f.StringVar(&shape, "shape", "", "data shape: `WRITES[,READS...]` (default it reads what it writes)")
	f.StringSliceVar(&body.Provides, "provides", nil, "`CAPABILITY` that it provides; may be repeated")
	f.StringSliceVar(&requires, "requires", nil, "`SERVICE:CAPABILITY` that it needs; may be repeated")
	f.IntVar(&body.Capacity, "capacity", 0, "requests a second that one endpoint serves (default not declared)")
	f.StringArrayVar(&tags, "tag", nil, "`NAME=VALUE` to show with it; may be repeated")
	_ = cmd.MarkFlagRequired("endpoint")
	addReasonFlag(cmd, &body.Reason)
	return cmd
}

func newVersionsRemove(r *remote) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "rm SERVICE VERSION",
		Short: "Remove a dark version that the API registered",
		Long: `Remove a version that "versions add" registered and that is dark. A version that
serves is refused: shift it to 0% and let it drain first. A version of the file
goes when the file drops it.`,
		Example:           `  sluice versions rm web v1 --reason "retired"`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: r.complete(services, versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.change(cmd, func(ctx context.Context, c *client.Client) (*api.Change, error) {
				return c.RemoveVersion(ctx, args[0], args[1], reason)
			})
		},
	}
	addReasonFlag(cmd, &reason)
	return cmd
}
