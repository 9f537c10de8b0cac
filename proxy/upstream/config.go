// Package upstream is the way to the endpoints of one version: which of them
// are usable, which one a request goes to, and the pool of connections to each.
// It hands out connections and knows no HTTP message beyond the health check.
package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/proxy/upstream/resolve"
)

// Defaults of a Config, used where a field is zero.
const (
	DefaultConnectTimeout = time.Second
	// DefaultIdleTimeout stays below the shortest keep-alive of common servers
	// (5 s: Node.js, Apache httpd), so that it is the proxy that closes, not
	// the server under a request that cannot be sent twice.
	DefaultIdleTimeout = 4 * time.Second
	// DefaultMaxIdlePerEndpoint holds the pool of a busy endpoint whole; what
	// a burst leaves behind goes by age, so the limit is a backstop.
	DefaultMaxIdlePerEndpoint = 512

	// DefaultPendingTimeout is as long as a connection may take.
	DefaultPendingTimeout = time.Second

	DefaultHealthInterval = 2 * time.Second
	DefaultHealthTimeout  = time.Second
	DefaultFall           = 3
	DefaultRise           = 2

	DefaultConsecutive       = 5
	DefaultEjectionBase      = 30 * time.Second
	DefaultMaxEjectedPercent = 50
)

// Config is how one version's endpoints are reached. Zero durations and counts
// take the Default… values, unless a field says otherwise.
type Config struct {
	Service, Version string // for logs and events

	// Endpoints are addresses: "host:port", "[::1]:80" or "unix:/path"; or names
	// that are looked up in the DNS, each record an endpoint: "dns://host:port"
	// and "dns+srv://_service._protocol.host". A host name that stands alone is
	// resolved at each dial. None at all makes a version that is never usable.
	Endpoints []string
	// DNSServers are asked for those names, each an IP address with its port;
	// none: as the system is set up.
	DNSServers []string
	// HTTP2 speaks HTTP/2 to the endpoints, by prior knowledge or, over TLS,
	// agreed by ALPN.
	HTTP2 bool
	// TLS secures the connections, those of health checks too; nil: plain text.
	TLS *TLSConfig
	// ProxyProtocol is the header that tells endpoints of the client. Then a
	// connection serves no other client than the one that it was opened for, and
	// those of health checks are told to be the proxy's own. Not with HTTP2.
	ProxyProtocol ProxyHeader
	// ConnectTimeout bounds one dial, name resolution and TLS included.
	ConnectTimeout time.Duration
	// IdleTimeout is how long a connection may wait in the pool.
	IdleTimeout time.Duration
	// MaxIdlePerEndpoint is how many connections may wait in one endpoint's
	// pool; more are closed when they become idle.
	MaxIdlePerEndpoint int
	// MaxConnections is how many connections may be in use at once over all
	// endpoints (idle ones don't count); 0 means no limit.
	MaxConnections int
	// MaxPending is how many requests may wait when MaxConnections are in use,
	// first come, first served, each for PendingTimeout; 0: none waits.
	MaxPending     int
	PendingTimeout time.Duration
	// Balance is how the usable endpoints share the requests.
	Balance Balance
	// SlowStart is how long an endpoint that is new, or has been down or
	// ejected, takes to get its full part of the requests; it begins with a
	// tenth. 0: none. The first endpoints of a version have none.
	SlowStart time.Duration

	Health  HealthConfig
	Outlier OutlierConfig
}

// HealthConfig is the active health check of each endpoint.
type HealthConfig struct {
	// Path is asked for by GET, and a 2xx or 3xx is good; "" only connects.
	Path string
	// Host is the Host field of that GET; "" is the endpoint's address, or
	// "localhost" for a Unix socket.
	Host string
	// Interval is the time from check to check, give or take a tenth.
	Interval time.Duration
	// Timeout bounds one check.
	Timeout time.Duration
	// Fall is how many failures in a row take an endpoint down, Rise how many
	// successes bring it back.
	Fall, Rise int
	// Disabled leaves every endpoint up.
	Disabled bool
}

// OutlierConfig is when failing requests take an endpoint out of the choice.
type OutlierConfig struct {
	// Consecutive is how many failed requests in a row eject an endpoint.
	Consecutive int
	// Base is how long the first ejection lasts; the second lasts twice as
	// long, and so on up to ten times. An endpoint that then stays ten times
	// Base without another begins anew.
	Base time.Duration
	// MaxPercent is the share of the endpoints that may be ejected at once;
	// where there are two or more, one always may. The last usable endpoint is
	// never ejected.
	MaxPercent int
	// Disabled ejects nothing.
	Disabled bool
}

