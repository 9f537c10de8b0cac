package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// clientCert signs itself; a server that has it as an authority takes it.
func clientCert(t *testing.T, template x509.Certificate) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(2)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// forged are fields that a client may not send.
var forged = []string{"Sluice-Client-Identity: root", "client-cert: :AAAA:", "Client-Cert-Chain: :AAAA:", "Connection: close, Sluice-Client-Identity"}

// TestClientIdentity: the endpoint hears whose certificate was verified, once,
// and nothing of what clients say about that.
func TestClientIdentity(t *testing.T) {
	t.Parallel()
	server, clientTLS := tlsConfigs(t)
	cert, pool := clientCert(t, x509.Certificate{DNSNames: []string{"ci.example"}})
	for _, c := range []struct {
		name     string
		shows    bool
		trusted  bool
		identity string // "": none
		cert     string
	}{
		{"a client with a certificate", true, false, "ci.example", ":" + base64.StdEncoding.EncodeToString(cert.Certificate[0]) + ":"},
		{"a client without one", false, false, "", ""},
		{"a proxy with one", true, true, "ci.example", ":" + base64.StdEncoding.EncodeToString(cert.Certificate[0]) + ":"},
		{"a proxy without one", false, true, "root", ":AAAA:"},
	} {
		b := newRecorder(t, nil)
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
			if c.trusted {
				trust("127.0.0.0/8")(r)
			}
			r.listener.TLS = server.Clone()
			r.listener.TLS.ClientCAs, r.listener.TLS.ClientAuth = pool, tls.VerifyClientCertIfGiven
			r.listener.ForwardCertificate = true
		})
		config := clientTLS.Clone()
		if c.shows {
			config.Certificates = []tls.Certificate{cert}
		}
		conn := r.dialTLS(config)
		io.WriteString(conn, get("/", forged...))
		if answer := readAll(t, conn); statuses(answer) != "200" {
			t.Errorf("%s: answered %q", c.name, answer)
		}
		m := b.one()
		if m.get("Sluice-Client-Identity") != c.identity || m.get("Client-Cert") != c.cert || c.identity != "root" && m.has("Client-Cert-Chain") {
			t.Errorf("%s: the endpoint saw %q, %.30q", c.name, m.get("Sluice-Client-Identity"), m.get("Client-Cert"))
		}
	}
}

func TestClientIdentityOverPlainHTTP(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	if s := statuses(r.exchangeRaw(get("/", forged...))); s != "200" {
		t.Errorf("answered %s", s)
	}
	if m := b.one(); m.has("Sluice-Client-Identity") || m.has("Client-Cert") || m.has("Client-Cert-Chain") {
		t.Errorf("the endpoint saw %v", m)
	}
}

func TestIdentityOf(t *testing.T) {
	spiffe := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/ns/a%b"}
	for _, c := range []struct {
		leaf x509.Certificate
		want string
	}{
		{x509.Certificate{URIs: []*url.URL{spiffe}, DNSNames: []string{"a"}}, "spiffe://example.org/ns/a%25b"},
		{x509.Certificate{DNSNames: []string{"a.example", "b.example"}, EmailAddresses: []string{"c"}}, "a.example"},
		{x509.Certificate{EmailAddresses: []string{"c@example"}, Subject: pkix.Name{CommonName: "d"}}, "c@example"},
		{x509.Certificate{Subject: pkix.Name{CommonName: "Jürgen 100%\r\nX: y"}}, "J%C3%BCrgen%20100%25%0D%0AX:%20y"},
		{x509.Certificate{Subject: pkix.Name{CommonName: "a%20b"}}, "a%2520b"},
		{x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("x", maxIdentity)}}, strings.Repeat("x", maxIdentity)},
		{x509.Certificate{Subject: pkix.Name{CommonName: strings.Repeat("x", maxIdentity+1)}}, ""},
		{x509.Certificate{}, ""},
	} {
		if got := identityOf(&c.leaf); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
