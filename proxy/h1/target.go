package h1

import (
	"net/netip"
	"strings"

	"sluice/proxy/head"
)

// parseTarget brings a request target, of target bytes only, into origin form
// (RFC 9112, section 3.2).
func parseTarget(req *head.Request, target string) *rule {
	switch {
	case req.Method == "CONNECT":
		return noConnect
	case target == "*":
		if req.Method != "OPTIONS" {
			return asteriskForm
		}
		req.Target, req.Path = target, target
		return nil
	case target[0] != '/':
		var r *rule
		if target, r = cutAuthority(req, target); r != nil {
			return r
		}
	}
	req.Target, req.Path = target, target
	if i := strings.IndexByte(target, '?'); i >= 0 {
		req.Path, req.Query = target[:i], target[i+1:]
	}
	if strings.IndexByte(req.Path, '%') >= 0 && !validEscapes(req.Path) {
		return badEscape
	}
	return nil
}

// cutAuthority takes the authority of an absolute target into req.Host and
// returns the target in origin form (RFC 9112, section 3.2.2).
func cutAuthority(req *head.Request, target string) (string, *rule) {
	rest, ok := cutScheme(target)
	if !ok {
		return "", targetForm
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	req.Host, rest = rest[:end], rest[end:]
	switch {
	case !validHost(req.Host): // userinfo too: '@' is no host byte (RFC 9110, section 4.2.4)
		return "", badHost
	case rest == "" && req.Method == "OPTIONS":
		return "*", nil // RFC 9112, section 3.2.4
	case rest == "":
		return "/", nil
	case rest[0] == '?':
		return "/" + rest, nil // allocates; so rare that it may
	}
	return rest, nil
}

// cutScheme removes "http://" or "https://", in any case of letters.
func cutScheme(target string) (rest string, ok bool) {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) >= len(scheme) && head.EqualFold(target[:len(scheme)], scheme) {
			return target[len(scheme):], true
		}
	}
	return "", false
}

// validEscapes reports whether two hexadecimal digits follow each %.
func validEscapes(path string) bool {
	for i := range len(path) {
		if path[i] == '%' && (len(path)-i < 3 || !allOf(path[i+1:i+3], hexByte)) {
			return false
		}
	}
	return true
}

// validHost judges uri-host [ ":" port ] (RFC 9110, section 7.2): a name, an
// IPv4 address or a bracketed IPv6 address, never empty (section 4.2.1). The
// port may be empty and is at most 65535.
func validHost(host string) bool {
	if host == "" {
		return false
	}
	if host[0] == '[' {
		end := strings.IndexByte(host, ']')
		return end > 0 && validIPv6(host[1:end]) && validPort(host[end+1:])
	}
	end := 0
	for end < len(host) && classes[host[end]]&hostByte != 0 {
		end++
	}
	return end > 0 && validPort(host[end:])
}

// validIPv6 judges an IPv6 address without zone, which means nothing to
// another machine.
func validIPv6(addr string) bool {
	for i := range len(addr) {
		if c := addr[i]; classes[c]&hexByte == 0 && c != ':' && c != '.' {
			return false
		}
	}
	a, err := netip.ParseAddr(addr)
	return err == nil && a.Is6()
}

// validPort judges what follows the host: nothing, or ":" and a port.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) > len(":65535") {
		return false
	}
	port := 0
	for i := 1; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return false
		}
		port = port*10 + int(c)
	}
	return port <= 65535
}
