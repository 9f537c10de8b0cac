package state

import (
	"fmt"
	"iter"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the most bytes that the name of a service or version may have.
const MaxName = 64

// ValidName tells whether a service or version may be called so:
// [A-Za-z0-9][A-Za-z0-9._-]{0,63}. Such names are safe in cookies, header
// fields, URL paths and metric labels without any quoting.
func ValidName(s string) bool {
	if s == "" || len(s) > MaxName || !alphanumeric(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

const nameRemedy = "use 1 to 64 letters, digits, dots, underscores and hyphens, the first a letter or digit"

// maxSocketPath is the longest path that fits sockaddr_un of Linux with its
// final NUL.
const maxSocketPath = 107

// CheckEndpoint returns an error, saying what is wrong, unless s is one of
// host:port, [v6]:port, unix:/abs/path, dns://host:port and
// dns+srv://_service._protocol.host.
func CheckEndpoint(s string) error {
	if p, ok := strings.CutPrefix(s, "unix:"); ok {
		if !path.IsAbs(p) || p == "/" || len(p) > maxSocketPath || !printable(p) {
			return fmt.Errorf("%q must have after unix: an absolute path of at most %d bytes", s, maxSocketPath)
		}
		return nil
	}
	if name, ok := strings.CutPrefix(s, "dns+srv://"); ok {
		if !strings.HasPrefix(name, "_") || !validHost(name) {
			return fmt.Errorf("%q must have after dns+srv:// a name such as _http._tcp.web.internal", s)
		}
		return nil
	}
	rest, dns := strings.CutPrefix(s, "dns://")
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return fmt.Errorf("%q has no port", s)
	}
	host, port := rest[:i], rest[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return fmt.Errorf("%q must have a port from 1 to 65535", s)
	}
	if v6, ok := strings.CutPrefix(host, "["); ok && !dns {
		v6, ok = strings.CutSuffix(v6, "]")
		if addr, err := netip.ParseAddr(v6); !ok || err != nil || !addr.Is6() || !printable(v6) {
			return fmt.Errorf("%q must have an IPv6 address in its brackets", s)
		}
		return nil
	}
	if !validHost(host) {
		return fmt.Errorf("%q must have a host name or an IP address, an IPv6 one in brackets", s)
	}
	return nil
}

// validHost tells whether s is an IPv4 address or a host name (RFC 1123,
// section 2.1, with underscores, which service discovery is full of).
func validHost(s string) bool {
	if len(s) > 253 {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !alphanumeric(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	// A last label of digits makes it an address (RFC 3986, section 3.2.2 and
	// the WHATWG's host parser agree), so it must be a good one.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		addr, err := netip.ParseAddr(s)
		return err == nil && addr.Is4()
	}
	return true
}

// printable tells whether a text is UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// maxListed is how many names a message lists before it counts the rest.
const maxListed = 20

// known lists names as the remedy for a name that does not exist.
func known(what string, names iter.Seq[string]) string {
	sorted := slices.Sorted(names)
	if len(sorted) == 0 {
		return "there are no " + what
	}
	return "known " + what + ": " + list(sorted)
}

// list joins names for people, the first maxListed of them.
func list(names []string) string { return join(names, ", ") }

func join(parts []string, separator string) string {
	if more := len(parts) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(parts[:maxListed], separator), more)
	}
	return strings.Join(parts, separator)
}
