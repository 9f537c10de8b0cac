package configs

import (
	"net/netip"
	"strings"
)

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// maxName bounds names: they go into cookies, metrics and headers.
const maxName = 64

// maxToken bounds the names of headers and cookies.
const maxToken = 256

// tokenCookie is the proxy's own cookie for override tokens.
const tokenCookie = "sluice_token"

// Wants for names, kept beside the functions that they describe.
const (
	wantName    = "want a letter or digit, then letters, digits, '.', '_' or '-', at most 64 in all"
	wantService = "want a small letter, then small letters, digits, '.', '_' or '-', at most 64 in all"
	wantToken   = "want letters, digits or any of !#$%&'*+-.^_`|~"
)

// isName tells whether s may name a version, rule, listener, key or policy.
func isName(s string) bool {
	if s == "" || len(s) > maxName || !isLetter(s[0]) && !isDigit(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isServiceName tells whether s may name a service. Narrower than isName,
// since services are keys of the Sluice-Override dictionary, whose keys start
// with a small letter and have no capitals (RFC 9651, section 3.1.2).
func isServiceName(s string) bool {
	return isName(s) && 'a' <= s[0] && s[0] <= 'z' && strings.ToLower(s) == s
}

// isToken tells whether s is a token of RFC 9110, section 5.6.2, and so may
// name a header, a cookie or a method.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}

// isVisible tells whether s has neither controls nor spaces, as a part of a
// request target.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// hasControls tells whether s holds a byte that no field value may.
func hasControls(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// isHost tells whether s is a host of a route: a DNS name (underscores too,
// since container names have them) or an IP address, IPv6 in brackets.
func isHost(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		a, err := netip.ParseAddr(inner)
		return ok && err == nil && a.Is6() && a.Zone() == ""
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
