package main

import (
	"io"

	"github.com/spf13/cobra"

	"sluice/synthetic/compare"
	"sluice/synthetic/replay"
)

// againstFlags are the flags about the version that a replay compares with.
type againstFlags struct {
	name         string
	ignore       []string
	headers      []string
	additiveOnly bool
	exact        bool
	least        int
}

func (f *againstFlags) add(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringVar(&f.name, "against", "", "send each request to this `VERSION`, too (with --target: this URL), and compare the answers")
	s.StringSliceVar(&f.ignore, "ignore", nil, "`FIELDS` that may differ, as the report writes them: '$.meta.took', 'header etag', body")
	s.StringSliceVar(&f.headers, "compare-header", compare.DefaultHeaders(), "the `HEADERS` to compare")
	s.BoolVar(&f.additiveOnly, "additive-only", false, "fields may be added, never lost or retyped")
	s.BoolVar(&f.exact, "exact", false, "every difference counts: nothing differs from one answer to the next")
	s.IntVar(&f.least, "least", compare.DefaultLeast, "how many comparisons it takes to pass")
}

// comparer gives what a replay was answered to a comparison.
type comparer struct{ *compare.Comparison }

// comparer returns what compares, as the flags say.
func (f *againstFlags) comparer() (comparer, error) {
	if f.least < 1 {
		return comparer{}, usage("--least is %d; give a number above 0", f.least)
	}
	return comparer{compare.New(compare.Config{
		Headers: f.headers, Ignore: f.ignore, AdditiveOnly: f.additiveOnly, Exact: f.exact, Least: f.least,
	})}, nil
}

// Add compares the answers to one request.
func (c comparer) Add(r *replay.Request, baseline, again, target *replay.Answer) {
	pair := compare.Pair{Method: r.Method, Path: r.Target, Baseline: response(baseline), Candidate: response(target)}
	if again != nil {
		second := response(again)
		pair.Again = &second
	}
	c.Comparison.Add(pair)
}

// response translates an answer. One that broke off counts as none.
func response(a *replay.Answer) compare.Response {
	if a.Err != nil {
		return compare.Response{}
	}
	res := compare.Response{Status: a.Status, Body: a.Body, Cut: a.Truncated}
	for _, f := range a.Fields {
		res.Header = append(res.Header, compare.Field{Name: f.Name, Value: f.Value})
	}
	return res
}

// compared is what a comparison found, as a part of a replay's report.
type compared struct{ compare.Report }

// Passed says whether the target answers as the baseline does. Too little to
// tell is not enough.
func (c compared) Passed() (bool, []string) {
	return c.Verdict.Decision == compare.Pass, c.Verdict.Reasons
}

// WriteText tells what differs.
func (c compared) WriteText(w io.Writer) error { return c.Report.WriteText(w, false) }
