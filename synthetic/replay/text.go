package replay

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// shownPatterns is how many patterns the text names.
const shownPatterns = 15

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "sent\t%d requests in %.1fs (%.0f/s) of %d sessions%s\n", r.Sent, r.Seconds, r.Rate, r.Sessions, r.late())
	fmt.Fprintf(t, "left out\t%d by the filter, %d since their method is not safe\n", r.LeftOut, r.NotSafe)
	fmt.Fprintf(t, "lines\t%d, of which %d are no request\n", r.Lines, r.Malformed)
	if r.Forgotten > 0 {
		fmt.Fprintf(t, "cookies\tthose of %d sessions were let go, for there were too many\n", r.Forgotten)
	}
	r.Answers.row(t, r.Target)
	if r.Baseline != nil {
		r.Baseline.row(t, r.Against)
	}
	fmt.Fprintf(t, "errors\t%d\n", r.Errors)
	if err := t.Flush(); err != nil {
		return err
	}
	r.writeLists(w)
	if err := r.writePatterns(w); err != nil {
		return err
	}
	if r.Compared != nil {
		fmt.Fprintf(w, "\n%s compared with %s:\n", plain(r.Target), plain(r.Against))
		if err := r.Compared.WriteText(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.verdict())
	return err
}

// late says how late requests were sent where they had a time.
func (r *Report) late() string {
	if r.MaxLag <= 0 {
		return ""
	}
	return fmt.Sprintf(", at most %s late", r.MaxLag)
}

// verdict is the report's last line.
func (r *Report) verdict() string {
	if r.Passed {
		return "passed"
	}
	return "failed: " + strings.Join(r.Reasons, "; ")
}

// row tells the answers of one target.
func (a *Answers) row(w io.Writer, name string) {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(a.Statuses)) {
		parts = append(parts, fmt.Sprintf("%d: %d", status, a.Statuses[status]))
	}
	for _, reason := range slices.Sorted(maps.Keys(a.Lost)) {
		parts = append(parts, fmt.Sprintf("%s: %d", reason, a.Lost[reason]))
	}
	fmt.Fprintf(w, "%s\t%s; p50 %s, p90 %s, p99 %s, max %s\n", plain(name), strings.Join(parts, ", "), a.Latency.P50, a.Latency.P90, a.Latency.P99, a.Latency.Max)
}

// writeLists tells what was first seen of each trouble.
func (r *Report) writeLists(w io.Writer) {
	for i, b := range r.BadLines {
		heading(w, i, "lines that are no request")
		fmt.Fprintf(w, "  %s:%d: %s\n", plain(b.File), b.Line, plain(b.Why))
	}
	for i, f := range r.Failures {
		heading(w, i, "the first errors")
		fmt.Fprintf(w, "  %s: %s\n", plain(f.Request), f.outcome())
	}
	for i, c := range r.Changes {
		heading(w, i, "answers with another status than logged")
		if c.Logged == 0 {
			fmt.Fprintf(w, "  others: %d\n", c.Count)
			continue
		}
		fmt.Fprintf(w, "  %d instead of %d: %d, such as %s\n", c.Got, c.Logged, c.Count, plain(c.Example))
	}
}

func heading(w io.Writer, i int, text string) {
	if i == 0 {
		fmt.Fprintf(w, "\n%s:\n", text)
	}
}

// outcome says what became of a request that failed.
func (f *Failure) outcome() string {
	switch {
	case f.Error != "":
		return f.Error
	case f.Logged != 0:
		return fmt.Sprintf("%d instead of %d", f.Status, f.Logged)
	}
	return fmt.Sprint(f.Status)
}

// writePatterns tells how the paths did.
func (r *Report) writePatterns(w io.Writer) error {
	if len(r.Patterns) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "PATTERN\tSENT\tERRORS\tP50\tP99")
	for _, p := range r.Patterns[:min(len(r.Patterns), shownPatterns)] {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\n", plain(p.Name), p.Sent, p.Errors, p.Latency.P50, p.Latency.P99)
	}
	if more := len(r.Patterns) - shownPatterns; more > 0 {
		fmt.Fprintf(t, "and %d more\n", more)
	}
	return t.Flush()
}

// String writes a duration with its unit.
func (m Millis) String() string {
	switch {
	case m >= 1000:
		return fmt.Sprintf("%.1fs", float64(m)/1000)
	case m >= 10:
		return fmt.Sprintf("%.0fms", float64(m))
	}
	return fmt.Sprintf("%.2gms", float64(m))
}

// plain keeps what a log holds from playing tricks on a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, s)
}
