package configs

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxWeight keeps sums of weights far from overflow and lets shares go down to
// 0.0001%. It is the state's limit too.
const maxWeight = 1_000_000

// maxCapacity is the state's limit of what one endpoint serves in a second.
const maxCapacity = 10_000_000

func (f *File) validateService(c *checker, name string) {
	s, path := f.Services[name], join("services", name)
	if !isServiceName(name) {
		c.fail(path, wantService, "%s cannot name a service", quote(name))
	}
	if len(s.Versions) == 0 {
		c.fail(path+".versions", `want versions: {v1: {endpoints: ["127.0.0.1:9001"], weight: 100}}`, "the service has no version")
	}
	c.pin(path+".pin", &s.Pin)
	f.validateVersions(c, name, s)
	c.rules(path+".rules", s)
	c.upstream(path+".upstream", &s.Upstream)
	c.health(path+".health", &s.Health)
	c.rate(path+".limits.requests", s.Limits.Requests)
	c.rate(path+".limits.requests_per_client", s.Limits.RequestsPerClient)
	c.between(path+".outlier.consecutive", int64(s.Outlier.Consecutive), 1, 1000)
	c.positive(path+".outlier.base", s.Outlier.Base)
	c.between(path+".outlier.max_percent", int64(s.Outlier.MaxPercent), 0, 100)
	c.shield(path+".shield", s.Shield)
	c.within(path+".streams_jitter", s.StreamsJitter, time.Hour)
	c.assetFallback(path+".asset_fallback", s.AssetFallback)
	c.bad(path+".bad", &s.Bad)
	c.probe(path+".probe", s.Probe)
	c.shadow(path+".shadow", s.Shadow, s)
}

// validatePins refuses services that would overwrite each other's cookie.
func (f *File) validatePins(c *checker) {
	owner := map[string]string{}
	for _, name := range sorted(f.Services) {
		p := &f.Services[name].Pin
		if p.By.Kind != PinCookie || p.Name == "" {
			continue
		}
		if first, taken := owner[p.Name]; taken {
			c.fail(join("services", name)+".pin.name", "give each a cookie of its own", "the cookie %s pins the sessions of %s already", quote(p.Name), first)
			continue
		}
		owner[p.Name] = name
	}
}

func (c *checker) pin(path string, p *Pin) {
	switch {
	case p.By.Kind == PinCookie && p.Name != "" && !isToken(p.Name):
		c.fail(path+".name", wantToken, "%s cannot name a cookie", quote(p.Name))
	case p.By.Kind != PinCookie && p.Name != "":
		c.fail(path+".name", "leave it out, or set by: cookie", "only the proxy's own cookie has a name, and this service pins by %s", p.By)
	}
	if p.Name == tokenCookie || p.By.Kind == PinAppCookie && p.By.Name == tokenCookie {
		c.fail(path+".name", "choose another name", "the cookie %s holds override tokens", tokenCookie)
	}
	if p.TTL < time.Second || p.TTL%time.Second != 0 {
		// Max-Age of a cookie counts seconds (RFC 6265, section 5.2.2).
		c.fail(path+".ttl", "want whole seconds, at least 1s", "%v is no lifetime of a cookie", p.TTL)
	}
	c.between(path+".max_keys", int64(p.MaxKeys), 1, 100_000_000)
}

func (f *File) validateVersions(c *checker, service string, s *Service) {
	path, sum := join("services", service)+".versions", 0
	for _, name := range sorted(s.Versions) {
		v, at := s.Versions[name], join(path, name)
		c.name(at, "version", name)
		c.between(at+".weight", int64(v.Weight), 0, maxWeight)
		c.between(at+".capacity", int64(v.Capacity), 0, maxCapacity)
		sum += max(0, v.Weight)
		if len(v.Endpoints) == 0 {
			c.fail(at+".endpoints", `want endpoints: ["127.0.0.1:9001"]`, "the version has no endpoint")
		}
		for i, e := range v.Endpoints {
			c.endpoint(index(at+".endpoints", i), e)
		}
		distinct(c, at+".endpoints", v.Endpoints)
		c.shape(at+".shape", v.Shape)
		for i, feature := range v.Provides {
			c.name(index(at+".provides", i), "feature", feature)
		}
		distinct(c, at+".provides", v.Provides)
		f.validateRequires(c, service, at+".requires", v.Requires)
		for _, key := range sorted(v.Tags) {
			c.name(join(at+".tags", key), "tag", key)
			if value := v.Tags[key]; hasControls(value) || len(value) > 256 {
				c.fail(join(at+".tags", key), "want at most 256 bytes on one line", "the tag's value is too long or has control characters")
			}
		}
	}
	if len(s.Versions) > 0 && sum == 0 {
		c.fail(path, "give at least one a weight above 0, such as weight: 100", "no version has a weight, so that nobody would answer")
	}
}

func (c *checker) shape(path string, s *Shape) {
	if s == nil {
		return
	}
	if !isVisible(s.Writes) || s.Writes == "" {
		c.fail(path+".writes", `want a word such as "12"`, "%s cannot be a shape: it goes into a header", quote(s.Writes))
		return
	}
	for i, r := range s.Reads {
		if !isVisible(r) || r == "" {
			c.fail(index(path+".reads", i), `want a word such as "12"`, "%s cannot be a shape", quote(r))
		}
	}
	if !slices.Contains(s.Reads, s.Writes) {
		c.fail(path+".reads", fmt.Sprintf("add %q", s.Writes), "the version cannot read the shape that it writes")
	}
}

