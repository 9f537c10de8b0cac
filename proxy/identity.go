package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"

	"sluice/proxy/h1"
)

// clientIdentity is the field that tells an endpoint whose certificate the
// client has shown. No client can send it: it is taken away from all but
// trusted proxies, and from those that have a certificate of their own.
const clientIdentity = "Sluice-Client-Identity"

// maxIdentity bounds an identity's length in bytes; one that is longer names
// nobody.
const maxIdentity = 1 << 10

// identify writes, once for a connection, the fields that say whose certificate
// it has: an identity, and the certificate itself (Client-Cert, RFC 9440) where
// the listener forwards it. Only a certificate that was verified counts.
func (p *peer) identify(state *tls.ConnectionState) {
	if len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return
	}
	leaf := state.VerifiedChains[0][0]
	p.certified = true
	if name := identityOf(leaf); name != "" {
		p.identity = h1.AppendField(p.identity, clientIdentity, name)
	}
	if p.listener.ForwardCertificate {
		p.identity = append(p.identity, "Client-Cert: :"...)
		p.identity = base64.StdEncoding.AppendEncode(p.identity, leaf.Raw)
		p.identity = append(p.identity, ':')
		p.identity = append(p.identity, h1.CRLF...)
	}
}

// identityOf returns who a certificate is for: its first URI (as of SPIFFE), DNS
// name or e-mail address, or its subject's common name, escaped for a field;
// "" where it has none.
func identityOf(leaf *x509.Certificate) string {
	var name string
	switch {
	case len(leaf.URIs) > 0:
		name = escapeIdentity(leaf.URIs[0].String(), true)
	case len(leaf.DNSNames) > 0:
		name = escapeIdentity(leaf.DNSNames[0], false)
	case len(leaf.EmailAddresses) > 0:
		name = escapeIdentity(leaf.EmailAddresses[0], false)
	default:
		name = escapeIdentity(leaf.Subject.CommonName, false)
	}
	if len(name) > maxIdentity {
		return ""
	}
	return name
}

// escapeIdentity writes all that is not printable ASCII as %XX, and the % itself,
// so that no two names come to read alike; not that of a URI, which has such
// escapes of its own.
func escapeIdentity(name string, isURI bool) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(name))
	for i := range len(name) {
		if c := name[i]; c > ' ' && c < 0x7F && (c != '%' || isURI) {
			out = append(out, c)
		} else {
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
	}
	return string(out)
}

// vouches reports whether the peer is believed when it says whose certificate
// its client has: a trusted proxy that shows none of its own.
func (p *peer) vouches() bool { return p.trusted && !p.certified }
