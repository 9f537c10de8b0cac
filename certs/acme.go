package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

// ACME says which certificates are obtained by ACME (RFC 8555), and from whom.
type ACME struct {
	Domains   []string // without wildcards, which need a challenge in the DNS; at least one
	Email     string   // of the account, for the authority's warnings; "": none
	Directory string   // the authority's URL; "": Let's Encrypt
	Storage   string   // the directory of account, keys and certificates
	CARoot    string   // a PEM file that verifies the authority's server; "": those of the system
	HTTP      bool     // prove control by HTTP-01 (RFC 8555, section 8.3), not TLS-ALPN-01 (RFC 8737)
}

// challengeProto is what a validation by TLS-ALPN-01 negotiates.
const challengeProto = "acme-tls/1"

// IsChallenge reports whether a connection was made to validate a domain. It
// must not be used for anything else: no client certificate was asked for.
func IsChallenge(negotiated string) bool { return negotiated == challengeProto }

// loadTime bounds how long a start waits for certificates from storage.
const loadTime = 5 * time.Second

// stopTime bounds how long a stop waits for the library.
const stopTime = 2 * time.Second

// noEmail is an account without an address, as the library trims it. Where it is
// given "", the library looks for an address among the accounts in its storage,
// and takes the directory of one that another goroutine is just writing for an
// address ("default"), which the authority refuses; it would also borrow the
// address of another listener's account.
const noEmail = " "

// manager obtains and renews the certificates of one server. The library does
// the work; what it keeps is under ACME.Storage.
type manager struct {
	domains   []string
	cache     *certmagic.Cache
	config    *certmagic.Config
	issuer    *certmagic.ACMEIssuer
	challenge *tls.Config // for validations
	ctx       context.Context
	cancel    context.CancelFunc
	began     sync.Once
}

// newManager returns a manager with what its storage has. It asks nobody for
// anything until start.
func newManager(a *ACME, log *zap.Logger, failed func()) (*manager, error) {
	m := &manager{domains: slices.Clone(a.Domains)}
	log = log.Named("acme").WithOptions(zap.IncreaseLevel(zap.InfoLevel)) // its debug lines are several a handshake
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return m.config, nil }, Logger: log,
	})
	m.config = certmagic.New(m.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: a.Storage}, Logger: log,
		DefaultServerName: m.domains[0], FallbackServerName: m.domains[0],
		OnEvent: func(_ context.Context, event string, _ map[string]any) error {
			if event == "cert_failed" {
				failed()
			}
			return nil
		},
	})
	template := certmagic.ACMEIssuer{
		CA: a.Directory, Email: a.Email, Agreed: true, Logger: log,
		DisableHTTPChallenge: !a.HTTP, DisableTLSALPNChallenge: a.HTTP,
		DisableDistributedSolvers: true, // this process listens, and nobody else answers for it
	}
	if template.CA == "" {
		template.CA = certmagic.LetsEncryptProductionCA
	}
	if template.Email == "" {
		template.Email = noEmail
	}
	var err error
	if template.TrustedRoots, err = roots(a.CARoot); err != nil {
		m.cache.Stop()
		return nil, err
	}
	m.issuer = certmagic.NewACMEIssuer(m.config, template)
	m.config.Issuers = []certmagic.Issuer{m.issuer}
	m.challenge = &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: []string{challengeProto},
		GetCertificate: m.answer, SessionTicketsDisabled: true,
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.restore()
	return m, nil
}

// roots reads the certificates that an authority's server is verified by.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	f := readFile(file)
	if f.err != nil {
		return nil, fmt.Errorf("CA root %s: %w", file, f.err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(f.data) {
		return nil, fmt.Errorf("CA root %s: it holds no certificate in PEM form", file)
	}
	return pool, nil
}

// restore takes the certificates that were obtained before. Those that are not
// there or cannot be read are obtained later.
func (m *manager) restore() {
	ctx, cancel := context.WithTimeout(m.ctx, loadTime)
	defer cancel()
	for _, domain := range m.domains {
		_, _ = m.config.CacheManagedCertificate(ctx, domain)
	}
}

// start begins to obtain and renew certificates. The server listens at addr
// already, or for HTTP-01 a plain one does: where nobody listened, the library
// would.
func (m *manager) start(addr net.Addr) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return errors.New("ACME needs a listener that can be reached over TCP")
	}
	var err error
	m.began.Do(func() {
		m.issuer.ListenHost = tcp.IP.String()
		m.issuer.AltTLSALPNPort, m.issuer.AltHTTPPort = tcp.Port, tcp.Port
		err = m.config.ManageAsync(m.ctx, m.domains)
	})
	return err
}

// stop ends what start began. It does not wait long for an authority that hangs.
func (m *manager) stop() {
	m.cancel()
	done := make(chan struct{})
	go func() {
		m.cache.Stop()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(stopTime):
	}
}

// manages reports whether a name is one of the manager's.
func (m *manager) manages(name string) bool {
	return slices.Contains(m.domains, strings.ToLower(name))
}

// certificate returns the certificate for a name, or for another name the one of
// the first domain.
func (m *manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := m.config.GetCertificate(hello)
	if err != nil {
		return nil, fmt.Errorf("certs: no certificate was obtained yet: %w", err)
	}
	return cert, nil
}

// errNoChallenge is returned to a handshake that validates nothing.
var errNoChallenge = errors.New("certs: nobody waits for a validation of this name")

// answer returns the certificate that a validation of a name asks for. The
// library would log an error for each stranger who asks in vain.
func (m *manager) answer(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if _, ok := certmagic.GetACMEChallenge(strings.ToLower(hello.ServerName)); !ok {
		return nil, errNoChallenge
	}
	return m.config.GetCertificate(hello)
}

// each calls f for every certificate that there is.
func (m *manager) each(f func(*x509.Certificate)) {
	for _, domain := range m.domains {
		for _, cert := range m.cache.AllMatchingCertificates(domain) {
			if cert.Leaf != nil {
				f(cert.Leaf)
			}
		}
	}
}

// Manage begins to obtain and renew the certificates of a source with ACME, once;
// for others it does nothing. Validations must reach addr, where its server
// listens, or for HTTP-01 a plain one that asks Challenge.
func (s *Source) Manage(addr net.Addr) error {
	if s.acme == nil {
		return nil
	}
	if err := s.acme.start(addr); err != nil {
		return fmt.Errorf("listener %s: %w", s.config.Name, err)
	}
	return nil
}

// Challenge answers a validation by HTTP-01 of a domain, of whatever source; ok
// tells whether there is one with that path.
func Challenge(host, path string) (body string, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	c, ok := certmagic.GetACMEChallenge(strings.ToLower(host))
	if !ok || c.Type != acme.ChallengeTypeHTTP01 || c.HTTP01ResourcePath() != path {
		return "", false
	}
	return c.KeyAuthorization, true
}
