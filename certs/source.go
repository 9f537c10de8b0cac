package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Source is the certificates of one server.
type Source struct {
	keeper *Keeper
	config Config
	outer  *tls.Config // the one that connections hold; with the keys of session tickets
	inner  atomic.Pointer[tls.Config]
	acme   *manager // nil: certificates come from files alone

	loaded atomic.Pointer[loaded]

	// What follows is the goroutine's that follows the files.
	files   *contents         // that loaded was made from
	taken   [sha256.Size]byte // the sum of the newest files that were taken or refused
	pending [sha256.Size]byte // of those seen at the newest look, if they differ
	doubts  []string          // of each certificate, as logged
	stale   string            // why responses were not stapled, as logged
}

// newSource loads the files of a Config.
func newSource(k *Keeper, c Config) (*Source, error) {
	s := &Source{keeper: k, config: c, files: c.read()}
	s.taken = s.files.sum
	l, err := load(&s.config, s.files)
	if err != nil {
		return nil, err
	}
	s.loaded.Store(l)
	if c.ACME != nil {
		if s.acme, err = newManager(c.ACME, k.log, k.opt.Failed); err != nil {
			return nil, err
		}
	}
	s.serve()
	s.outer = s.inner.Load().Clone()
	s.outer.GetConfigForClient = s.configFor
	return s, nil
}

// TLS returns the configuration for the connections of a server. It stays the
// same while the certificates behind it change: so session tickets outlive such a
// change (a resumed session's client certificate is verified anew by the
// authorities in force).
func (s *Source) TLS() *tls.Config { return s.outer }

// Config returns what the source was opened with.
func (s *Source) Config() Config { return s.config }

// configFor returns what a handshake is led by. The validation of an ACME server
// asks for nothing but a certificate made for it, and gets no session ticket; its
// connection is of no other use (see IsChallenge).
func (s *Source) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.acme != nil && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == challengeProto {
		return s.acme.challenge, nil
	}
	return s.inner.Load(), nil
}

// serve puts what was loaded in force for the handshakes that begin from now on.
func (s *Source) serve() {
	l := s.loaded.Load()
	certs, faults := stapled(&s.config, l.certs, s.files, s.keeper.now())
	if err := errors.Join(faults...); err == nil {
		s.stale = ""
	} else if s.stale != err.Error() {
		s.stale = err.Error()
		s.keeper.log.Warn("an OCSP response is not stapled", zap.String("listener", s.config.Name), zap.Error(err))
	}
	choose := newChooser(certs)
	inner := &tls.Config{
		MinVersion: max(s.config.MinVersion, tls.VersionTLS12), CipherSuites: suites,
		NextProtos: s.config.NextProtos, Time: s.keeper.opt.Now,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return s.choose(choose, hello) },
	}
	if l.clientCAs != nil {
		inner.ClientCAs, inner.ClientAuth = l.clientCAs, tls.RequireAndVerifyClientCert
		if s.config.ClientAuth == Request {
			inner.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	s.inner.Store(inner)
}

// choose returns the certificate for a client: one from a file that has the name,
// one that ACME obtained, the first.
func (s *Source) choose(files *chooser, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if cert := files.named(hello); cert != nil {
		return cert, nil
	}
	if s.acme != nil && (files.first == nil || s.acme.manages(hello.ServerName)) {
		cert, err := s.acme.certificate(hello)
		if err == nil || files.first == nil {
			return cert, err
		}
	}
	return files.first, nil
}

// look compares the files with those taken, and takes what has changed. A change
// must be seen twice the same, so that what is still being written is not taken
// for whole: look returns false where it wants to look again.
func (s *Source) look() bool {
	files := s.config.read()
	switch files.sum {
	case s.taken:
		s.pending = s.taken
		return true
	case s.pending:
		s.taken = files.sum
		s.take(files)
		return true
	}
	s.pending = files.sum
	return false
}

// take puts changed files in force, or says why not.
func (s *Source) take(files *contents) {
	next, err := load(&s.config, files)
	if err != nil {
		s.keeper.opt.Failed()
		s.keeper.log.Error("the changed certificates are refused; those before stay in force",
			zap.String("listener", s.config.Name), zap.Error(err))
		return
	}
	s.loaded.Store(next)
	s.files, s.doubts = files, nil
	s.serve()
	names := make([]string, len(next.certs))
	for i, cert := range next.certs {
		names[i] = nameOf(cert.Leaf) + " until " + cert.Leaf.NotAfter.UTC().Format(time.RFC3339)
	}
	s.keeper.log.Info("the certificates were read anew", zap.String("listener", s.config.Name), zap.Strings("certificates", names))
}

// watchTime says once of each certificate that its end is near, or that it has
// come, and takes back OCSP responses that have run out.
func (s *Source) watchTime() {
	now := s.keeper.now()
	said, certs := s.doubts, s.loaded.Load().certs
	s.doubts = make([]string, len(certs))
	for i, cert := range certs {
		s.doubts[i] = doubt(cert.Leaf, now)
		if s.doubts[i] != "" && (i >= len(said) || said[i] != s.doubts[i]) {
			s.keeper.log.Warn("a doubt about a certificate", zap.String("listener", s.config.Name),
				zap.String("file", s.config.Pairs[i].Cert), zap.String("doubt", s.doubts[i]))
		}
	}
	for _, p := range s.config.Pairs {
		if p.OCSP != "" {
			s.serve()
			return
		}
	}
}

// expiries returns when each certificate ends.
func (s *Source) expiries() []Expiry {
	var all []Expiry
	add := func(leaf *x509.Certificate) {
		all = append(all, Expiry{s.config.Name, nameOf(leaf), leaf.NotAfter})
	}
	for _, cert := range s.loaded.Load().certs {
		add(cert.Leaf)
	}
	if s.acme != nil {
		s.acme.each(add)
	}
	return all
}
