package configs

import (
	"net/netip"
	"strings"
	"time"
)

// Balance is how the endpoints of a version share its requests.
type Balance string

// The ways to balance.
const (
	LeastRequest Balance = "least_request" // the less busy of two random ones
	RoundRobin   Balance = "round_robin"   // each in turn
	Hash         Balance = "hash"          // the same key, the same endpoint, unless it has too much to do
)

func (Balance) values() []string { return []string{"least_request", "round_robin", "hash"} }

// HashBy is what of a request balance hash chooses an endpoint by.
type HashBy struct {
	Kind HashKind
	Name string // of the header or cookie; "" for the other kinds
}

// HashKind is the kind of such a key.
type HashKind string

// The keys. The file writes them "client_ip", "header:NAME", "cookie:NAME" and
// "path".
const (
	HashNone     HashKind = "" // not told
	HashClientIP HashKind = "client_ip"
	HashHeader   HashKind = "header"
	HashCookie   HashKind = "cookie"
	HashPath     HashKind = "path" // without the query
)

const wantHashBy = "want client_ip, header:NAME, cookie:NAME or path"

// String returns the key as the file writes it; "" for none.
func (h HashBy) String() string {
	if h.Name == "" {
		return string(h.Kind)
	}
	return string(h.Kind) + ":" + h.Name
}

func (h *HashBy) decodeText(text string) error {
	kind, name, named := strings.Cut(text, ":")
	switch k := HashKind(kind); {
	case !named && (k == HashClientIP || k == HashPath):
		*h = HashBy{Kind: k}
	case named && (k == HashHeader || k == HashCookie):
		if !isToken(name) {
			return problemf(wantToken, "%s: %s is not a valid name", quote(text), quote(name))
		}
		*h = HashBy{k, name}
	default:
		return problemf(wantHashBy, "unknown key %s", quote(text))
	}
	return nil
}

// Hedge is when a second endpoint is asked for an answer: over HTTP/1.1, to safe
// requests without a body, and within the retry budget. The first answer that
// begins is the client's.
type Hedge struct {
	// After is how long the first endpoint's answer may take to begin until then,
	// shorter than response_timeout; 0, the default: no other is asked.
	After time.Duration `yaml:"after"`
}

// DNS is where the names of a service's endpoints are looked up.
type DNS struct {
	// Servers are asked, and names are complete: "address:port". None, the
	// default: as the system is set up, by /etc/hosts and /etc/resolv.conf.
	Servers []string `yaml:"servers"`
}

func (c *checker) dns(path string, d *DNS) {
	for i, server := range d.Servers {
		if a, err := netip.ParseAddrPort(server); err != nil || a.Port() == 0 {
			c.fail(index(path+".servers", i), `want an IP address with its port, such as "10.0.0.2:53"`, "%s is not a DNS server", quote(server))
		}
	}
	distinct(c, path+".servers", d.Servers)
}

// tries checks how long requests wait, and after what they are tried again.
func (c *checker) tries(path string, u *Upstream) {
	c.between(path+".max_pending", int64(u.MaxPending), 0, 1_000_000)
	if u.MaxPending > 0 && u.MaxConnections == 0 {
		c.fail(path+".max_pending", "set max_connections", "without a limit on connections nothing waits for one")
	}
	c.positive(path+".pending_timeout", u.PendingTimeout)
	if u.TryTimeout > u.ResponseTimeout {
		c.fail(path+".try_timeout", "want at most "+u.ResponseTimeout.String(), "%v is longer than response_timeout", u.TryTimeout)
	}
	for i, status := range u.RetryOn {
		c.between(index(path+".retry_on", i), int64(status), 400, 599)
	}
	distinct(c, path+".retry_on", u.RetryOn)
	if u.RetryBuffer > maxRetryBuffer {
		c.fail(path+".retry_buffer", "want at most 1MiB, such as 64KiB", "%d bytes are too many to hold for each request", u.RetryBuffer)
	}
}

// hedge checks when a second endpoint is asked.
func (c *checker) hedge(path string, u *Upstream) {
	if u.Hedge.After > 0 && u.Hedge.After >= u.ResponseTimeout {
		c.fail(path+".after", "want less than "+u.ResponseTimeout.String()+", such as 50ms", "%v is not shorter than response_timeout", u.Hedge.After)
	}
	if u.Hedge.After > 0 && u.Protocol != H1 {
		c.fail(path, "take it out, or set protocol: h1", "requests over HTTP/2 are not sent twice at once")
	}
}

// maxRetryBuffer bounds what a request may hold of the proxy's memory.
const maxRetryBuffer = MiB

// maxSlowStart is longer than any cache takes to warm up that a proxy can help.
const maxSlowStart = time.Hour

// balance checks how the endpoints share the requests.
func (c *checker) balance(path string, u *Upstream) {
	if u.HashBy.Kind != HashNone && u.Balance != Hash {
		c.fail(path+".hash_by", "set balance: hash, or leave it out", "a key has no effect with balance %s", u.Balance)
	}
	c.atMost(path+".slow_start", u.SlowStart, maxSlowStart)
}

// atMost checks a duration that may be 0.
func (c *checker) atMost(path string, d, most time.Duration) {
	if d > most {
		c.fail(path, "want at most "+most.String(), "%v is too long", d)
	}
}
