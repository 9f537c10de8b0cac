package configs

import (
	"net/netip"
	"time"
)

// Route leads requests to a service: by exact host, then the longest wildcard,
// then any host; within a host by the longest path prefix.
type Route struct {
	// Hosts are names, or "*.suffix" for any name below suffix; small letters
	// after Load. None: any host.
	Hosts []string `yaml:"hosts"`
	// Paths are prefixes that end on a segment boundary. None: "/".
	Paths   []string `yaml:"paths"`
	Service string   `yaml:"service"`
}

// Service is what a route leads to.
type Service struct {
	Pin      Pin                 `yaml:"pin"`
	Versions map[string]*Version `yaml:"versions"` // by name; at least one, the weights' sum above 0
	Rules    []Rule              `yaml:"rules"`    // the first that matches decides
	Upstream Upstream            `yaml:"upstream"`
	Health   Health              `yaml:"health"`
	Outlier  Outlier             `yaml:"outlier"`
	Limits   ServiceLimits       `yaml:"limits"`
	// Shield has the baseline answer what a candidate fails. Default: off.
	Shield *Shield `yaml:"shield"`
	// AssetFallback looks for assets on other versions. Default: off.
	AssetFallback *AssetFallback `yaml:"asset_fallback"`
	// StreamsJitter is the time over which streams are closed by a flip that says
	// so; 0 to 1h, default 5s. 0: all at once.
	StreamsJitter time.Duration `yaml:"streams_jitter"`
	// Expose shows version and reason in the response. Default false.
	Expose bool `yaml:"expose"`
	// Rollout is the policy of rollouts that name none themselves: a built-in one
	// or one of Policies; "": standard.
	Rollout string `yaml:"rollout"`
	Bad     Bad    `yaml:"bad"` // which requests count against a version in a rollout
	// Journeys are run against every version, and by probe stages that name none. A
	// dark version that fails one of them gets no weight.
	Journeys []string `yaml:"journeys"`
	Probe    Probe    `yaml:"probe"` // when Journeys are run
	// Shadow copies requests to another version. Default: no copies but those of
	// shadow stages, by DefaultShadow.
	Shadow *Shadow `yaml:"shadow"`
}

// Pin is what holds a session on its version.
type Pin struct {
	By   PinBy  `yaml:"by"`   // default cookie
	Name string `yaml:"name"` // of the proxy's own cookie; default sluice_<service>
	// TTL is how long a pin lives; at least 1s, default 24h.
	TTL   time.Duration `yaml:"ttl"`
	First First         `yaml:"first"` // how a new session chooses; default random
	// MaxKeys bounds the memory of keys of the application: 1 to 100,000,000,
	// default 1,000,000. The least recently used go first.
	MaxKeys int `yaml:"max_keys"`
}

// Version is one deployed build.
type Version struct {
	// Endpoints are "host:port", "[v6]:port", "unix:/path",
	// "dns://host:port" (every address behind the name) or
	// "dns+srv://_service._protocol.host" (every SRV record of the name). At
	// least one.
	Endpoints []string `yaml:"endpoints"`
	// Weight is the share of new sessions relative to the siblings: 0 to
	// 1,000,000. 0, the default: dark.
	Weight int `yaml:"weight"`
	// Shape is the data shape; nil: not declared. Versions serve together only if
	// each reads what the other writes.
	Shape    *Shape              `yaml:"shape"`
	Provides []string            `yaml:"provides"` // what others may require
	Requires map[string][]string `yaml:"requires"` // by service, what its live versions must provide
	Tags     map[string]string   `yaml:"tags"`     // shown in logs, metrics and the API
	// Capacity is how many requests a second one endpoint serves: no more of the
	// traffic is given to the version than its healthy endpoints can take. Up to
	// 10,000,000; 0, the default: not declared.
	Capacity int `yaml:"capacity"`
}

