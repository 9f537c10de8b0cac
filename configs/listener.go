package configs

import (
	"net/netip"
	"time"
)

// Listener is one address that the proxy serves.
type Listener struct {
	Name string `yaml:"name"` // for logs and metrics; default: its address
	// Address is "host:port" (no host: all; port 0: any free one), or "unix:/path"
	// for a Unix socket, whose senders are trusted by the rights of its directory,
	// also to send the PROXY protocol. Default ":8080".
	Address string `yaml:"address"`
	// Protocols are h1, h2, h2c, h3; h2 and h3 need TLS. Default h1, and with
	// TLS h2. A plain listener tells h1 and h2c apart by what the client sends.
	Protocols []Protocol `yaml:"protocols"`
	// TLS, where set, makes the listener speak TLS.
	TLS *TLS `yaml:"tls"`
	// TrustedProxies are the networks whose X-Forwarded-*, PROXY protocol and
	// Sluice-* are believed. Default none.
	TrustedProxies []netip.Prefix   `yaml:"trusted_proxies"`
	ProxyProtocol  ProxyMode        `yaml:"proxy_protocol"` // default off
	Timeouts       ListenerTimeouts `yaml:"timeouts"`
	Limits         ListenerLimits   `yaml:"limits"`
	// RedirectHTTPS is the port, 443 most often, that every request is sent to
	// over https (308), but for ACME's challenges and for what a trusted proxy
	// says came over https. 0, the default: requests are served.
	RedirectHTTPS int `yaml:"redirect_https"`
}

// TLS is what a TLS server shows and asks for.
type TLS struct {
	// Certificates are chosen by the name the client asks for; the first is
	// shown to clients that name none. Changed files are taken at once.
	Certificates []Certificate `yaml:"certificates"`
	// ClientCA is a PEM file of the authorities whose client certificates are
	// verified; "": none are asked for.
	ClientCA string `yaml:"client_ca"`
	// ClientAuth is whether a client may come without a certificate. Default
	// require: it may not.
	ClientAuth ClientAuth `yaml:"client_auth"`
	// MinVersion is the oldest version that is spoken. Default 1.2.
	MinVersion TLSVersion `yaml:"min_version"`
	// ACME, where set, obtains certificates; not for the administration API.
	ACME *ACME `yaml:"acme"`
	// ForwardCertificate sends a verified client's certificate to endpoints as
	// Client-Cert (RFC 9440); whose it is goes there always, as
	// Sluice-Client-Identity. Default false. For listeners.
	ForwardCertificate bool `yaml:"forward_certificate"`
	// HSTS, where set, tells clients to come over TLS alone. For listeners.
	HSTS *HSTS `yaml:"hsts"`
}

func (t *TLS) setDefaults() { *t = TLS{ClientAuth: ClientRequire, MinVersion: TLS12} }

// Certificate is a certificate chain and its key, as PEM files.
type Certificate struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// OCSP is a file with the DER response of the certificate's OCSP responder,
	// stapled while it is valid; "": none. Those of ACME need none.
	OCSP string `yaml:"ocsp"`
}

// ListenerTimeouts bound how long a client may take. All above 0.
type ListenerTimeouts struct {
	Head time.Duration `yaml:"head"` // from a request's first byte to the end of its head; default 10s
	Idle time.Duration `yaml:"idle"` // between requests, and between reads of a body; default 75s
	// Request is for how long a client is waited for in a request's body, all
	// waits together; over: 408. 0, the default: no limit.
	Request time.Duration `yaml:"request"`
}

// ListenerLimits bound what a client may send.
type ListenerLimits struct {
	HeadBytes Size `yaml:"head_bytes"` // of a request head, over: 431; 1KiB to 64KiB, the default
	Fields    int  `yaml:"fields"`     // in a request head, over: 431; 8 to 1024, default 128
	URIBytes  Size `yaml:"uri_bytes"`  // of a request target, over: 414; 256 to head_bytes, default 32KiB
	BodyBytes Size `yaml:"body_bytes"` // of a request body, over: 413; 0: no limit, the default
	// MinBodyRate is how many bytes a second a client has to send of a request's
	// body, over: 408, or to take of a response's, on average over the time that it
	// is waited for, after 5 s of it. 0: no limit; default 240.
	MinBodyRate Size `yaml:"min_body_rate"`
	// Connections is how many may be open at once; more wait in the kernel's
	// queue, and idle ones make room. 0, the default: half of what the limit of
	// file descriptors allows, over all listeners, since a request may need one
	// more to an endpoint; a number holds up to all of it.
	Connections int `yaml:"connections"`
	// ConnectionsPerClient is how many one client may have open; more are
	// closed at once. Trusted proxies may have any number. 0, the default: no
	// limit.
	ConnectionsPerClient int `yaml:"connections_per_client"`
	// RequestsPerClient is how often each client may ask, over all its
	// connections; over: 429. An IPv6 client is a /64. Default: no limit.
	RequestsPerClient Rate `yaml:"requests_per_client"`
}

// DefaultListener returns the listener of a file that names none.
func DefaultListener() Listener {
	return Listener{
		Address:       ":8080",
		ProxyProtocol: ProxyOff,
		Timeouts:      ListenerTimeouts{Head: 10 * time.Second, Idle: 75 * time.Second},
		Limits:        ListenerLimits{HeadBytes: 64 * KiB, Fields: 128, URIBytes: 32 * KiB, MinBodyRate: 240},
	}
}

func (l *Listener) setDefaults() { *l = DefaultListener() }
