package routing

import "net/netip"

// Request is what Decide reads of a request. Its strings need to be valid
// during the call alone.
type Request struct {
	Method string
	Host   string // with or without port; "" where the request has none
	Path   string // as received, without the query
	Query  string // without "?"
	Fields Fields // nil: none
	Client netip.Addr
	// Trusted is set when the peer is believed: its Sluice-Override counts.
	Trusted bool
	Now     int64  // Unix time in ns
	Draw    uint64 // uniformly random: the only chance in a decision
	Health  Health // nil: every version is usable
}

// Fields gives the header fields of a request.
type Fields interface {
	// Get returns the first value of a field; name is in lower case. Several
	// Cookie fields are to be joined by "; " (RFC 9113, section 8.2.3).
	Get(name string) (value string, ok bool)
}

// Health knows which versions have an endpoint that can serve.
type Health interface {
	Usable(slot int) bool
}

// field returns the first value of a header field; name is in lower case.
func (r *Request) field(name string) (string, bool) {
	if r.Fields == nil {
		return "", false
	}
	return r.Fields.Get(name)
}

// usable reports whether a version has an endpoint that can serve.
func (r *Request) usable(v *Version) bool {
	return r.Health == nil || r.Health.Usable(v.Slot)
}