// Shape is the data shape that a version writes and those that it reads.
type Shape struct {
	Writes string   `yaml:"writes"`
	Reads  []string `yaml:"reads"` // must hold Writes
}

// Rule sends requests that match to a version, or to a split of its own.
type Rule struct {
	Name    string `yaml:"name"`    // unique in the service; it is the reason "rule:<name>"
	Match   Match  `yaml:"match"`   // nothing in it: every request
	Version string `yaml:"version"` // this or Split
	Split   *Split `yaml:"split"`
	// Dark lets the rule lead to versions of weight 0. Default false.
	Dark bool `yaml:"dark"`
}

// Match is what a request must be like; all of it must hold. Values are exact,
// "*" for any that is present, or "abc*" for a prefix.
type Match struct {
	Header map[string]string `yaml:"header"`
	Cookie map[string]string `yaml:"cookie"`
	Query  map[string]string `yaml:"query"`
	Client []netip.Prefix    `yaml:"client"` // one of these networks
	Path   string            `yaml:"path"`   // a prefix that ends on a segment boundary
	Method string            `yaml:"method"`
}

// Split divides the requests of a rule between versions.
type Split struct {
	By      SplitBy        `yaml:"by"`      // the key that is hashed; none: random
	Weights map[string]int `yaml:"weights"` // by version, as Version.Weight; the sum above 0
}

// Upstream is how the endpoints of a service are spoken to.
type Upstream struct {
	Protocol Protocol `yaml:"protocol"` // h1, h2 or h2c; h2 is over TLS, also where tls is left out; default h1
	// TLS, where set, secures the connections to endpoints, those of health
	// checks too.
	TLS *UpstreamTLS `yaml:"tls"`
	// ProxyProtocol tells endpoints of the client by a header before all else,
	// TLS too: off, v1 or v2, default off. A connection then serves one client
	// alone. Not with HTTP/2.
	ProxyProtocol   ProxyHeader   `yaml:"proxy_protocol"`
	ConnectTimeout  time.Duration `yaml:"connect_timeout"`  // TLS included; above 0; default 1s
	ResponseTimeout time.Duration `yaml:"response_timeout"` // to the response's head; above 0; default 60s
	// IdleTimeout closes a pooled connection that was not used for so long.
	// Above 0; default 4s, below the 5s after which Node.js and Apache close:
	// so it is the proxy that closes, not the server under a request.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
	// Retries is how often an idempotent request is tried again before any
	// byte of a response came: 0 to 10, default 1.
	Retries int `yaml:"retries"`
	// RetryBudget is the largest share of live requests that may be retries, 0
	// to 1; three are always allowed. A request for which no connection could be
	// opened doesn't count. Default 0.2.
	RetryBudget float64 `yaml:"retry_budget"`
	// MaxConnections bounds the connections to each version; 0, the default:
	// no limit.
	MaxConnections int      `yaml:"max_connections"`
	Host           HostMode `yaml:"host"` // the Host that the upstream sees; default preserve
	// MaxPending is how many requests may wait when MaxConnections are in use,
	// first come, first served, each for PendingTimeout; then 503. 0, the
	// default: none waits.
	MaxPending     int           `yaml:"max_pending"`
	PendingTimeout time.Duration `yaml:"pending_timeout"` // above 0; default 1s
	// TryTimeout is how long one try may take to the head of the response; a
	// request that can be repeated is then tried elsewhere. 0, the default:
	// ResponseTimeout, after which nothing is tried again.
	TryTimeout time.Duration `yaml:"try_timeout"`
	// TotalTimeout is how long all tries and waits up to that head may take; then
	// 504. 0, the default: no limit.
	TotalTimeout time.Duration `yaml:"total_timeout"`
	// RetryOn are statuses, 400 to 599, after which an idempotent request is tried
	// again. Default: none.
	RetryOn []int `yaml:"retry_on"`
	// RetryBuffer is how long the body of an idempotent request may be that is
	// read whole before it is sent, so that it can be sent again: up to 1MiB, 64KiB
	// is usual. Longer ones are passed on as they come, and are not sent again. 0,
	// the default: all are.
	RetryBuffer Size `yaml:"retry_buffer"`
	// Hedge asks a second endpoint of the version where the first is slow.
	Hedge Hedge `yaml:"hedge"`
	// Balance is how the endpoints of a version share its requests; default
	// least_request.
	Balance Balance `yaml:"balance"`
	// HashBy is what balance hash chooses by; without it, it is the client's
	// address. Requests without such a key go by least_request.
	HashBy HashBy `yaml:"hash_by"`
	// TunnelIdle ends a WebSocket or another tunnel in which nothing moved for so
	// long, either way. Above 0; default 1h.
	TunnelIdle time.Duration `yaml:"tunnel_idle"`
	// TunnelTotal ends any tunnel after that time; 0, the default: never.
	TunnelTotal time.Duration `yaml:"tunnel_total"`
	// SlowStart is how long an endpoint that is new, or was down or ejected,
	// takes to get its full part of the requests, from a tenth on; 0, the
	// default: none.
	SlowStart time.Duration `yaml:"slow_start"`
	DNS       DNS           `yaml:"dns"` // of dns:// endpoints
}

