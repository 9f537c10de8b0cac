package certs

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"
)

// chooser finds a certificate by the name that a client asks for: an exact name,
// then a wildcard, then the first. It never changes.
type chooser struct {
	first    *tls.Certificate // nil: there is none
	exact    map[string][]*tls.Certificate
	wildcard map[string][]*tls.Certificate // by what follows "*."
}

// newChooser lists certificates by their names; of several for one name the
// earlier come first. A certificate whose OCSP response is valid gets it.
func newChooser(certs []*tls.Certificate) *chooser {
	c := &chooser{exact: map[string][]*tls.Certificate{}, wildcard: map[string][]*tls.Certificate{}}
	for i, cert := range certs {
		if i == 0 {
			c.first = cert
		}
		for _, name := range cert.Leaf.DNSNames {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			if parent, ok := strings.CutPrefix(name, "*."); ok {
				c.wildcard[parent] = append(c.wildcard[parent], cert)
			} else {
				c.exact[name] = append(c.exact[name], cert)
			}
		}
	}
	return c
}

// named returns the certificate for the name in a hello; nil: none has it.
func (c *chooser) named(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName) // allocates for capital letters alone
	if found := c.exact[name]; len(found) > 0 {
		return supported(found, hello)
	}
	// A wildcard stands for one label (RFC 9525, section 6.3).
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		if found := c.wildcard[name[dot+1:]]; len(found) > 0 {
			return supported(found, hello)
		}
	}
	return nil
}

// supported returns the first certificate that a client can verify, as where a
// name has one with an RSA key and one with an ECDSA key. A client that supports
// none gets the first, and a handshake that says why it fails.
func supported(found []*tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(found) > 1 {
		for _, cert := range found {
			if hello.SupportsCertificate(cert) == nil {
				return cert
			}
		}
	}
	return found[0]
}

// stapled returns certificates with the responses of their files, as far as
// those are valid at a moment. The given ones are left as they are: handshakes
// use them.
func stapled(c *Config, certs []*tls.Certificate, files *contents, now time.Time) (with []*tls.Certificate, faults []error) {
	for i, cert := range certs {
		if path := c.Pairs[i].OCSP; path != "" {
			copied := *cert
			copied.OCSPStaple = nil
			if _, err := staple(files.files[path], cert, now); err != nil {
				faults = append(faults, fmt.Errorf("OCSP response %s: %w", path, err))
			} else {
				copied.OCSPStaple = files.files[path].data
			}
			cert = &copied
		}
		with = append(with, cert)
	}
	return with, faults
}
