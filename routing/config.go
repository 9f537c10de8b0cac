package routing

import (
	"net/netip"
	"time"
)

// Config is what Build compiles: plain data, owned by the caller again as soon
// as Build returns.
type Config struct {
	Revision uint64 // of the state that this was made from; for reports alone
	Routes   []Route
	Services []ServiceConfig
	Keys     []Key // that override tokens may be signed with; none: every token is refused
}

// Key is a secret that signs override tokens.
type Key struct {
	ID     string // goes into a token as "kid" and selects the key that verifies it
	Secret []byte // at least MinSecret bytes
}

// MinSecret is the least length of a Key's secret in bytes: that of the hash's
// output, as RFC 7518, section 3.2 demands for HS256.
const MinSecret = 32

// Route leads the requests for a host and a path to a service.
type Route struct {
	// Hosts are exact names ("shop.example.com") or "*.suffix", which stands
	// for every name of any depth below the suffix, but not for the suffix
	// itself. None: any host. Letters' case, a port and a trailing dot in a
	// request's host do not count.
	Hosts []string
	// Paths are prefixes that end at a segment's boundary: "/api" (or "/api/",
	// the same) matches "/api" and "/api/x", not "/apix". None: "/". Paths are
	// compared byte for byte as received: nothing is decoded or cleaned.
	Paths   []string
	Service string
}

// ServiceConfig is one service.
type ServiceConfig struct {
	Name     string // [a-z][a-z0-9._-]*, at most 64 bytes: it is a key of the Sluice-Override dictionary
	Epoch    uint64 // goes into the pins that are made now
	Pin      PinConfig
	Versions []VersionConfig
	Rules    []RuleConfig // in order; the first that matches wins
	// Salt is mixed into keyed splits by session, so that no user is among the first
	// of every rollout. A new salt deals the keys anew whose pins are not remembered.
	// The splits of rules by other keys do without: a tenant keeps its version.
	Salt string
	// Pins remembers the pins of the application's own keys (PinAppCookie,
	// PinHeader, PinClientIP) and outlives snapshots. With nil such pins are
	// forgotten at once: each request goes where the hash of its key says.
	Pins   *PinTable
	Expose bool // tell clients the version and the reason
	// Set makes the service one of a release set; nil: it is in none.
	Set *SetConfig
	// Shield has the baseline answer what candidates fail; nil: nobody does.
	Shield *ShieldConfig
	// AssetPaths are prefixes, as in Route, below which a 404 is looked for on
	// other versions.
	AssetPaths []string
}

// VersionConfig is one version of a service.
type VersionConfig struct {
	Name string // [A-Za-z0-9][A-Za-z0-9._-]*, at most 64 bytes
	// Slot is the caller's index of this version, for its own tables; it is
	// what Health is asked about.
	Slot   int
	Weight int // share of new sessions, relative to its siblings; 0 to MaxWeight
	// Draining says that the version still serves its pins though its weight is
	// 0, until DrainUntil (Unix time in ns; 0: without a deadline).
	Draining   bool
	DrainUntil int64
	LeastEpoch uint64 // pins made in an earlier epoch are void
	Writes     string // shape that it writes; "": undeclared
	Reads      []string
}

// MaxWeight is the largest weight, the same as the state's.
const MaxWeight = 1_000_000

// PinBy says what tells one session from another.
type PinBy uint8

// The kinds of session keys.
const (
	PinCookie    PinBy = iota // a cookie that the proxy sets
	PinAppCookie              // a cookie of the application
	PinHeader                 // a request header of the application
	PinClientIP               // the client's address
	PinNone                   // no sessions: every request is split
)

// String returns the kind as the file writes it: "cookie", "cookie:",
// "header:", "client_ip" or "none".
func (b PinBy) String() string {
	switch b {
	case PinCookie:
		return "cookie"
	case PinAppCookie:
		return "cookie:"
	case PinHeader:
		return "header:"
	case PinClientIP:
		return "client_ip"
	case PinNone:
		return "none"
	}
	return "unknown"
}

// First says what a cookie-pinned session's first choice is made by.
type First uint8

// The ways of a first choice.
const (
	FirstRandom First = iota // the request's random draw
	FirstClient              // a hash of address and User-Agent, so that a page and its assets agree
)

// PinConfig says how sessions of a service are held on their version.
type PinConfig struct {
	By    PinBy
	Name  string        // of the cookie or header; default for PinCookie: "sluice_" + service
	TTL   time.Duration // life of a pin from when it is made, whole seconds; 0: DefaultPinTTL
	First First
}

// DefaultPinTTL is the life of a pin unless the service says otherwise.
const DefaultPinTTL = 24 * time.Hour

// RuleConfig leads the requests that it matches to one version or to a split
// of its own. While its version is dark, or no version of its split may be
// reached, the rule is passed over, unless Dark is set.
type RuleConfig struct {
	Name    string // as a version's name; unique in the service
	Match   Match
	Version string       // either this
	Split   *SplitConfig // or this
	Dark    bool         // may reach dark versions
}

// SplitConfig is a rule's own split.
type SplitConfig struct {
	// By is "header:NAME", "cookie:NAME", "query:NAME" or "client_ip": the same
	// value gives the same version, and a request without it is passed over.
	// "" splits by session, as the service itself does: the choice is pinned.
	By      string
	Weights map[string]int // by version; 0 to MaxWeight, not all 0
}

// Match is a conjunction: a request must meet every condition that is set. The
// zero Match meets every request.
//
// Values of Header, Cookie and Query are matched exactly, or, with a final
// "*", by prefix; "*" alone is any value, also an empty one. Only the first
// header, cookie or parameter of a name counts.
type Match struct {
	Header map[string]string
	Cookie map[string]string
	Query  map[string]string // names and values after percent-decoding
	Client []netip.Prefix    // any of them contains the client
	Path   string            // prefix to a segment's boundary, as in Route
	Method string            // exact
}
