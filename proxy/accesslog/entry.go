// Package accesslog puts requests into lines, one each, and brings the lines to
// where they are kept. A line costs no allocation, and whoever writes one never
// waits for the disk.
package accesslog

import (
	"net/netip"
	"time"
)

// Entry is what is logged of one request. Strings are as the client and the
// endpoint sent them; what is empty or zero is not known, or didn't happen.
type Entry struct {
	At       time.Time     // when the request began
	Total    time.Duration // from then to the response's last byte
	Connect  time.Duration // of that, to get a connection to the endpoint; 0: one was open
	Wait     time.Duration // then, to the head of the response
	Body     time.Duration // then, to the response's last byte
	Listener string
	Client   netip.Addr

	Method, Host, Path string // no Method: the request could not be read
	Query              string // without an override token
	Proto              string // "1.0", "1.1", "2"
	TLS                string // "1.2", "1.3"
	UserAgent, Referer string
	HasAgent           bool // there is a User-Agent, though it may be empty
	HasReferer         bool

	Status            int
	BytesIn, BytesOut int64 // of the bodies
	CutOff            bool  // the response was not brought to its end

	Service, Version, Reason, Endpoint string
	Tags                               string // of the version: see Object
	Retries                            int
	ShieldedFrom                       string // the version that failed
	ShieldedStatus                     int    // with this status
	FallbackFrom                       string // the version that lacks the asset
	Failure                            error  // of the last attempt, or what is wrong with the request
	TraceID                            [16]byte
	RequestID                          string // of X-Request-Id
	Synthetic                          string // the journey that it is of
}

// Mask returns a client's address without what tells it from its neighbours: an
// IPv4 address with its last 8 bits 0, an IPv6 address with its last 80. The
// zero Addr stays zero.
func Mask(a netip.Addr) netip.Addr {
	a = a.Unmap()
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Addr{} // the zero Addr has no prefix
	}
	return p.Addr()
}