// validateRequires checks that what a version needs could be had.
func (f *File) validateRequires(c *checker, service, path string, requires map[string][]string) {
	for _, name := range sorted(requires) {
		at := join(path, name)
		if name == service {
			c.fail(at, "take it out: shapes say which versions of a service go together", "a version cannot require something of its own service")
			continue
		}
		other, ok := f.Services[name]
		if !ok {
			c.fail(at, suggest(name, sorted(f.Services)), "there is no service %s", quote(name))
			continue
		}
		var provided []string
		for _, v := range sorted(other.Versions) {
			provided = append(provided, other.Versions[v].Provides...)
		}
		for i, feature := range requires[name] {
			if !slices.Contains(provided, feature) {
				want := fmt.Sprintf("add it to the provides of a version of %s", name)
				if near := nearest(feature, provided); near != "" {
					want = fmt.Sprintf("did you mean %q?", near)
				}
				c.fail(index(at, i), want, "no version of %s provides %s", name, quote(feature))
			}
		}
	}
}

const wantEndpoint = `want "host:port", "[ipv6]:port", "unix:/path", "dns://host:port" or "dns+srv://_service._protocol.host"`

// endpoint checks the address of an endpoint.
func (c *checker) endpoint(path, endpoint string) {
	if strings.HasPrefix(endpoint, unixPrefix) {
		c.socket(path, endpoint)
		return
	}
	if rest, ok := strings.CutPrefix(endpoint, "http://"); ok {
		c.fail(path, "want "+quote(strings.TrimRight(rest, "/")), "%s is a URL", quote(endpoint))
		return
	}
	if name, ok := strings.CutPrefix(endpoint, "dns+srv://"); ok {
		if !strings.HasPrefix(name, "_") || !isHost(name) {
			c.fail(path, `want "dns+srv://_service._protocol.host", such as "dns+srv://_http._tcp.web.internal"`, "%s names no SRV records", quote(endpoint))
		}
		return
	}
	address, isDNS := strings.CutPrefix(endpoint, "dns://")
	host, port, err := net.SplitHostPort(address)
	ip, ipErr := netip.ParseAddr(host)
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || ipErr != nil && !isHost(host) || isDNS && ipErr == nil:
		c.fail(path, wantEndpoint, "%s is not an endpoint", quote(endpoint))
	case portErr != nil || n == 0 || port != strconv.FormatUint(n, 10):
		c.fail(path, "want a port from 1 to 65535", "%s is not an endpoint", quote(endpoint))
	case ipErr == nil && ip.IsUnspecified():
		c.fail(path, "want the address of a machine, such as 127.0.0.1", "%s is every address, not one", quote(endpoint))
	}
}

func (c *checker) upstream(path string, u *Upstream) {
	if u.Protocol == H3 {
		c.fail(path+".protocol", "want h1, h2 or h2c", "h3 is not spoken to upstreams")
	}
	if u.Protocol == H2C && u.TLS != nil {
		c.fail(path+".tls", "want protocol: h2, or no tls", "h2c is HTTP/2 without TLS")
	}
	if u.ProxyProtocol != ProxyNone && u.Protocol != H1 {
		c.fail(path+".proxy_protocol", "want protocol: h1, or off", "an HTTP/2 connection is shared by many clients, and the header tells of one")
	}
	c.upstreamTLS(path+".tls", u.TLS)
	c.positive(path+".connect_timeout", u.ConnectTimeout)
	c.positive(path+".response_timeout", u.ResponseTimeout)
	c.positive(path+".idle_timeout", u.IdleTimeout)
	c.positive(path+".tunnel_idle", u.TunnelIdle)
	c.within(path+".tunnel_total", u.TunnelTotal, maxTunnel)
	c.between(path+".retries", int64(u.Retries), 0, 10)
	c.share(path+".retry_budget", u.RetryBudget)
	c.between(path+".max_connections", int64(u.MaxConnections), 0, 1_000_000)
	c.tries(path, u)
	c.hedge(path+".hedge", u)
	c.balance(path, u)
	c.dns(path+".dns", &u.DNS)
}

func (c *checker) health(path string, h *Health) {
	if h.Path != "" && (!strings.HasPrefix(h.Path, "/") || !isVisible(h.Path) || strings.Contains(h.Path, "#")) {
		c.fail(path+".path", `want a path such as "/healthz"`, "%s cannot be asked for", quote(h.Path))
	}
	host, port, err := net.SplitHostPort(h.Host)
	if err != nil {
		host = h.Host
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		host = h.Host
	}
	if h.Host != "" && !isHost(host) {
		c.fail(path+".host", "want a host such as web.example.com", "%s is not a host", quote(h.Host))
	}
	c.positive(path+".interval", h.Interval)
	c.positive(path+".timeout", h.Timeout)
	c.between(path+".fall", int64(h.Fall), 1, 100)
	c.between(path+".rise", int64(h.Rise), 1, 100)
}
