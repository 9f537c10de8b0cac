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
	"sluice/synthetic/compare"
)

// newShadow returns the commands about copies of requests.
func newShadow(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shadow",
		Short: "See how a version answers copies of real requests",
		Long: `A share of the requests may be copied to a version, dark or live, once the client
has its answer. The copies' answers are compared with what the clients got, and
dropped. The file says for which service (shadow), and a policy in which stage of
a rollout.`,
		Example: `  sluice shadow report web
  sluice shadow report web --version v2 --all`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newShadowReport(r))
	return cmd
}

// The exit statuses of a report; whatever kept it is statusNotStarted.
const (
	statusAlike     = 0
	statusDiffers   = 1
	statusUndecided = 2
)

func newShadowReport(r *remote) *cobra.Command {
	var version string
	var everything bool
	cmd := &cobra.Command{
		Use:   "report SERVICE",
		Short: "Tell what differs between a version's answers and those that clients got",
		Long: `Tell what differs between a version's answers to copies of requests and those that
the clients got, by pattern of the path and field, with examples whose secrets are
masked.

  different   differs between the versions clearly more often than two answers of
              the baseline to the same request do
  suspect     so far more often, and not yet clearly
  untested    no second answers of the baseline are there to tell noise by
  allowed     was added, which additive_only allows
  noise       changes from one answer to the next, such as ids and times (--all)
  ignored     may differ, as the file says (--all)

Exit status: 0 if the answers are alike, 1 if they differ, 2 if too few are
compared to tell, 3 if there is no report. That is of the versions that get copies
now, the worst; or of the last that got some.`,
		Example: `  sluice shadow report web
  sluice shadow report web --version v2 --json | jq -r '.shadows[].patterns[].fields[] | select(.state == "different") | .name'`,
		Args:              cobra.ExactArgs(1),
		Annotations:       map[string]string{endsAsRollout: "yes"},
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			var got *api.Shadows
			err := show(r, cmd, func(ctx context.Context, c *client.Client) (*api.Shadows, error) {
				var err error
				if got, err = c.Shadows(ctx, args[0], version); err == nil && len(got.Shadows) == 0 {
					err = noShadow(args[0], version)
				}
				return got, err
			}, func(w io.Writer, all *api.Shadows) error { return printShadows(w, all, everything) })
			if err != nil {
				return err
			}
			return decided(got)
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "only the `VERSION` that gets the copies")
	cmd.Flags().BoolVar(&everything, "all", false, "tell of noise and of what is ignored, too")
	// A flag that exists can have a completion.
	_ = cmd.RegisterFlagCompletionFunc("version", func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return r.offer(cmd, versions, args)
	})
	return cmd
}

// noShadow says that nothing was copied.
func noShadow(service, version string) error {
	what := service
	if version != "" {
		what += " " + version
	}
	return &api.Problem{Title: "nothing compared", Service: service, Version: version, Detail: "no requests are copied to " + what + ", and none were since the start",
		Remedy: fmt.Sprintf("set services.%s.shadow.to in the file, or start a rollout whose policy has a shadow stage", service)}
}

// decided ends with the status of those that get copies now, or of the last that
// did.
func decided(all *api.Shadows) error {
	counts := slices.DeleteFunc(slices.Clone(all.Shadows), func(s api.Shadow) bool { return !s.Active })
	if len(counts) == 0 {
		counts = all.Shadows[:1]
	}
	worst := statusAlike
	for _, s := range counts {
		switch compare.Decision(s.Decision) {
		case compare.Pass:
		case compare.Fail:
			return &outcome{statusDiffers}
		default:
			worst = statusUndecided
		}
	}
	if worst == statusAlike {
		return nil
	}
	return &outcome{worst}
}

// printShadows writes the report of each version.
func printShadows(w io.Writer, all *api.Shadows, everything bool) error {
	for i := range all.Shadows {
		s := &all.Shadows[i]
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, plain(fmt.Sprintf("%s %s against %s: %s", all.Service, s.Version, strings.Join(s.Against, ", "), sentText(s))))
		if len(s.Copies) > 0 {
			fmt.Fprintf(w, "copies since the start: %s\n", countsText(s.Copies))
		}
		report := reportOf(s)
		if err := report.WriteText(w, everything); err != nil {
			return err
		}
	}
	return nil
}

// sentText says which requests are copied.
func sentText(s *api.Shadow) string {
	by := "as the file says"
	if s.Rollout != "" {
		by = "by rollout " + s.Rollout
	}
	text := fmt.Sprintf("%s of the requests, %s, since %s", api.Percent(s.Share), by, stamp(s.Began))
	if !s.Active {
		text += "; not any more"
	}
	return text
}

// countsText writes counts by name.
func countsText(counts map[string]uint64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}

// reportOf is what the API tells, as a report that writes itself.
func reportOf(s *api.Shadow) compare.Report {
	r := compare.Report{
		Verdict:     compare.Verdict{Decision: compare.Decision(s.Decision), Reasons: s.Reasons},
		Comparisons: s.Comparisons, Second: s.Second, Whole: s.Whole, NotCompared: s.NotCompared, Quiet: s.Quiet,
	}
	for _, p := range s.Patterns {
		out := compare.Pattern{Name: p.Name, Comparisons: p.Comparisons, Second: p.Second}
		for _, f := range p.Fields {
			field := compare.Found{Name: f.Name, Kind: compare.Kind(f.Kind), State: compare.State(f.State), Between: f.Between, Within: f.Within}
			for _, e := range f.Examples {
				field.Examples = append(field.Examples, compare.Example(e))
			}
			out.Fields = append(out.Fields, field)
		}
		r.Patterns = append(r.Patterns, out)
	}
	return r
}
