package configs

import (
	"maps"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
)

// takes returns what a rule takes: its match and, for a split by a key, only
// where the key is there.
func (r *Rule) takes() Match {
	m := r.Match
	m.Header = lowerKeys(m.Header)
	if r.Split == nil {
		return m
	}
	switch by := r.Split.By; by.Kind {
	case SplitHeader:
		present(m.Header, strings.ToLower(by.Name))
	case SplitCookie:
		m.Cookie = present(maps.Clone(m.Cookie), by.Name)
	case SplitQuery:
		m.Query = present(maps.Clone(m.Query), by.Name)
	}
	return m
}

// present asks for any value of a name that has no pattern yet.
func present(patterns map[string]string, name string) map[string]string {
	if patterns == nil {
		patterns = map[string]string{}
	}
	if _, ok := patterns[name]; !ok {
		patterns[name] = "*"
	}
	return patterns
}

// covers tells whether every request that b matches is matched by a too, and
// so never gets to b when a stands first. Each condition is held against its
// like, so that only what one earlier rule takes alone is found, not what
// several take together. Names of headers are in small letters.
func covers(a, b *Match) bool {
	return coversPatterns(a.Header, b.Header) &&
		coversPatterns(a.Cookie, b.Cookie) &&
		coversPatterns(a.Query, b.Query) &&
		coversClients(a.Client, b.Client) &&
		coversPath(a.Path, b.Path) &&
		(a.Method == "" || a.Method == b.Method)
}

func coversPatterns(a, b map[string]string) bool {
	for name, pattern := range a {
		if narrow, ok := b[name]; !ok || !coversPattern(pattern, narrow) {
			return false
		}
	}
	return true
}

func coversPattern(a, b string) bool {
	prefix, open := strings.CutSuffix(a, "*")
	return a == b || open && strings.HasPrefix(b, prefix)
}

func coversClients(a, b []netip.Prefix) bool {
	if len(a) == 0 {
		return true
	}
	for _, narrow := range b {
		if !slices.ContainsFunc(a, func(wide netip.Prefix) bool {
			return wide.Bits() <= narrow.Bits() && wide.Contains(narrow.Addr())
		}) {
			return false
		}
	}
	return len(b) > 0
}

func coversPath(a, b string) bool {
	if a == "" || a == "/" || a == b {
		return true
	}
	return strings.HasPrefix(b, a+"/")
}

func lowerKeys(m map[string]string) map[string]string {
	lower := make(map[string]string, len(m))
	for k, v := range m {
		lower[strings.ToLower(k)] = v
	}
	return lower
}

// exampleRequest describes a request that a match takes.
func exampleRequest(m *Match) string {
	method, path := m.Method, m.Path
	if method == "" {
		method = "GET"
	}
	if path == "" {
		path = "/"
	}
	sep := "?"
	for _, name := range sorted(m.Query) {
		path += sep + name + "=" + exampleValue(m.Query[name])
		sep = "&"
	}
	var with []string
	for _, name := range sorted(m.Header) {
		with = append(with, textproto.CanonicalMIMEHeaderKey(name)+": "+exampleValue(m.Header[name]))
	}
	for _, name := range sorted(m.Cookie) {
		with = append(with, "Cookie: "+name+"="+exampleValue(m.Cookie[name]))
	}
	text := method + " " + path
	if len(with) > 0 {
		text += " with " + strings.Join(with, " and ")
	}
	if len(m.Client) > 0 {
		text += " from " + m.Client[0].Addr().String()
	}
	return text
}

// exampleValue returns a value that a pattern takes.
func exampleValue(pattern string) string {
	switch prefix, open := strings.CutSuffix(pattern, "*"); {
	case open && prefix == "":
		return "acme"
	case open:
		return prefix
	}
	return pattern
}
