package configs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// checker collects what completing and validating find wrong.
type checker struct {
	f        *File
	errs     Errors
	warnings Errors
	// broken holds the paths that did not decode; shaken, those above them.
	// Nothing more is said about either: it would only be an echo.
	broken, shaken map[string]bool
}

func newChecker(f *File, decoding Errors) *checker {
	c := &checker{f: f, errs: decoding, broken: map[string]bool{}, shaken: map[string]bool{}}
	for _, e := range decoding {
		c.broken[e.Path] = true
		for p := parent(e.Path); p != ""; p = parent(p) {
			c.shaken[p] = true
		}
	}
	return c
}

// fail reports what is wrong at a path.
func (c *checker) fail(path, want, format string, args ...any) {
	if c.shaken[path] || len(c.errs) >= maxErrors {
		return
	}
	for p := path; p != ""; p = parent(p) {
		if c.broken[p] {
			return
		}
	}
	c.errs = append(c.errs, Error{c.f.Line(path), path, fmt.Sprintf(format, args...), want})
}

// warn reports a doubt at a path.
func (c *checker) warn(path, want, format string, args ...any) {
	if len(c.warnings) < maxErrors {
		c.warnings = append(c.warnings, Error{c.f.Line(path), path, fmt.Sprintf(format, args...), want})
	}
}

// name checks a name that a person gave.
func (c *checker) name(path, what, name string) {
	switch {
	case name == "":
		c.fail(path, wantName, "the %s has no name", what)
	case !isName(name):
		c.fail(path, wantName, "%s cannot name a %s", quote(name), what)
	}
}

// between checks a number's range.
func (c *checker) between(path string, n, least, most int64) {
	if n < least || n > most {
		c.fail(path, fmt.Sprintf("want %d to %d", least, most), "%d is out of range", n)
	}
}

// share checks a number from 0 to 1. Not-a-number fails it too.
func (c *checker) share(path string, x float64) {
	if !(x >= 0 && x <= 1) {
		c.fail(path, "want 0 to 1", "%v is out of range", x)
	}
}

// positive checks a duration that cannot be 0.
func (c *checker) positive(path string, d interface{ Nanoseconds() int64 }) {
	if d.Nanoseconds() <= 0 {
		c.fail(path, "want a duration above 0, such as 30s", "the duration is 0")
	}
}

// distinct reports values that come again.
func distinct[T comparable](c *checker, path string, values []T) {
	seen := map[T]bool{}
	for i, v := range values {
		if seen[v] {
			c.fail(index(path, i), "take it out", "%v is listed twice", v)
		}
		seen[v] = true
	}
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// sorted returns the keys of a map in order, so that reports are stable.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
