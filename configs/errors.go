package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing that is wrong with a file.
type Error struct {
	Line int    // line of the key or item at fault, from 1; 0: the file as a whole
	Path string // where it is: "services.web.versions.v1.endpoints[0]"; "": the file as a whole
	Msg  string // what is wrong
	Want string // what would be right; may be empty
}

// Error returns "line N: path: what is wrong; what would be right".
func (e Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Msg)
	if e.Want != "" {
		b.WriteString("; " + e.Want)
	}
	return b.String()
}

// Errors is everything that is wrong with a file, sorted by line. Parse and
// Load return it wrapped with the file's name.
type Errors []Error

// maxErrors bounds what one file can report: past it the reader has lost
// interest, and a hostile file must not make the report larger than itself.
const maxErrors = 100

// Error returns the only error, or a heading and one line for each.
func (es Errors) Error() string {
	if len(es) == 1 {
		return es[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d errors:", len(es))
	for _, e := range es {
		b.WriteString("\n  " + e.Error())
	}
	return b.String()
}

func (es Errors) sort() {
	slices.SortStableFunc(es, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) })
}

// problem is an error that does not know yet where it happened.
type problem struct{ msg, want string }

func (p *problem) Error() string { return p.msg }

func problemf(want, format string, args ...any) *problem {
	return &problem{fmt.Sprintf(format, args...), want}
}

// quote shows a value of the file in a message, cut where it is long.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