// Health is the active health check of a service's endpoints.
type Health struct {
	// Path is asked for with GET; 2xx and 3xx pass. "", the default: a TCP
	// connection that opens passes.
	Path     string        `yaml:"path"`
	Host     string        `yaml:"host"`     // the Host of the check; default: the endpoint's
	Interval time.Duration `yaml:"interval"` // above 0; default 2s
	Timeout  time.Duration `yaml:"timeout"`  // above 0; default 1s
	Fall     int           `yaml:"fall"`     // failures in a row that take an endpoint out; default 3
	Rise     int           `yaml:"rise"`     // passes in a row that bring it back; default 2
	Disabled bool          `yaml:"disabled"` // default false
}

// Outlier is the ejection of endpoints that fail real requests.
type Outlier struct {
	Consecutive int           `yaml:"consecutive"` // failures in a row; default 5
	Base        time.Duration `yaml:"base"`        // of the first ejection, above 0; later ones are longer; default 30s
	MaxPercent  int           `yaml:"max_percent"` // of a version's endpoints, 0 to 100; 0: never eject; default 50
}

// DefaultService returns the service that says nothing but its versions.
func DefaultService() Service {
	return Service{Pin: DefaultPin(), Upstream: DefaultUpstream(), Health: DefaultHealth(), Outlier: DefaultOutlier(),
		StreamsJitter: 5 * time.Second, Bad: DefaultBad(), Probe: DefaultProbe()}
}

// DefaultPin returns a cookie of the proxy's own, for a day.
func DefaultPin() Pin {
	return Pin{By: PinBy{Kind: PinCookie}, TTL: 24 * time.Hour, First: FirstRandom, MaxKeys: 1_000_000}
}

// DefaultUpstream returns plain HTTP/1.1 with one retry.
func DefaultUpstream() Upstream {
	return Upstream{
		Protocol:        H1,
		ProxyProtocol:   ProxyNone,
		ConnectTimeout:  time.Second,
		ResponseTimeout: 60 * time.Second,
		IdleTimeout:     4 * time.Second,
		TunnelIdle:      time.Hour,
		Retries:         1,
		RetryBudget:     0.2,
		Host:            HostPreserve,
		PendingTimeout:  time.Second,
		Balance:         LeastRequest,
	}
}

// DefaultHealth returns a TCP check every 2 s, 3 falls, 2 rises.
func DefaultHealth() Health {
	return Health{Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2}
}

// DefaultOutlier returns 5 failures, 30 s, at most half of the endpoints.
func DefaultOutlier() Outlier {
	return Outlier{Consecutive: 5, Base: 30 * time.Second, MaxPercent: 50}
}

func (s *Service) setDefaults() { *s = DefaultService() }
