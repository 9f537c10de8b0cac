package h1

import (
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
	if strings.IndexByte(req.Path, '%') >= 0 && !head.ValidEscapes(req.Path) {
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
	case !head.ValidHost(req.Host): // userinfo too: '@' is no host byte (RFC 9110, section 4.2.4)
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
