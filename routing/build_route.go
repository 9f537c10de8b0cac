package routing

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxPath bounds a route's path in bytes, and with it the work of a lookup.
const maxPath = 1024

// anyHost is the canonical form of no host at all.
const anyHost = ""

// buildRoutes compiles the routes.
func buildRoutes(p *problems, routes []Route, services map[string]place) routeTable {
	t := routeTable{exact: map[string]*pathTable{}, wildcards: map[string]*pathTable{}}
	for i := range routes {
		r := &routes[i]
		field := fmt.Sprintf("routes[%d]", i)
		svc := services[r.Service]
		if svc == 0 {
			p.add(field+".service", "there is no service %q", r.Service)
		}
		paths := buildPaths(p, field+".paths", r.Paths)
		for _, host := range buildHosts(p, field+".hosts", r.Hosts) {
			table := t.at(host)
			for _, path := range paths {
				table.add(path, svc)
			}
		}
	}
	return t
}

// at returns the path table of a canonical host, making it if need be.
func (t *routeTable) at(host string) *pathTable {
	if host == anyHost {
		if t.anyHost == nil {
			t.anyHost = &pathTable{}
		}
		return t.anyHost
	}
	tables := t.exact
	if suffix, ok := strings.CutPrefix(host, "*."); ok {
		tables, host = t.wildcards, suffix
		t.maxDots = max(t.maxDots, strings.Count(suffix, "."))
	}
	if tables[host] == nil {
		tables[host] = &pathTable{}
	}
	return tables[host]
}

// add leads a canonical path to a service.
func (t *pathTable) add(path string, svc place) {
	if path == "" {
		t.root = svc
		return
	}
	if t.prefixes == nil {
		t.prefixes = make(map[string]place)
	}
	t.prefixes[path] = svc
	t.longest = max(t.longest, len(path))
}

// buildHosts returns hosts in canonical form: as canonicalHost, a wildcard
// with its "*.". No hosts are anyHost.
func buildHosts(p *problems, field string, hosts []string) []string {
	if len(hosts) == 0 {
		return []string{anyHost}
	}
	canonical := make([]string, 0, len(hosts))
	for _, host := range hosts {
		name, ok := parseHost(host)
		if !ok {
			p.add(field, `%q is no host; write a name without port, as "shop.example.com" or "*.example.com" (in Punycode), an IP address, or leave hosts out for any`, host)
			continue
		}
		canonical = append(canonical, name)
	}
	return canonical
}

// parseHost returns a host in canonical form.
func parseHost(host string) (string, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && addr.Zone() == "" {
		if addr.Is6() {
			return "[" + addr.String() + "]", true
		}
		return addr.String(), true
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	suffix := strings.TrimPrefix(name, "*.")
	if suffix == "" || len(name) > maxHost {
		return "", false
	}
	for label := range strings.SplitSeq(suffix, ".") {
		if !validLabel(label) {
			return "", false
		}
	}
	return name, true
}

// validLabel reports whether s is a label of a host name in lower case
// (RFC 1123, section 2.1), or one with "_" as some private names have.
func validLabel(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// buildPaths returns paths in canonical form: without trailing slash, "/" as
// "". No paths are "/".
func buildPaths(p *problems, field string, paths []string) []string {
	if len(paths) == 0 {
		return []string{""}
	}
	canonical := make([]string, len(paths))
	for i, path := range paths {
		canonical[i] = buildPath(p, field, path)
	}
	return canonical
}

// buildPath returns a path in canonical form.
func buildPath(p *problems, field, path string) string {
	switch {
	case !strings.HasPrefix(path, "/"):
		p.add(field, `%q is no path; it begins with "/"`, path)
	case len(path) > maxPath:
		p.add(field, "the path has %d bytes; at most %d", len(path), maxPath)
	case strings.ContainsAny(path, "?#* ") || hasControl(path):
		p.add(field, `%q is no path prefix; it holds no "?", "#", "*", space or control`, path)
	}
	return strings.TrimRight(path, "/")
}
