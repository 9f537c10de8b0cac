package configs

import (
	"fmt"
	"strings"
	"time"
)

// Rate is how often something may happen.
type Rate struct {
	Rate  float64 `yaml:"rate"`  // a second, in the long run; 0, the default: no limit
	Burst int     `yaml:"burst"` // at once after a rest; 0, the default: as many as in a second, at least 1
}

// ServiceLimits bound what a service is asked. Over them: 429 with Retry-After.
type ServiceLimits struct {
	Requests          Rate `yaml:"requests"`            // of all clients together
	RequestsPerClient Rate `yaml:"requests_per_client"` // of each client, an IPv6 client being a /64
}

// HSTS is the Strict-Transport-Security field of responses over TLS that have
// none of their own (RFC 6797).
type HSTS struct {
	// MaxAge is how long clients come over TLS alone; 0 tells them to forget.
	// Default 8760h, a year.
	MaxAge            time.Duration `yaml:"max_age"`
	IncludeSubdomains bool          `yaml:"include_subdomains"` // default false
	// Preload agrees to the browsers' built-in lists, which ask for a year and
	// for subdomains. Default false.
	Preload bool `yaml:"preload"`
}

func (h *HSTS) setDefaults() { *h = HSTS{MaxAge: 365 * 24 * time.Hour} }

// String returns the field's value, "" for nil.
func (h *HSTS) String() string {
	if h == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "max-age=%d", int64(h.MaxAge/time.Second))
	if h.IncludeSubdomains {
		b.WriteString("; includeSubDomains")
	}
	if h.Preload {
		b.WriteString("; preload")
	}
	return b.String()
}

// maxRate is more than any machine serves; clocks count it to the nanosecond.
const maxRate = 1e9

// rate checks a rate.
func (c *checker) rate(path string, r Rate) {
	if !(r.Rate >= 0 && r.Rate <= maxRate) {
		c.fail(path+".rate", "want requests a second, such as 100 or 0.5; 0 for no limit", "%v is out of range", r.Rate)
		return
	}
	c.between(path+".burst", int64(r.Burst), 0, maxRate)
	if r.Burst > 0 && r.Rate == 0 {
		c.fail(path, "add rate: 100, the requests a second", "a burst without a rate limits nothing")
	}
}

// hsts checks what clients are told of TLS.
func (c *checker) hsts(path string, h *HSTS) {
	const year = 365 * 24 * time.Hour
	switch {
	case h == nil:
	case h.MaxAge < 0 || h.MaxAge > 100*year:
		c.fail(path+".max_age", "want 0 to 876000h", "%v is out of range", h.MaxAge)
	case h.Preload && (h.MaxAge < year || !h.IncludeSubdomains):
		c.fail(path+".preload", "set max_age to 8760h or more, and include_subdomains: true", "browsers' lists take no host without a year and its subdomains")
	}
}

// redirect checks where a listener sends its clients.
func (c *checker) redirect(path string, l *Listener) {
	c.between(path, int64(l.RedirectHTTPS), 0, 65535)
	if l.RedirectHTTPS > 0 && l.TLS != nil {
		c.fail(path, "leave it out, or move it to the listener without tls", "this listener is reached over https already")
	}
}

// Overload is when requests are refused with 503, so that others are served in
// time. It takes 256 connections and streams at the least.
type Overload struct {
	// Target is how long work that is ready may wait for its turn, at the least
	// in a tenth of a second; a request waits twice. 1ms to 10s, default 20ms.
	Target   time.Duration `yaml:"target"`
	Disabled bool          `yaml:"disabled"` // true: everything is admitted; default false
}

// overload checks when requests are refused.
func (c *checker) overload(path string, o Overload) {
	if o.Target < time.Millisecond || o.Target > 10*time.Second {
		c.fail(path+".target", "want 1ms to 10s, or disabled: true", "%v is out of range", o.Target)
	}
}