// Validate reports all that is wrong with the configuration, or nil.
func (cfg Config) Validate() error {
	var errs []error
	seen := make(map[string]bool, len(cfg.Endpoints))
	for _, ep := range cfg.Endpoints {
		if err := checkEndpoint(ep); err != nil {
			errs = append(errs, err)
		} else if seen[ep] {
			errs = append(errs, fmt.Errorf("endpoint %q is listed twice; list it once", ep))
		}
		seen[ep] = true
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"connect timeout", int64(cfg.ConnectTimeout)},
		{"idle timeout", int64(cfg.IdleTimeout)},
		{"max idle connections per endpoint", int64(cfg.MaxIdlePerEndpoint)},
		{"max connections", int64(cfg.MaxConnections)},
		{"max pending", int64(cfg.MaxPending)},
		{"pending timeout", int64(cfg.PendingTimeout)},
		{"slow start", int64(cfg.SlowStart)},
		{"health interval", int64(cfg.Health.Interval)},
		{"health timeout", int64(cfg.Health.Timeout)},
		{"health fall", int64(cfg.Health.Fall)},
		{"health rise", int64(cfg.Health.Rise)},
		{"outlier consecutive failures", int64(cfg.Outlier.Consecutive)},
		{"outlier ejection base", int64(cfg.Outlier.Base)},
		{"outlier max percent", int64(cfg.Outlier.MaxPercent)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative; leave it out (0) for the default", f.name))
		}
	}
	if _, err := cfg.TLS.client(); err != nil {
		errs = append(errs, err)
	}
	if cfg.HTTP2 && cfg.ProxyProtocol != NoProxyHeader {
		errs = append(errs, errHeaderOverHTTP2)
	}
	for _, server := range cfg.DNSServers {
		if _, err := netip.ParseAddrPort(server); err != nil {
			errs = append(errs, fmt.Errorf("DNS server %q is not an IP address with a port, e.g. 10.0.0.2:53", server))
		}
	}
	if err := cfg.Balance.check(); err != nil {
		errs = append(errs, err)
	}
	if cfg.Outlier.MaxPercent > 100 {
		errs = append(errs, fmt.Errorf("outlier max percent is %d; it is at most 100", cfg.Outlier.MaxPercent))
	}
	if p := cfg.Health.Path; p != "" && !isPath(p) {
		errs = append(errs, fmt.Errorf("health path %q is not a path, e.g. /healthz", p))
	}
	if h := cfg.Health.Host; !printable(h) || strings.ContainsAny(h, "/?#@") {
		errs = append(errs, fmt.Errorf("health host %q is not a host, e.g. shop.example.com", h))
	}
	return errors.Join(errs...)
}

// withDefaults returns the configuration with zero fields replaced.
func (cfg Config) withDefaults() Config {
	or(&cfg.ConnectTimeout, DefaultConnectTimeout)
	or(&cfg.IdleTimeout, DefaultIdleTimeout)
	or(&cfg.MaxIdlePerEndpoint, DefaultMaxIdlePerEndpoint)
	or(&cfg.PendingTimeout, DefaultPendingTimeout)
	or(&cfg.Health.Interval, DefaultHealthInterval)
	or(&cfg.Health.Timeout, DefaultHealthTimeout)
	or(&cfg.Health.Fall, DefaultFall)
	or(&cfg.Health.Rise, DefaultRise)
	or(&cfg.Outlier.Consecutive, DefaultConsecutive)
	or(&cfg.Outlier.Base, DefaultEjectionBase)
	or(&cfg.Outlier.MaxPercent, DefaultMaxEjectedPercent)
	return cfg
}

func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// checkEndpoint reports what is wrong with an endpoint as configured.
func checkEndpoint(s string) error {
	var err error
	if resolve.IsName(s) {
		_, err = resolve.Parse(s)
	} else {
		_, _, err = parseEndpoint(s)
	}
	return err
}

// maxUnixPath is the longest path of a Unix socket (sun_path of unix(7),
// without its final NUL).
const maxUnixPath = 107

// parseEndpoint splits an endpoint into the network and the address to dial.
func parseEndpoint(s string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > maxUnixPath || strings.Contains(path, "\x00") {
			return "", "", fmt.Errorf("endpoint %q: the path of a Unix socket is absolute and at most %d bytes long, e.g. unix:/run/web.sock", s, maxUnixPath)
		}
		return "unix", path, nil
	}
	if i := strings.Index(s, "://"); i >= 0 {
		return "", "", fmt.Errorf("endpoint %q: an address without %q is wanted, e.g. 10.0.1.2:8080", s, s[:i+3])
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("endpoint %q: not host:port, e.g. 10.0.1.2:8080, [::1]:8080 or unix:/run/web.sock", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("endpoint %q: port %q is not a number from 1 to 65535", s, port)
	}
	if !isHost(host) {
		return "", "", fmt.Errorf("endpoint %q: %q is neither an IP address nor a host name", s, host)
	}
	return "tcp", s, nil
}

// isHost reports whether s is an IP address or looks like a host name.
func isHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || resolve.IsHost(s)
}

// isPath reports whether s is a request target in origin form (RFC 9112,
// section 3.2.1).
func isPath(s string) bool {
	_, err := url.ParseRequestURI(s)
	return err == nil && s[0] == '/' && printable(s) && !strings.Contains(s, "#")
}

// printable reports whether s holds visible ASCII alone.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
