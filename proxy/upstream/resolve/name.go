// Package resolve finds endpoints in the DNS: it looks names up, again when
// their time to live is over, and keeps what it found when the DNS fails.
package resolve

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The ways to write a name as an endpoint.
const (
	addressScheme = "dns://"     // dns://host:port, every A and AAAA record an endpoint
	serviceScheme = "dns+srv://" // dns+srv://_http._tcp.host, every SRV record one (RFC 2782)
)

// Name is what is looked up.
type Name struct {
	Host string
	Port uint16 // of every address; 0: SRV records say it
}

// IsName reports whether an endpoint is written as a name to look up.
func IsName(endpoint string) bool {
	return strings.HasPrefix(endpoint, addressScheme) || strings.HasPrefix(endpoint, serviceScheme)
}

// Parse reads an endpoint that is written as a name to look up. The error says
// what would be one.
func Parse(endpoint string) (Name, error) {
	if host, ok := strings.CutPrefix(endpoint, serviceScheme); ok {
		if !IsHost(host) || !strings.HasPrefix(host, "_") {
			return Name{}, fmt.Errorf("endpoint %q: not dns+srv://_service._protocol.host, e.g. dns+srv://_http._tcp.web.internal", endpoint)
		}
		return Name{Host: host}, nil
	}
	rest, ok := strings.CutPrefix(endpoint, addressScheme)
	host, port, err := net.SplitHostPort(rest)
	if !ok || err != nil || !IsHost(host) {
		return Name{}, fmt.Errorf("endpoint %q: not dns://host:port, e.g. dns://web.internal:8080", endpoint)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return Name{}, fmt.Errorf("endpoint %q: %s is an address already; write %q", endpoint, host, rest)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Name{}, fmt.Errorf("endpoint %q: port %q is not a number from 1 to 65535", endpoint, port)
	}
	return Name{Host: host, Port: uint16(n)}, nil
}

// IsHost reports whether s may be a host name (RFC 1123, section 2.1). An
// underscore is let in: service names have it.
func IsHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// Endpoint is an address that was found.
type Endpoint struct {
	Addr netip.AddrPort
	Host string // whose address it is, for the Host field and for TLS
	// Weight is its part of the requests beside the others of its tier, 1 on
	// average.
	Weight float64
	// Tier is 0 for those to be asked first. The next are for when none of
	// these can be.
	Tier int
}

// Answer is what a lookup found.
type Answer struct {
	Endpoints []Endpoint // in order, none twice; none at all is an answer too
	// TTL is how long that holds, by the DNS.
	TTL time.Duration
	// Unknown are the questions that went unanswered, so that what was known
	// of them holds on.
	Unknown []Question
}

// Question is a host's addresses of one family.
type Question struct {
	Host string
	IPv6 bool
}

// MaxEndpoints is how many endpoints one name may have; more are left out, by
// order of address.
const MaxEndpoints = 1000
