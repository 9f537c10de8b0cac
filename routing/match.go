package routing

import (
	"net/netip"
	"strings"
)

// match is a compiled Match.
type match struct {
	headers []condition // names in lower case
	cookies []condition
	params  []condition
	clients []netip.Prefix
	path    string // without trailing slash; "": any
	method  string // "": any
}

// condition is what the value of one name must be.
type condition struct {
	name    string
	value   pattern
	written string // the name as the configuration writes it
}

// pattern is a value, or a prefix of values.
type pattern struct {
	text   string
	prefix bool
}

func (p pattern) matches(value string) bool {
	if p.prefix {
		return strings.HasPrefix(value, p.text)
	}
	return value == p.text
}

// matchesEncoded is matches for a value that is percent-encoded.
func (p pattern) matchesEncoded(value string) bool {
	rest, ok := cutDecoded(value, p.text)
	return ok && (p.prefix || rest == "")
}

// covers reports whether p matches every value that q matches.
func (p pattern) covers(q pattern) bool {
	if p.prefix {
		return strings.HasPrefix(q.text, p.text)
	}
	return !q.prefix && q.text == p.text
}

// String returns the pattern as the file writes it.
func (p pattern) String() string {
	if p.prefix {
		return p.text + "*"
	}
	return p.text
}

// unmet returns the kind and name of the first condition that a request does
// not meet; kind is "" if it meets all of them.
func (m *match) unmet(req *Request) (kind, name string) {
	switch {
	case m.method != "" && req.Method != m.method:
		return "method", m.method
	case m.path != "" && !hasPathPrefix(req.Path, m.path):
		return "path", m.path
	case len(m.clients) > 0 && !containsClient(m.clients, req.Client):
		return "client", ""
	}
	for i := range m.headers {
		if c := &m.headers[i]; !c.meets(req.field(c.name)) {
			return "header", c.name
		}
	}
	if len(m.cookies) > 0 {
		field, _ := req.field("cookie")
		for i := range m.cookies {
			if c := &m.cookies[i]; !c.meets(findCookie(field, c.name)) {
				return "cookie", c.name
			}
		}
	}
	for i := range m.params {
		c := &m.params[i]
		if value, ok := findParam(req.Query, c.name); !ok || !c.value.matchesEncoded(value) {
			return "query", c.name
		}
	}
	return "", ""
}

func (c *condition) meets(value string, present bool) bool {
	return present && c.value.matches(value)
}

// containsClient reports whether one of the prefixes holds a client; they are
// compiled without IPv4 in IPv6 form and without zones.
func containsClient(prefixes []netip.Prefix, client netip.Addr) bool {
	client = client.Unmap().WithZone("")
	for _, p := range prefixes {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

// covers reports whether m is met by every request that meets n.
func (m *match) covers(n *match) bool {
	return (m.method == "" || m.method == n.method) &&
		hasPathPrefix(n.path, m.path) &&
		coversClients(m.clients, n.clients) &&
		coverConditions(m.headers, n.headers) &&
		coverConditions(m.cookies, n.cookies) &&
		coverConditions(m.params, n.params)
}

// coversClients reports whether each prefix of narrow lies within one of wide.
// No prefixes at all are every client.
func coversClients(wide, narrow []netip.Prefix) bool {
	if len(wide) == 0 {
		return true
	}
	for _, n := range narrow {
		if !liesWithin(n, wide) {
			return false
		}
	}
	return len(narrow) > 0
}

func liesWithin(narrow netip.Prefix, wide []netip.Prefix) bool {
	for _, w := range wide {
		if w.Bits() <= narrow.Bits() && w.Contains(narrow.Addr()) {
			return true
		}
	}
	return false
}

// coverConditions reports whether a request that meets every condition of
// narrow meets all of wide.
func coverConditions(wide, narrow []condition) bool {
	for _, w := range wide {
		if !implied(w, narrow) {
			return false
		}
	}
	return true
}

func implied(w condition, by []condition) bool {
	for _, n := range by {
		if n.name == w.name && w.value.covers(n.value) {
			return true
		}
	}
	return false
}
