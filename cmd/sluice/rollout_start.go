package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/admin/client"
)

// startFlags is what "rollout start" is given besides its arguments. Where there
// are several services, the values about versions begin with "SERVICE=".
type startFlags struct {
	terms                                      api.RolloutTerms
	set                                        string
	endpoints, shape, provides, requires, tags []string
	capacity                                   []string
	wait                                       bool
	limit                                      time.Duration
}

func newRolloutStart(r *remote) *cobra.Command {
	var f startFlags
	cmd := &cobra.Command{
		Use:   "start SERVICE VERSION | start SERVICE=VERSION... --set NAME",
		Short: "Start a rollout, and see it through",
		Long: `Start a rollout. With --endpoint the version is registered too, else it is there
already. A rollout that is for the same version and under way, or promoted and
still in force, is found instead of started twice: the command may be repeated.

Several services with their versions are a release set: they move as one, so that
a session gets all of the new versions or none, and roll back as one. Then what is
said of a version begins with its service: --endpoint web=10.0.1.7:8080.

With --wait the command tells of each transition in a line, of what is seen in
between once a minute, and ends when the rollout does. If the proxy restarts
meanwhile, it waits and goes on. Its exit status is then
  0  promoted
  1  rolled back; the last lines are the evidence
  2  superseded by a newer one, or aborted
  3  not started: standard error says why
  4  still under way at the end of --timeout, or when it was interrupted; the
     rollout goes on
and without --wait 0 or 3.`,
		Example: `  sluice rollout start web v42 --endpoint 10.0.1.7:8080 --shape 12,11,12 --wait
  sluice rollout start web v42 --policy blue-green --wait --timeout 30m
  sluice rollout start web=v42 api=v8 --set shop --endpoint web=10.0.1.7:8080 \
      --endpoint api=10.0.2.7:8080 --wait`,
		Args:              cobra.MinimumNArgs(1),
		Annotations:       map[string]string{endsAsRollout: "yes"},
		ValidArgsFunction: r.complete(services, versions),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.limit <= 0 {
				return usage("--timeout is %v; give a duration above 0, such as 2h", f.limit)
			}
			body, err := f.body(args)
			if err != nil {
				return err
			}
			return r.start(cmd, body, &f)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.terms.Policy, "policy", "", "a `POLICY` of the file, or standard, cautious, blue-green or manual (default the service's own, or standard)")
	fs.StringVar(&f.set, "set", "", "the `NAME` of the release set, where there are several services")
	fs.StringSliceVar(&f.endpoints, "endpoint", nil, "`HOST:PORT` that serves the version; may be repeated")
	fs.StringArrayVar(&f.shape, "shape", nil, "its data shape: `WRITES[,READS...]` (default it reads what it writes)")
	fs.StringSliceVar(&f.provides, "provides", nil, "`CAPABILITY` that it provides; may be repeated")
	fs.StringSliceVar(&f.requires, "requires", nil, "`SERVICE:CAPABILITY` that it needs; may be repeated")
	fs.StringArrayVar(&f.tags, "tag", nil, "`NAME=VALUE` to show with it; may be repeated")
	fs.StringArrayVar(&f.capacity, "capacity", nil, "`REQUESTS` a second that one endpoint serves (default not declared)")
	fs.StringVar(&f.terms.Reason, "reason", "", "why, for the audit")
	fs.BoolVar(&f.terms.Force, "force", false, "pass over the rules of shapes, needs and capacity; needs a permission of its own")
	fs.BoolVar(&f.wait, "wait", false, "stay until it is over, and exit by how it ended")
	fs.DurationVar(&f.limit, "timeout", 2*time.Hour, "how long to stay at most")
	return cmd
}

// body makes the request of arguments and flags. One leg has no prefixes.
func (f *startFlags) body(args []string) (*api.SetStart, error) {
	var pairs [][2]string
	for _, arg := range args {
		if service, version, ok := strings.Cut(arg, "="); ok && service != "" && version != "" {
			pairs = append(pairs, [2]string{service, version})
		}
	}
	switch {
	case len(pairs) == len(args):
	case len(pairs) == 0 && len(args) == 2:
		pairs = [][2]string{{args[0], args[1]}}
	default:
		return nil, usage("write SERVICE VERSION, such as web v42, or SERVICE=VERSION for each of several")
	}
	if len(pairs) > 1 && f.set == "" {
		return nil, usage("%d services roll out as a release set: give it a name, such as --set shop", len(pairs))
	}
	body := &api.SetStart{Set: f.set, RolloutTerms: f.terms}
	for _, pair := range pairs {
		leg, err := f.leg(pair[0], pair[1], len(pairs) > 1)
		if err != nil {
			return nil, err
		}
		body.Legs = append(body.Legs, leg)
	}
	if len(pairs) > 1 {
		return body, f.strangers(pairs)
	}
	return body, nil
}

