package compare

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxShown is how many bytes of a value, and maxPathShown of a path, an example shows.
const (
	maxShown     = 128
	maxPathShown = 256
)

// Example is one request whose answers differed. Secrets are masked.
type Example struct {
	Path      string `json:"path"` // without a query; long segments, which may be tokens, are masked
	Baseline  string `json:"baseline"`
	Candidate string `json:"candidate"`
}

const (
	masked = "***"
	absent = "(absent)"
)

func (t *trio) example(r *row, d *diff) Example {
	e := Example{Path: maskPath(t.path)}
	base, cand := &t.pair.Baseline, &t.pair.Candidate
	switch {
	case d.w != nil:
		e.Baseline, e.Candidate = t.values(r, d)
	case d.path == pathStatus:
		e.Baseline, e.Candidate = statusText(base.Status), statusText(cand.Status)
	case d.path == pathBody:
		e.Baseline, e.Candidate = t.bodies[0].describe(), t.bodies[1].describe()
		if d.kind == Value {
			e.Candidate += fmt.Sprintf(", other from byte %d on", common(t.bodies[0].data, t.bodies[1].data))
		}
	default:
		e.Baseline, e.Candidate = showHeader(r, base, t.headerName(d)), showHeader(r, cand, t.headerName(d))
	}
	// The texts of a pair may lie in memory that is used again after Add.
	return Example{strings.Clone(e.Path), strings.Clone(e.Baseline), strings.Clone(e.Candidate)}
}

// values reads the bodies again and shows the first value that differs.
func (t *trio) values(r *row, d *diff) (baseline, candidate string) {
	a, b := t.watch(&t.bodies[0], d.path), t.watch(&t.bodies[1], d.path)
	defer t.c.giveBack(a)
	defer t.c.giveBack(b)
	before := make(map[uint64]span, len(a.seen))
	for _, s := range a.seen {
		before[s.where] = s
	}
	for _, s := range b.seen {
		old, found := before[s.where]
		if found && d.kind == Retyped && old.types == s.types || found && bytes.Equal(a.body[old.start:old.end], b.body[s.start:s.end]) {
			delete(before, s.where)
			continue
		}
		if found {
			return old.show(r, a.body), s.show(r, b.body)
		}
		if d.kind == Added {
			return absent, s.show(r, b.body)
		}
	}
	for _, s := range a.seen {
		if old, found := before[s.where]; found {
			return old.show(r, a.body), absent
		}
	}
	return absent, absent // beyond what is searched
}

// watch reads a body and notes the values at a path.
func (t *trio) watch(b *body, path uint64) *walk {
	w := t.c.walks.Get().(*walk)
	w.watch = path
	w.read(b.data, t.c.seed, *t.pat.maps.Load())
	return w
}

func (s span) show(r *row, body []byte) string {
	value := body[s.start:s.end]
	switch {
	case s.types == object:
		return "object"
	case s.types == array:
		return fmt.Sprintf("array of %d", s.length)
	case s.types == null:
		return "null"
	case r.hidden:
		return s.types.String() + " " + masked
	case s.types == text && secretLike(string(value[1:])):
		return "string " + masked
	}
	return cut(string(value), maxShown)
}

// secretLike reports whether a value is a secret by its looks: a JSON Web Token, or
// the credentials of an Authorization header.
func secretLike(s string) bool {
	lower := strings.ToLower(s[:min(len(s), 8)])
	return strings.HasPrefix(s, "eyJ") || strings.HasPrefix(lower, "bearer ") || strings.HasPrefix(lower, "basic ")
}

func showHeader(r *row, x *Response, name string) string {
	value, found := lookup(x, name)
	if before, _, query := strings.Cut(value, "?"); query {
		value = before + "?" + masked
	}
	switch {
	case !found:
		return absent
	case r.hidden, secretLike(value):
		return masked
	case strings.Contains(value, "/") && name != "content-type":
		return maskPath(value)
	}
	return cut(value, maxShown)
}

func (b *body) describe() string {
	if b.json {
		return fmt.Sprintf("JSON of %d bytes", len(b.data))
	}
	return fmt.Sprintf("%d bytes, not JSON", len(b.data))
}

// common is the length of what two bodies begin with alike.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// tokenLike is the length from which a segment of a path may be a token.
const tokenLike = 20

func isUUID(s string) bool { return len(s) == 36 && strings.Count(s, "-") == 4 && isValue(s) }

// maskPath masks the segments of a path that are long enough for a token.
func maskPath(path string) string {
	path = cut(path, 8*maxPathShown)
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if len(s) >= tokenLike && !isUUID(s) {
			segments[i] = masked
		}
	}
	return cut(strings.Join(segments, "/"), maxPathShown)
}

// cut shortens a text, and makes it valid UTF-8.
func cut(s string, most int) string {
	if len(s) > most {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
