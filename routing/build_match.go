package routing

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// buildMatch compiles a Match; conditions come in the order of their names.
func buildMatch(p *problems, field string, cfg *Match) match {
	m := match{
		headers: buildConditions(p, field+".header", cfg.Header, checkHeader, strings.ToLower),
		cookies: buildConditions(p, field+".cookie", cfg.Cookie, checkCookie, nil),
		params:  buildConditions(p, field+".query", cfg.Query, checkParam, nil),
		method:  cfg.Method,
	}
	for _, prefix := range cfg.Client {
		if !prefix.IsValid() {
			p.add(field+".client", "%v is no network; write one as 10.0.0.0/8", prefix)
			continue
		}
		m.clients = append(m.clients, unmapPrefix(prefix.Masked()))
	}
	if cfg.Path != "" {
		m.path = buildPath(p, field+".path", cfg.Path)
	}
	if cfg.Method != "" && (!validToken(cfg.Method) || cfg.Method != strings.ToUpper(cfg.Method)) {
		p.add(field+".method", "%q is no method; write one in capitals, as GET", cfg.Method)
	}
	return m
}

// unmapPrefix turns a network of IPv4 addresses in IPv6 form into one of IPv4.
func unmapPrefix(prefix netip.Prefix) netip.Prefix {
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		return netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix
}

// buildConditions compiles the conditions on one kind of names. check says
// what is wrong with a name and value, "" if nothing; fold, if any, brings
// names that mean the same to one form.
func buildConditions(p *problems, field string, cfg map[string]string, check func(name, value string) string, fold func(string) string) []condition {
	var list []condition
	for _, name := range slices.Sorted(maps.Keys(cfg)) {
		value := cfg[name]
		at := field + "." + name
		if wrong := check(name, value); wrong != "" {
			p.add(at, "%s", wrong)
		}
		if wrong := checkPattern(value); wrong != "" {
			p.add(at, "%s", wrong)
		}
		c := condition{name: name, value: parsePattern(value), written: name}
		if fold != nil {
			c.name = fold(name)
		}
		if slices.ContainsFunc(list, func(other condition) bool { return other.name == c.name }) {
			p.add(at, "it is set twice, in different letters")
		}
		list = append(list, c)
	}
	return list
}

func checkHeader(name, value string) string {
	switch {
	case !validToken(name):
		return "it is no name of a header; " + tokenRule
	case value != trimSpace(value):
		return "a header's value has no white space around it"
	}
	return ""
}

func checkCookie(name, value string) string {
	switch {
	case !validToken(name):
		return "it is no name of a cookie; " + tokenRule
	case value != trimSpace(value) || strings.Contains(value, ";"):
		return "a cookie's value has no semicolon and no white space around it"
	}
	return ""
}

func checkParam(name, _ string) string {
	if name == "" || hasControl(name) {
		return "it is no name of a query parameter"
	}
	return ""
}

func checkPattern(value string) string {
	switch {
	case value == "":
		return `the value is empty; "*" matches any`
	case hasControl(value):
		return "the value holds a control character"
	case strings.Contains(strings.TrimSuffix(value, "*"), "*"):
		return `"*" stands at the end alone: "abc*" matches what begins with abc, "*" anything`
	}
	return ""
}

func parsePattern(value string) pattern {
	text, prefix := strings.CutSuffix(value, "*")
	return pattern{text, prefix}
}
