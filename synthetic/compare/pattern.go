package compare

import "strings"

// Bounds of the patterns of paths.
const (
	maxPatterns = 256 // the rest is counted as other
	maxSegments = 12  // of a path; the rest is one
	maxSiblings = 48  // names at one place of a path; more are taken for values
	longSegment = 32  // bytes; what is longer is a value
)

// Other is the pattern of requests whose own has no place any more.
const Other = "other"

// paths gives paths their patterns. Segments that look like ids are collapsed, and
// so are those of a place that has seen too many names, such as slugs.
type paths struct {
	known    map[string]bool // prefixes, by method
	siblings map[string]int  // of a prefix
}

func newPaths() paths { return paths{map[string]bool{}, map[string]int{}} }

// of returns the pattern of a path, such as "GET /users/{id}".
func (p *paths) of(method, path string) string {
	if len(method) > longSegment {
		return Other
	}
	at := method + " "
	rest := strings.TrimPrefix(path, "/")
	for i := 0; ; i++ {
		segment, more, found := strings.Cut(rest, "/")
		if i == maxSegments {
			return at + "/..."
		}
		at = p.step(at, segment)
		if !found {
			return at
		}
		rest = more
	}
}

// step adds a segment to a prefix.
func (p *paths) step(at, segment string) string {
	if isValue(segment) {
		return at + "/{id}"
	}
	next := at + "/" + segment
	switch {
	case p.known[next]:
		return next
	case p.siblings[at] >= maxSiblings || len(p.known) >= maxPatterns*maxSegments:
		return at + "/{name}"
	}
	p.known[next] = true
	p.siblings[at]++
	return next
}

// isValue reports whether a segment of a path, or a key of an object, looks like an
// id and not like a name: a number, a UUID, a hash, something long.
func isValue[T string | []byte](s T) bool {
	if len(s) > longSegment {
		return true
	}
	digits, letters, hex, dashes := 0, 0, true, 0
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9':
			digits++
		case b == '-' || b == '_' || b == ':' || b == '.':
			dashes++
		default:
			letters++
			hex = hex && (b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F')
		}
	}
	switch {
	case digits == 0:
		return false
	case letters == 0, hex && digits+letters >= 8:
		return true
	}
	// Such as usr_8f3k2q9d1x: a good part of it is digits.
	return digits >= 4 && digits+letters >= 10
}

// pattern returns what is known of a request's pattern.
func (c *Comparison) pattern(method, path string) *pattern {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := c.paths.of(method, path)
	p := c.patterns[name]
	if p == nil && len(c.patterns) >= maxPatterns-1 {
		name = Other
		p = c.patterns[name]
	}
	if p == nil {
		p = newPattern(name)
		c.patterns[name] = p
	}
	return p
}
