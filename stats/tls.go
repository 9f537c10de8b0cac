package stats

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Certificate is one that a TLS server shows.
type Certificate struct {
	Listener, Name string
	Expires        time.Time
}

// tlsCounts counts what goes wrong with TLS.
type tlsCounts struct {
	certificateFailures atomic.Uint64
	handshakeFailures   named
}

// CertificateReloadFailed counts changed certificates that could not be taken,
// and ones that could not be obtained.
func (r *Registry) CertificateReloadFailed() { r.process.tls.certificateFailures.Add(1) }

// HandshakeFailed counts a TLS handshake with a client that failed.
func (r *Registry) HandshakeFailed(listener string) { r.process.tls.handshakeFailures.count(listener) }

// tlsDescs describe the metrics of TLS.
type tlsDescs struct {
	expiry, reloadFailures, handshakeFailures *prometheus.Desc
}

func newTLSDescs(desc func(name, help string, labels ...string) *prometheus.Desc) tlsDescs {
	return tlsDescs{
		expiry:            desc("certificate_expiry_seconds", "When a certificate expires, in seconds since 1970.", "listener", "name"),
		reloadFailures:    desc("certificate_reload_failures_total", "Changed certificates that could not be taken, and ones that could not be obtained."),
		handshakeFailures: desc("tls_handshake_failures_total", "TLS handshakes with clients that failed.", "listener"),
	}
}

// all returns the descriptions.
func (d *tlsDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.expiry, d.reloadFailures, d.handshakeFailures}
}

// send sends the metrics.
func (d *tlsDescs) send(ch chan<- prometheus.Metric, r *Registry) {
	p := r.Process()
	count(ch, d.reloadFailures, p.CertificateFailures)
	for listener, n := range p.HandshakeFailures {
		count(ch, d.handshakeFailures, n, listener)
	}
	if r.opts.Certificates == nil {
		return
	}
	for _, c := range r.opts.Certificates() {
		gauge(ch, d.expiry, float64(c.Expires.Unix()), valid(c.Listener), valid(c.Name))
	}
}
