package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// table writes rows in columns.
type table struct{ w *tabwriter.Writer }

// newTable begins a table with its headings, if any.
func newTable(w io.Writer, headings ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	if len(headings) > 0 {
		t.row(headings...)
	}
	return t
}

// row adds a row. Cells hold what people wrote, so control characters, which
// could break the table or play tricks on a terminal, are quoted.
func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = plain(cell)
	}
	// A writer's failure comes out of end.
	_, _ = io.WriteString(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t")+"\n")
}

// end writes what the columns waited for.
func (t table) end() error { return t.w.Flush() }

// plain returns text fit for one line of a terminal.
func plain(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// plainLines is plain for text of several lines.
func plainLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = plain(line)
	}
	return strings.Join(lines, "\n")
}

// dash returns "-" for nothing.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// percent writes a fraction of 1. Near 0 and 1 it shows a digit more, and never
// rounds to 0% or 100% what is not.
func percent(f float64) string {
	switch {
	case f <= 0:
		return "0%"
	case f >= 1:
		return "100%"
	case f < 0.0001:
		return "<0.01%"
	case f > 0.9999:
		return ">99.99%"
	case f < 0.01, f > 0.99:
		return fmt.Sprintf("%.2f%%", f*100)
	}
	return fmt.Sprintf("%.1f%%", f*100)
}

// count writes a number in three or four characters: 950, 1.2k, 34k, 5.6M.
func count(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10)
	}
	f, unit := float64(n), 0
	const units = " kMGTPE"
	// 999,500 would round to "1000k".
	for f >= 999.5 && unit < len(units)-1 {
		f, unit = f/1000, unit+1
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f%c", f, units[unit])
	}
	return fmt.Sprintf("%.0f%c", f, units[unit])
}

// span writes a measured duration with two or three digits: 4.2ms.
func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Microsecond:
		return d.String()
	case d < 10*time.Microsecond, d >= time.Millisecond && d < 10*time.Millisecond, d >= time.Second && d < 10*time.Second:
		return d.Round(unitOf(d) / 10).String()
	}
	return d.Round(unitOf(d)).String()
}

// unitOf returns the unit in which a duration is written.
func unitOf(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return time.Second
	case d >= time.Millisecond:
		return time.Millisecond
	}
	return time.Microsecond
}

// weightsText writes the weights that are not 0: "v1=95 v2=5".
func weightsText(w map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if w[name] != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", name, w[name]))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, " ")
}

// stamp writes a moment in local time, to the second.
func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// brief takes the empty units off the end of a Go duration: "drain:30m0s" is
// "drain:30m".
func brief(s string) string {
	for _, end := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, end) {
			s = s[:len(s)-2]
		}
	}
	return s
}
