package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"go.uber.org/zap"

	"sluice/proxy/sock"
)

// TLSConfig is how connections to endpoints are secured. The zero value trusts
// the system's authorities and shows no certificate. TLS 1.2 is the least.
type TLSConfig struct {
	// CA holds the authorities that are trusted instead of the system's, in PEM
	// form.
	CA []byte
	// ServerName is the name that is asked for (SNI) and that the certificate
	// must be for; "" is the endpoint's host, or "localhost" for a Unix socket.
	ServerName string
	// Cert and Key, both or neither, are what is shown to an endpoint that asks
	// for a certificate, in PEM form.
	Cert, Key []byte
}

// Equal reports whether two configurations are alike; both may be nil.
func (t *TLSConfig) Equal(u *TLSConfig) bool {
	if t == nil || u == nil {
		return t == u
	}
	return t.ServerName == u.ServerName &&
		bytes.Equal(t.CA, u.CA) && bytes.Equal(t.Cert, u.Cert) && bytes.Equal(t.Key, u.Key)
}

// sessions is how many sessions are kept for resumption by a version: more
// endpoints than one has, as a rule.
const sessions = 256

// client returns the library's configuration; nil for a nil t.
func (t *TLSConfig) client() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.ServerName,
		ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
	}
	if len(t.CA) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("TLS: the authorities hold no certificate in PEM form")
		}
	}
	if len(t.Cert) > 0 || len(t.Key) > 0 {
		pair, err := tls.X509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("TLS: the certificate that endpoints are shown can't be used: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// TLSError is returned, within a *DialError, when an endpoint was reached and
// no secure connection came of it: its certificate doesn't verify, say.
type TLSError struct{ Err error }

// Error says that it was the handshake.
func (e *TLSError) Error() string { return "TLS handshake: " + e.Err.Error() }

// Unwrap returns the library's error.
func (e *TLSError) Unwrap() error { return e.Err }

// connect opens a connection for a client's requests, within the context's time.
func (e *Endpoint) connect(ctx context.Context, w *way, from Origin) (*sock.Conn, error) {
	nc, err := e.reach(ctx, w, from)
	if err != nil {
		return nil, err
	}
	if w.tls == nil {
		return sock.New(nc), nil
	}
	c := sock.NewTLS(nc, tls.Client, e.named(w.tls))
	if err := e.handshake(ctx, c.NetConn().(*tls.Conn)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connectPlainly is connect for those who read and write by themselves, on no
// client's behalf.
func (e *Endpoint) connectPlainly(ctx context.Context, w *way) (net.Conn, error) {
	nc, err := e.reach(ctx, w, Origin{})
	if err != nil || w.tls == nil {
		return nc, err
	}
	t := tls.Client(nc, e.named(w.tls))
	if err := e.handshake(ctx, t); err != nil {
		nc.Close()
		return nil, err
	}
	return t, nil
}

// handshake makes a connection a secure one.
func (e *Endpoint) handshake(ctx context.Context, t *tls.Conn) error {
	err := t.HandshakeContext(ctx)
	if err != nil {
		err = &TLSError{err}
	}
	e.noteTLS(err)
	return err
}

// named returns the version's configuration with the name that this endpoint's
// certificate must be for.
func (e *Endpoint) named(config *tls.Config) *tls.Config {
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = e.serverName()
	}
	return config
}

// serverName is the name in the endpoint's certificate unless another is
// configured.
func (e *Endpoint) serverName() string {
	if e.network == "unix" {
		return "localhost"
	}
	host, _, _ := net.SplitHostPort(e.Authority)
	return host
}

// noteTLS logs that an endpoint's handshakes fail, once until one succeeds:
// every request would say the same.
func (e *Endpoint) noteTLS(err error) {
	switch {
	case errors.Is(err, context.Canceled): // the proxy's own doing
	case err == nil:
		if e.insecure.Load() {
			e.insecure.Store(false)
		}
	case !e.insecure.Swap(true):
		cfg := &e.cluster.view.Load().cfg
		e.cluster.log.Error("endpoint can't be spoken to securely",
			zap.String("service", cfg.Service), zap.String("version", cfg.Version), zap.String("endpoint", e.Address), zap.Error(err))
	}
}
