package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// journeys shows what is known of versions before anybody meets them: one is kept
// out for it, and one let in.
func (s *story) journeys(ctx context.Context) error {
	s.say("A service more, books, has journeys: what visitors do, written down in the file as requests with what their answers " +
		"must be like. Every few seconds they are run against each version, dark or live, on the way that visitors come.")
	s.command("sluice matrix books")
	m, complete, err := s.awaitMatrix(ctx)
	if err != nil {
		return err
	}
	s.line("")
	for _, line := range matrixTable(m) {
		s.line(line)
	}
	s.line("")
	failed := s.tellFailed(m)
	s.line("")
	s.promise(complete && slices.Equal(failed, []string{"order v2 pay"}), "of %d journeys by versions one fails: order on v2, at the step pay", len(m.Cells))
	if err := s.keptOut(ctx); err != nil {
		return err
	}
	return s.letIn(ctx)
}

// awaitMatrix waits until each journey has been run against each version.
func (s *story) awaitMatrix(ctx context.Context) (*api.ServiceMatrix, bool, error) {
	m := &api.ServiceMatrix{}
	var failure error
	complete, err := s.await(ctx, func() bool {
		var all *api.Matrix
		if all, failure = s.admin.Matrix(ctx, "books", ""); failure != nil || len(all.Services) == 0 {
			return failure != nil
		}
		m = &all.Services[0]
		return !slices.ContainsFunc(m.Cells, func(c api.MatrixCell) bool { return c.State == api.CellNever })
	})
	return m, complete && failure == nil, cmp.Or(failure, err)
}

