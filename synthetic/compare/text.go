package compare

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteText writes a report for people. What is mere noise is only counted unless all is asked for.
func (r Report) WriteText(w io.Writer, all bool) error {
	var s strings.Builder
	reasons := make([]string, len(r.Verdict.Reasons))
	for i, reason := range r.Verdict.Reasons {
		reasons[i] = visible(reason)
	}
	fmt.Fprintf(&s, "%s: %s\n", r.Verdict.Decision, strings.Join(reasons, "\n      "))
	fmt.Fprintf(&s, "%d comparisons, %d beside a second answer of the baseline\n", r.Comparisons, r.Second)
	for _, reason := range slices.Sorted(maps.Keys(r.NotCompared)) {
		fmt.Fprintf(&s, "%d bodies not compared: %s\n", r.NotCompared[reason], reason)
	}
	noise := 0
	for _, p := range r.Patterns {
		noise += p.write(&s, all)
	}
	if noise > 0 {
		fmt.Fprintf(&s, "\n%d fields differ within the baseline as well, or are ignored\n", noise)
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// write adds a pattern and returns how many fields it left out.
func (p *Pattern) write(s *strings.Builder, all bool) (noise int) {
	named := false
	for _, f := range p.Fields {
		if !all && (f.State == Noise || f.State == Ignored) {
			noise++
			continue
		}
		if !named {
			fmt.Fprintf(s, "\n%s, %d comparisons\n", visible(p.Name), p.Comparisons)
			named = true
		}
		fmt.Fprintf(s, "  %-9s %s %s in %d, within the baseline in %d\n", f.State, visible(f.Name), f.Kind.happened(), f.Between, f.Within)
		for _, e := range f.Examples {
			fmt.Fprintf(s, "            %s: %s -> %s\n", visible(e.Path), visible(e.Baseline), visible(e.Candidate))
		}
	}
	return noise
}

// visible replaces what could steer a terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, text)
}
