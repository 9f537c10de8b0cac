package journey

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// TLS is a handshake, and what it must show. The certificate is always verified:
// its chain, its dates, and that it is for the name that was asked for.
type TLS struct {
	ServerName string         // asked for (SNI); "": as Target.TLS says
	CA         *x509.CertPool // the authorities to trust; nil: as Target.TLS says
	Names      []string       // further names that the certificate must be for
	Issuer     string         // common name or organization; "abc*": a prefix; "": any
	ValidFor   time.Duration  // the least that all certificates of the chain are good for
	MinVersion uint16         // as of crypto/tls; 0: any
	ALPN       string         // the protocol that must be agreed on; "": any, or none
}

// ErrNoTLS is returned by Target.TLS where no TLS is spoken.
var ErrNoTLS = errors.New("no TLS is spoken there")

// handshake makes the handshake of a step and judges it.
func (r *run) handshake(ctx context.Context, s *step) (res StepResult) {
	if r.target.TLS == nil {
		return StepResult{Err: ErrNoTLS}
	}
	began := r.target.Now()
	nc, config, err := r.target.TLS(ctx, cmp.Or(s.TLS.ServerName, hostname(r.host)))
	if err != nil {
		return StepResult{Err: err}
	}
	defer nc.Close()
	config = s.TLS.client(config)
	res.Request = r.show(fmt.Sprintf("TLS handshake for %s\nALPN: %s\n", config.ServerName, cmp.Or(strings.Join(config.NextProtos, ", "), "none")), nil, false)
	conn := tls.Client(nc, config)
	if res.Err = conn.HandshakeContext(ctx); res.Err != nil {
		return res
	}
	took, state := r.target.Now().Sub(began), conn.ConnectionState()
	_ = conn.Close() // says goodbye; all is known
	res.Response = r.show(showTLS(&state, r.target.Now()), nil, false)
	res.Err = s.TLS.check(&state, config, r.target.Now())
	if limit := s.Expect.Latency; limit > 0 && took > limit {
		res.Err = errors.Join(res.Err, fmt.Errorf("took %v, more than %v", took.Round(time.Millisecond), limit))
	}
	return res
}

// client returns the configuration that a handshake is made with. It verifies
// nothing by itself, so that what was shown can be told of, good or not.
func (t *TLS) client(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.InsecureSkipVerify, config.VerifyConnection, config.VerifyPeerCertificate = true, nil, nil
	config.ClientSessionCache = nil // a resumed session shows no certificate anew
	config.ServerName = cmp.Or(t.ServerName, config.ServerName)
	if t.CA != nil {
		config.RootCAs = t.CA
	}
	if t.ALPN != "" && !slices.Contains(config.NextProtos, t.ALPN) {
		config.NextProtos = []string{t.ALPN}
	}
	return config
}

// check reports in what a handshake isn't as expected.
func (t *TLS) check(state *tls.ConnectionState, config *tls.Config, now time.Time) error {
	errs := []error{t.checkCertificates(state.PeerCertificates, config, now)}
	if state.Version < t.MinVersion {
		errs = append(errs, fmt.Errorf("%s was agreed on, not %s or newer", tls.VersionName(state.Version), tls.VersionName(t.MinVersion)))
	}
	if got := state.NegotiatedProtocol; t.ALPN != "" && got != t.ALPN {
		errs = append(errs, fmt.Errorf("the protocol agreed on is %q, not %q", got, t.ALPN))
	}
	return errors.Join(errs...)
}

func (t *TLS) checkCertificates(shown []*x509.Certificate, config *tls.Config, now time.Time) error {
	leaf := shown[0] // a TLS server shows one at least
	var errs []error
	for _, name := range append([]string{config.ServerName}, t.Names...) {
		if leaf.VerifyHostname(name) != nil {
			errs = append(errs, fmt.Errorf("the certificate is not for %s, but for %s", name, listed(namesOf(leaf), 5)))
		}
	}
	if t.Issuer != "" && !isIssuer(leaf, t.Issuer) {
		errs = append(errs, fmt.Errorf("the certificate was issued by %s, not by %s", excerpt(leaf.Issuer.String()), t.Issuer))
	}
	return errors.Join(append(errs, t.checkDates(shown, config, now))...)
}

// checkDates checks what time decides, and the chain, which is of no interest
// once the certificate itself is out of date.
func (t *TLS) checkDates(shown []*x509.Certificate, config *tls.Config, now time.Time) error {
	leaf := shown[0]
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("the certificate expired %s ago, at %s", days(now.Sub(leaf.NotAfter)), leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("the certificate is good only from %s on", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	more := x509.NewCertPool()
	for _, c := range shown[1:] {
		more.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: more, CurrentTime: now})
	if err != nil {
		return fmt.Errorf("the certificate is not trusted: %w", err)
	}
	var best time.Time // until which a chain holds, of the one that holds longest
	for _, chain := range chains {
		until := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
		if until.After(best) {
			best = until
		}
	}
	if left := best.Sub(now); left < t.ValidFor {
		return fmt.Errorf("the certificate is good for %s more, less than %s", days(left), days(t.ValidFor))
	}
	return nil
}

func isIssuer(leaf *x509.Certificate, pattern string) bool {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	return slices.ContainsFunc(append([]string{leaf.Issuer.CommonName}, leaf.Issuer.Organization...), func(s string) bool {
		return s == pattern || isPrefix && strings.HasPrefix(s, prefix)
	})
}

// showTLS tells what a handshake came to.
func showTLS(state *tls.ConnectionState, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\nALPN: %s\n", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), cmp.Or(state.NegotiatedProtocol, "none"))
	for _, c := range state.PeerCertificates {
		left := "expired " + days(now.Sub(c.NotAfter)) + " ago"
		if c.NotAfter.After(now) {
			left = days(c.NotAfter.Sub(now)) + " left"
		}
		fmt.Fprintf(&b, "Certificate: %s\nNames: %s\nIssuer: %s\nValid: %s to %s, %s\n", c.Subject, listed(namesOf(c), 20), c.Issuer,
			c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), left)
	}
	return b.String()
}

func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// listed joins the first names of a list, which may be of any length.
func listed(names []string, most int) string {
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	return cmp.Or(excerpt(strings.Join(names, ", ")), "none") + more
}

// days writes a time as people speak of certificates.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// hostname returns a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
