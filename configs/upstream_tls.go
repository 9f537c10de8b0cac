package configs

import (
	"crypto/tls"
	"crypto/x509"
)

// UpstreamTLS is how connections to endpoints are secured. Present, though
// empty, it means TLS with the system's authorities and the endpoint's host as
// the name in its certificate.
type UpstreamTLS struct {
	// CA is a PEM file of the authorities that are trusted instead of the
	// system's.
	CA string `yaml:"ca"`
	// ServerName is asked for (SNI) and must be in the certificate; default: the
	// endpoint's host.
	ServerName string `yaml:"server_name"`
	// Cert and Key are PEM files of what endpoints are shown that ask for a
	// certificate; both or neither.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// What the files hold, as read by Load: a change of theirs is a change of the
	// configuration.
	CAPEM   []byte `yaml:"-"`
	CertPEM []byte `yaml:"-"`
	KeyPEM  Secret `yaml:"-"`
}

// completeUpstreamTLS joins the paths to the file's directory. The protocol h2
// is over TLS, also where the file says no more of it.
func (f *File) completeUpstreamTLS(u *Upstream) {
	if u.TLS == nil {
		if u.Protocol == H2 {
			u.TLS = &UpstreamTLS{}
		}
		return
	}
	t := u.TLS
	f.beside(&t.CA)
	f.beside(&t.Cert)
	f.beside(&t.Key)
}

// upstreamTLS reads and checks what connections to endpoints are secured with.
func (c *checker) upstreamTLS(path string, t *UpstreamTLS) {
	if t == nil {
		return
	}
	if t.ServerName != "" && !isHost(t.ServerName) {
		c.fail(path+".server_name", "want a host such as web.internal", "%s is not a host", quote(t.ServerName))
	}
	var ok bool
	if t.CA != "" {
		if t.CAPEM, ok = c.read(path+".ca", t.CA, maxPEM); ok && !x509.NewCertPool().AppendCertsFromPEM(t.CAPEM) {
			c.fail(path+".ca", "want certificates in PEM form", "%s holds no certificate", quote(t.CA))
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		c.fail(path, "give both cert and key, or neither", "a certificate needs both cert and key")
		return
	}
	if t.Cert == "" {
		return
	}
	t.CertPEM, ok = c.read(path+".cert", t.Cert, maxPEM)
	key, okKey := c.read(path+".key", t.Key, maxPEM)
	t.KeyPEM = Secret{string(key)}
	if !ok || !okKey {
		return
	}
	if _, err := tls.X509KeyPair(t.CertPEM, key); err != nil {
		c.fail(path, "want a certificate and its own key, both in PEM form", "the certificate cannot be used: %v", err)
	}
}
