package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Doubt is something about a certificate that does not keep it from being
// served.
type Doubt struct {
	Pair int // its place in Config.Pairs
	Text string
}

// Check reports why a Config could not be served, and what is doubtful about its
// certificates at a moment. It starts nothing.
func Check(c Config, now time.Time) ([]Doubt, error) {
	files := c.read()
	s, err := load(&c, files)
	if err != nil {
		return nil, err
	}
	var doubts []Doubt
	for i, cert := range s.certs {
		if text := doubt(cert.Leaf, now); text != "" {
			doubts = append(doubts, Doubt{i, text})
		}
		if files.files[c.Pairs[i].Key].mode.Perm()&0o004 != 0 {
			doubts = append(doubts, Doubt{i, "the key " + c.Pairs[i].Key + " can be read by everyone on this machine"})
		}
		if path := c.Pairs[i].OCSP; path != "" {
			if _, err := staple(files.files[path], cert, now); err != nil {
				doubts = append(doubts, Doubt{i, fmt.Sprintf("OCSP response %s is not stapled: %v", path, err)})
			}
		}
	}
	return doubts, nil
}

// loaded is what a Config's files hold.
type loaded struct {
	certs     []*tls.Certificate // in the order of Pairs
	clientCAs *x509.CertPool     // nil: none
}

// load makes of files what a server needs. The error names every file that is
// wrong.
func load(c *Config, files *contents) (*loaded, error) {
	l := &loaded{}
	var errs []error
	for _, p := range c.Pairs {
		cert, err := loadPair(p, files)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		l.certs = append(l.certs, cert)
	}
	if c.ClientCA != "" {
		f := files.files[c.ClientCA]
		l.clientCAs = x509.NewCertPool()
		switch {
		case f.err != nil:
			errs = append(errs, fmt.Errorf("client CA %s: %w", c.ClientCA, f.err))
		case !l.clientCAs.AppendCertsFromPEM(f.data):
			errs = append(errs, fmt.Errorf("client CA %s: it holds no certificate in PEM form", c.ClientCA))
		}
	}
	if len(c.Pairs) == 0 && c.ACME == nil {
		errs = append(errs, errors.New("there is no certificate"))
	}
	return l, errors.Join(errs...)
}

// loadPair makes a certificate of its two files.
func loadPair(p Pair, files *contents) (*tls.Certificate, error) {
	chain, key := files.files[p.Cert], files.files[p.Key]
	switch {
	case chain.err != nil:
		return nil, fmt.Errorf("certificate %s: %w", p.Cert, chain.err)
	case key.err != nil:
		return nil, fmt.Errorf("key %s: %w", p.Key, key.err)
	case encrypted(key.data):
		return nil, fmt.Errorf("key %s: it is encrypted; want one without a passphrase, which nobody could enter here", p.Key)
	}
	cert, err := tls.X509KeyPair(chain.data, key.data)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with the key %s: %s", p.Cert, p.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &cert, nil
}

// encrypted reports whether a key asks for a passphrase.
func encrypted(key []byte) bool {
	block, _ := pem.Decode(key)
	return block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"))
}

// staple returns a response that may be stapled to a certificate at a moment. A
// client that gets one of another certificate, or one that is out of date, breaks
// off.
func staple(f content, cert *tls.Certificate, now time.Time) (*ocsp.Response, error) {
	if f.err != nil {
		return nil, f.err
	}
	if len(cert.Certificate) < 2 {
		return nil, errors.New("the certificate's file holds no issuer to verify it by")
	}
	issuer, err := x509.ParseCertificate(cert.Certificate[1])
	if err != nil {
		return nil, err
	}
	r, err := ocsp.ParseResponseForCert(f.data, cert.Leaf, issuer)
	switch {
	case err != nil:
		return nil, err
	case r.Status != ocsp.Good:
		return nil, errors.New("it does not say that the certificate is good")
	case now.Before(r.ThisUpdate):
		return nil, fmt.Errorf("it is valid only from %s", r.ThisUpdate.Format(time.RFC3339))
	case !r.NextUpdate.IsZero() && !now.Before(r.NextUpdate):
		return nil, fmt.Errorf("it was valid until %s", r.NextUpdate.Format(time.RFC3339))
	}
	return r, nil
}

// soonest and soonPart say from when on a certificate's end is a doubt: 14 days
// before it, or the last tenth of a short life. Whatever renews certificates
// should have done so by then: ACME clients do when a third is left.
const (
	soonest  = 14 * 24 * time.Hour
	soonPart = 10
)

// doubt says what is wrong with a certificate's time at a moment; "": nothing.
func doubt(leaf *x509.Certificate, now time.Time) string {
	soon := min(soonest, leaf.NotAfter.Sub(leaf.NotBefore)/soonPart)
	when, name := "", nameOf(leaf)
	switch {
	case now.After(leaf.NotAfter):
		when = "expired on " + leaf.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(leaf.NotBefore):
		when = "is valid only from " + leaf.NotBefore.UTC().Format(time.RFC3339)
	case leaf.NotAfter.Sub(now) < soon:
		when = "expires on " + leaf.NotAfter.UTC().Format(time.RFC3339)
	default:
		return ""
	}
	return "the certificate of " + name + " " + when
}

// nameOf returns the first name that a certificate is for.
func nameOf(leaf *x509.Certificate) string {
	name := leaf.Subject.CommonName
	switch {
	case len(leaf.DNSNames) > 0:
		name = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		name = leaf.IPAddresses[0].String()
	}
	if name == "" {
		name = "serial " + leaf.SerialNumber.Text(16)
	}
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "?")
}
