package routing

import "strings"

// routeTable finds the service of a host and a path, by map lookups alone, so
// that its cost does not grow with the number of services.
//
// The exact host is asked first, then the wildcards from the longest suffix to
// the shortest, then the routes without a host. A host whose paths do not
// match falls on to the next less specific one, as in net/http.ServeMux.
type routeTable struct {
	exact     map[string]*pathTable
	wildcards map[string]*pathTable // by suffix, without "*."
	anyHost   *pathTable            // nil: none
	maxDots   int                   // the most dots in a wildcard's suffix
}

// pathTable finds the longest prefix of a path.
type pathTable struct {
	root     place            // of "/", 0: none
	prefixes map[string]place // without trailing slash, never ""
	longest  int              // length of the longest prefix
}

// maxHost bounds a host name; RFC 1035, section 2.3.4 allows 255 bytes. A
// longer one matches routes without a host alone.
const maxHost = 255

// find returns the place of a request's service, or 0, and how much of the path
// is the route's.
func (t *routeTable) find(host, path string) (svc place, prefix int) {
	if len(t.exact) > 0 || len(t.wildcards) > 0 {
		var buf [maxHost]byte
		if n := canonicalHost(&buf, host); n > 0 {
			if svc, prefix = t.findHost(buf[:n], path); svc != 0 {
				return svc, prefix
			}
		}
	}
	if t.anyHost == nil {
		return 0, 0
	}
	return t.anyHost.find(path)
}

// RoutePath returns the path of the route that a request matches, without slash
// at its end but for "/"; "" if it matches none. It lies in path.
func (s *Snapshot) RoutePath(host, path string) string {
	switch svc, prefix := s.routes.find(host, path); {
	case svc == 0:
		return ""
	case prefix == 0:
		return "/"
	default:
		return path[:prefix]
	}
}

// findHost looks among the routes with a host; host is canonical. The
// conversions in the lookups do not allocate.
func (t *routeTable) findHost(host []byte, path string) (svc place, prefix int) {
	if paths := t.exact[string(host)]; paths != nil {
		if svc, prefix = paths.find(path); svc != 0 {
			return svc, prefix
		}
	}
	if len(t.wildcards) == 0 {
		return 0, 0
	}
	dots := 0
	for _, c := range host {
		if c == '.' {
			dots++
		}
	}
	for i, c := range host {
		if c != '.' {
			continue
		}
		dots--
		if i == 0 || dots > t.maxDots {
			continue
		}
		if paths := t.wildcards[string(host[i+1:])]; paths != nil {
			if svc, prefix = paths.find(path); svc != 0 {
				return svc, prefix
			}
		}
	}
	return 0, 0
}

// find returns the place of the service of the longest prefix of path that ends
// at a segment's boundary, or 0, and the length of that prefix, 0 for "/". Only boundaries within the longest prefix of the
// table are tried: the work is bounded by the table, not by what a client sends.
func (t *pathTable) find(path string) (svc place, prefix int) {
	if t.longest > 0 && path != "" && path[0] == '/' {
		end := len(path)
		if end > t.longest {
			end = lastBoundary(path[:t.longest+1])
		}
		for end > 0 {
			if svc := t.prefixes[path[:end]]; svc != 0 {
				return svc, end
			}
			end = strings.LastIndexByte(path[:end], '/')
		}
	}
	return t.root, 0
}

// lastBoundary returns the index of the last slash in path, a segment's
// boundary.
func lastBoundary(path string) int { return strings.LastIndexByte(path, '/') }

// canonicalHost writes host into buf as the table's keys are written, in lower
// case, without port and trailing dot, and returns the length; 0 if it is empty
// or too long.
func canonicalHost(buf *[maxHost]byte, host string) int {
	host = withoutPort(host)
	host = strings.TrimSuffix(host, ".")
	if len(host) > maxHost {
		return 0
	}
	for i := range len(host) {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return len(host)
}

// withoutPort cuts the port off an authority; an IPv6 address keeps its
// brackets.
func withoutPort(host string) string {
	if host != "" && host[0] == '[' {
		if i := strings.IndexByte(host, ']'); i > 0 {
			return host[:i+1]
		}
		return host
	}
	if i := strings.IndexByte(host, ':'); i >= 0 {
		return host[:i]
	}
	return host
}

// hasPathPrefix reports whether prefix, without trailing slash, is a prefix of
// path to a segment's boundary. The prefix "" is one of every path.
func hasPathPrefix(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) &&
		(len(path) == len(prefix) || prefix == "" || path[len(prefix)] == '/')
}
