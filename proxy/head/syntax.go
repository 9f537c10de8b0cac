package head

import (
	"net/netip"
	"strings"
)

// syntax says where a byte may stand, in the parts of a request that every
// protocol shares; a byte may be of several kinds.
type syntax uint8

const (
	tokenByte  syntax = 1 << iota // tchar (RFC 9110, section 5.6.2)
	targetByte                    // request target: visible US-ASCII but '#'
	hostByte                      // reg-name without percent-encoding and comma
	hexByte                       // HEXDIG
)

// kinds gives each byte its kinds.
//
// A host is less than RFC 3986 allows: percent-encoding makes two spellings of
// one name, of which routing would know one, and a comma is what a joined
// repetition looks like.
var kinds = func() (table [256]syntax) {
	mark := func(set string, k syntax) {
		for i := range len(set) {
			table[set[i]] |= k
		}
	}
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	mark(alnum+"!#$%&'*+-.^_`|~", tokenByte)
	mark(alnum+"-._~!$&'()*+;=", hostByte)
	mark("0123456789ABCDEFabcdef", hexByte)
	for c := range table {
		if c > ' ' && c < 0x7F && c != '#' {
			table[c] |= targetByte
		}
	}
	return table
}()

// span returns how many bytes at the start of s are of the kind.
func span(s string, k syntax) int {
	for i := range len(s) {
		if kinds[s[i]]&k == 0 {
			return i
		}
	}
	return len(s)
}

// IsToken reports whether s is a token (RFC 9110, section 5.6.2).
func IsToken(s string) bool { return s != "" && span(s, tokenByte) == len(s) }

// IsTarget reports whether s holds only bytes that may stand in a request
// target, at least one.
func IsTarget(s string) bool { return s != "" && span(s, targetByte) == len(s) }

// ValidEscapes reports whether two hexadecimal digits follow each % of a path.
func ValidEscapes(path string) bool {
	for i := range len(path) {
		if path[i] == '%' && (len(path)-i < 3 || span(path[i+1:i+3], hexByte) < 2) {
			return false
		}
	}
	return true
}

// ValidHost judges uri-host [ ":" port ] (RFC 9110, section 7.2): a name, an
// IPv4 address or a bracketed IPv6 address, never empty (section 4.2.1). The
// port may be empty and is at most 65535.
func ValidHost(host string) bool {
	if host == "" {
		return false
	}
	if host[0] == '[' {
		end := strings.IndexByte(host, ']')
		return end > 0 && validIPv6(host[1:end]) && validPort(host[end+1:])
	}
	end := span(host, hostByte)
	return end > 0 && validPort(host[end:])
}

// validIPv6 judges an IPv6 address without zone, which means nothing to
// another machine.
func validIPv6(addr string) bool {
	for i := range len(addr) {
		if c := addr[i]; kinds[c]&hexByte == 0 && c != ':' && c != '.' {
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
