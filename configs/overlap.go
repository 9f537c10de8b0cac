package configs

import (
	"net/netip"
	"slices"
	"strings"
)

// covers tells whether every request that b matches is matched by a too, and
// so never gets to b when a stands first. Each condition is held against its
// like, so that only what one earlier rule takes alone is found, not what
// several take together.
func covers(a, b *Match) bool {
	return coversPatterns(lowerKeys(a.Header), lowerKeys(b.Header)) &&
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
		with = append(with, name+": "+exampleValue(m.Header[name]))
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