// leg makes one leg of the flags that concern it.
func (f *startFlags) leg(service, version string, several bool) (api.LegStart, error) {
	mine := func(values []string) []string { return ofService(values, service, several) }
	leg := api.LegStart{Service: service, Candidate: api.Candidate{Version: version, Endpoints: mine(f.endpoints), Provides: mine(f.provides)}}
	var err error
	if shapes := mine(f.shape); len(shapes) > 0 {
		if leg.Shape, err = parseShape(shapes[len(shapes)-1]); err != nil {
			return leg, err
		}
	}
	if leg.Requires, err = parseRequires(mine(f.requires)); err != nil {
		return leg, err
	}
	if leg.Tags, err = parsePairs("tag; write --tag NAME=VALUE, such as commit=3f2a9c1", mine(f.tags)); err != nil {
		return leg, err
	}
	for _, text := range mine(f.capacity) {
		if _, err := fmt.Sscanf(text, "%d", &leg.Capacity); err != nil || leg.Capacity < 1 || fmt.Sprint(leg.Capacity) != text {
			return leg, usage("--capacity %q: write requests a second, such as 200", text)
		}
	}
	return leg, nil
}

// ofService returns the values that concern a service.
func ofService(values []string, service string, several bool) []string {
	if !several {
		return values
	}
	var mine []string
	for _, v := range values {
		if rest, ok := strings.CutPrefix(v, service+"="); ok {
			mine = append(mine, rest)
		}
	}
	return mine
}

// strangers refuses values that concern no service of the set.
func (f *startFlags) strangers(pairs [][2]string) error {
	for name, values := range map[string][]string{"endpoint": f.endpoints, "shape": f.shape, "provides": f.provides,
		"requires": f.requires, "tag": f.tags, "capacity": f.capacity} {
	values:
		for _, v := range values {
			for _, pair := range pairs {
				if strings.HasPrefix(v, pair[0]+"=") {
					continue values
				}
			}
			return usage("--%s %q: say which service it is of, such as --%s %s=%s", name, v, name, pairs[0][0], v)
		}
	}
	return nil
}

// start has the rollout begin, and stays with it if it is to.
func (r *remote) start(cmd *cobra.Command, body *api.SetStart, f *startFlags) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), f.limit)
	defer cancel()
	started, err := begin(ctx, c, body)
	if err != nil {
		return err
	}
	if started.Warning != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "sluice: warning:", started.Warning)
	}
	if !f.wait {
		if r.json {
			return printJSON(cmd.OutOrStdout(), started)
		}
		return printStanding(cmd.OutOrStdout(), started)
	}
	if !r.json {
		verb := "started"
		if started.Found {
			verb = "found"
		}
		fmt.Fprintln(cmd.OutOrStdout(), plain(fmt.Sprintf("%s %s: %s, policy %s, by %s", started.ID, verb, started.Title(), started.Policy.Name, started.By)))
	}
	return r.follow(ctx, cmd, c, started)
}

// beginPatience is how long a start is repeated that the proxy could not take at
// the moment, as in an upgrade.
const beginPatience = 30 * time.Second

// begin starts the rollout. It may be repeated: a rollout is found again.
func begin(ctx context.Context, c *client.Client, body *api.SetStart) (*api.Rollout, error) {
	again := backoff{least: 200 * time.Millisecond, most: 5 * time.Second}
	for end := time.Now().Add(beginPatience); ; {
		started, err := startOnce(ctx, c, body)
		var p *api.Problem
		if !errors.As(err, &p) || p.Status != http.StatusServiceUnavailable || time.Now().After(end) || !again.wait(ctx) {
			return started, err
		}
	}
}

func startOnce(ctx context.Context, c *client.Client, body *api.SetStart) (*api.Rollout, error) {
	if len(body.Legs) > 1 || body.Set != "" {
		return c.StartSet(ctx, *body)
	}
	return c.StartRollout(ctx, body.Legs[0].Service, api.RolloutStart{Candidate: body.Legs[0].Candidate, RolloutTerms: body.RolloutTerms})
}
