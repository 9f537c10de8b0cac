//lint:file-ignore SA1019 what net/http offers instead (Transport.NewClientConn) sends requests before it has the endpoint's settings, and cannot be made to wait for them

package upstream

import (
	"crypto/tls"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// way is in what a version's endpoints are spoken to. Connections remember the
// one that they were opened in, and serve under no other.
type way struct {
	tls    *tls.Config      // nil: plain text
	http2  *http2.Transport // nil: HTTP/1.1
	header ProxyHeader      // that comes before all else
}

// newWay returns the way that a configuration asks for: the old one, with its
// TLS sessions, if nothing about it has changed.
func newWay(cfg, old *Config, before *way) (*way, error) {
	if before != nil && cfg.HTTP2 == old.HTTP2 && cfg.IdleTimeout == old.IdleTimeout && cfg.ProxyProtocol == old.ProxyProtocol && cfg.TLS.Equal(old.TLS) {
		return before, nil
	}
	w := &way{header: cfg.ProxyProtocol}
	var err error
	if w.tls, err = cfg.TLS.client(); err != nil {
		return nil, err
	}
	if !cfg.HTTP2 {
		return w, nil
	}
	if w.tls != nil {
		w.tls.NextProtos = []string{http2.NextProtoTLS}
	}
	w.http2, err = newTransport(cfg)
	return w, err
}

// Bounds of what an endpoint may make the proxy hold over HTTP/2.
const (
	// streamWindow is how many bytes of a response may wait for a client that is
	// slow to take them. It is worth 250 MB/s at a round trip of a millisecond.
	streamWindow = 256 << 10
	// maxFields is how long the fields of a response, or its trailers, may be: as
	// long as an HTTP/1.1 head.
	maxFields = 64 << 10
)

// writeStall is how long an endpoint may take nothing at all from a connection
// that many requests share.
const writeStall = 30 * time.Second

// newTransport returns the library's settings for connections. It sends no pings
// of its own: gRPC servers take them for abuse where a stream is silent (grpc's
// keepalive.EnforcementPolicy), and TCP has its keep-alive.
func newTransport(cfg *Config) (*http2.Transport, error) {
	limits := &http.Transport{HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow}}
	t, err := http2.ConfigureTransports(limits)
	if err != nil {
		return nil, err
	}
	t.AllowHTTP, t.DisableCompression = true, true
	t.IdleConnTimeout, t.WriteByteTimeout, t.MaxHeaderListSize = cfg.IdleTimeout, writeStall, maxFields
	return t, nil
}