// matrixTable returns the lines of a table: journeys by versions.
func matrixTable(m *api.ServiceMatrix) []string {
	const cell = "  %-16s"
	head := fmt.Sprintf("  %-8s", m.Service)
	for _, v := range m.Versions {
		head += fmt.Sprintf(cell, fmt.Sprintf("%s (%s)", v.Name, v.Mode))
	}
	lines := []string{head}
	for _, journey := range m.Journeys {
		line := fmt.Sprintf("  %-8s", journey)
		for _, v := range m.Versions {
			for i := range m.Cells {
				if c := &m.Cells[i]; c.Journey == journey && c.Version == v.Name {
					line += fmt.Sprintf(cell, cellText(c))
				}
			}
		}
		lines = append(lines, line)
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// cellText writes a cell: "passed 34ms", "FAILED".
func cellText(c *api.MatrixCell) string {
	switch {
	case c.Newest == nil:
		return string(c.State)
	case !c.Newest.Passed:
		return "FAILED"
	}
	return "passed " + span(time.Duration(c.Newest.Took))
}

// tellFailed says of each journey that fails where and why, and returns those as
// "journey version step".
func (s *story) tellFailed(m *api.ServiceMatrix) (failed []string) {
	for i := range m.Cells {
		c := &m.Cells[i]
		if c.State == api.CellFailed {
			s.result("%s failed against %s at step %s: %s", c.Journey, c.Version, c.Newest.Step, c.Newest.Failure)
			failed = append(failed, c.Journey+" "+c.Version+" "+c.Newest.Step)
		}
	}
	return failed
}

// keptOut tries to give weight to the version that fails.
func (s *story) keptOut(ctx context.Context) error {
	const command = "sluice shift books v2 10%"
	s.command(command)
	_, err := s.admin.SetWeights(ctx, "books", tenPercent("v2"), 0)
	var problem *api.Problem
	refused := errors.As(err, &problem) && problem.Rule == state.RuleJourneys
	if err != nil && !refused {
		return fmt.Errorf("%s: %w", command, err)
	}
	if refused {
		s.result("%v", err)
	}
	s.line("")
	s.promise(refused, "v2 gets no weight while it fails")
	from := s.backend("books", "v2").origins()
	s.promise(from.visitors+from.copies == 0 && from.journeys > 0, "no visitor has met v2: all %d requests that it got were of journeys", from.journeys)
	svc, err := s.admin.Service(ctx, "books")
	if err != nil {
		return err
	}
	counted := uint64(0)
	for _, v := range svc.Versions {
		counted += v.Live.Requests
	}
	s.promise(counted == 0, "journeys are in no statistic: before the first visitor, books counts %s", several(int(counted), "request"))
	return nil
}

// letIn gives weight to a version that passes, and lets visitors come.
func (s *story) letIn(ctx context.Context) error {
	s.line("")
	s.say("v3 passes. Visitors come to books now, and v3 gets some.")
	f, err := s.change("sluice shift books v3 10%", func() (*api.Change, error) {
		return s.admin.SetWeights(ctx, "books", tenPercent("v3"), 0)
	})
	if err != nil {
		return err
	}
	s.load.open("books", shelves)
	reached, err := s.await(ctx, func() bool { return s.of("books", f.acked).byVersion()["v3"].New > 0 })
	if err != nil {
		return err
	}
	if err := s.watch(ctx, 0.5); err != nil {
		return err
	}
	saw, err := s.shares(ctx, "books", f.called)
	if err != nil {
		return err
	}
	all, there := saw.newSessions("v3")
	s.promise(reached && plausible(all, there, 0.1) && saw.failed() == 0, "%d of %s began on v3, and of %d requests %d failed",
		there, several(all, "session"), len(saw), saw.failed())
	return nil
}

// tenPercent are the weights that give a version of books a tenth.
func tenPercent(version string) api.Weights {
	return api.Weights{Weights: map[string]int{"v1": 90, version: 10}, Reason: "demo"}
}

// shadow shows what is found by copies of visitors' requests.
func (s *story) shadow(ctx context.Context) error {
	s.say("v4 passes every journey, too. But the file says shadow: once a visitor of books has the answer, a copy of the request " +
		"goes to v4, which is dark, and another to the version that answered: what differs between these two is noise.")
	s.command("sluice shadow report books")
	report := &api.Shadow{}
	var failure error
	told, err := s.await(ctx, func() bool {
		var all *api.Shadows
		if all, failure = s.admin.Shadows(ctx, "books", "v4"); failure != nil {
			return true
		}
		if len(all.Shadows) > 0 {
			report = &all.Shadows[0]
		}
		return report.Decision == "fail" && report.Whole >= report.Least
	})
	s.load.closeShop()
	if err = cmp.Or(failure, err); err != nil {
		return err
	}
	different, noise := s.tellShadow(report)
	from := s.backend("books", "v4").origins()
	saw := s.of("books", s.began)
	s.line("")
	s.promise(told && slices.Equal(different, []string{"GET /books/{id} $.price retyped"}), "the one field that differs is found: the price has become a text")
	s.promise(noise["$.request"] && noise["$.at"], "IDs and times, which differ in every answer, are called noise")
	s.promise(from.visitors == 0 && from.copies > 0 && saw.byVersion()["v4"].Requests == 0 && saw.failed() == 0,
		"no visitor has met v4, which got %s; of %d requests of visitors %d failed", copies(from.copies), len(saw), saw.failed())
	return nil
}

func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", n)
}

// tellShadow writes what a report found, and returns the fields that differ and
// the names of those that are noise.
func (s *story) tellShadow(r *api.Shadow) (different []string, noise map[string]bool) {
	noise = map[string]bool{}
	s.result("v4 against %s: %s, after %s", strings.Join(r.Against, ", "), r.Decision, several(int(r.Comparisons), "comparison"))
	for _, p := range r.Patterns {
		for _, f := range p.Fields {
			switch f.State {
			case "noise":
				noise[f.Name] = true
			case "different":
				different = append(different, fmt.Sprintf("%s %s %s", p.Name, f.Name, f.Kind))
				s.result("%s: %s %s in %d comparisons, and in %d within the baseline", p.Name, f.Name, f.Kind, f.Between, f.Within)
				for _, e := range f.Examples[:min(len(f.Examples), 1)] {
					s.result("  %s: %s became %s", e.Path, e.Baseline, e.Candidate)
				}
			}
		}
	}
	if len(noise) > 0 {
		s.result("noise: %s", strings.Join(slices.Sorted(maps.Keys(noise)), ", "))
	}
	return different, noise
}
