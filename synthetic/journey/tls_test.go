package journey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// certified is a certificate of a test's authority.
type certified struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue issues a certificate; an authority's where it has no names. With no
// issuer it signs itself.
func issue(t *testing.T, by *certified, name string, from, until time.Time, names ...string) *certified {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Sample Trust"}},
		NotBefore: from, NotAfter: until, DNSNames: names, BasicConstraintsValid: true, IsCA: len(names) == 0, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if template.IsCA {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certified{cert, key}
}

// listen takes connections and gives each to serve, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// serveTLS shows a chain; the first is the server's own.
func serveTLS(t *testing.T, config *tls.Config, chain ...*certified) string {
	pair := tls.Certificate{PrivateKey: chain[0].key}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.cert.Raw)
	}
	config.Certificates = []tls.Certificate{pair}
	return listen(t, func(c net.Conn) {
		conn := tls.Server(c, config)
		_ = conn.Handshake()
		_, _ = io.Copy(io.Discard, conn) // to its goodbye
	})
}

// shaking is a target that asks an address.
func shaking(address string, config *tls.Config) Target {
	return Target{Host: "shop.test:443", TLS: func(ctx context.Context, host string) (net.Conn, *tls.Config, error) {
		config := config.Clone()
		config.ServerName = host
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		return c, config, err
	}}
}

func hands(t TLS) Spec { return one(Step{TLS: &t}) }

func TestHandshakes(t *testing.T) {
	now, day := time.Now(), 24*time.Hour
	root := issue(t, nil, "Sample Root", now.Add(-day), now.Add(90*day))
	between := issue(t, root, "Sample Intermediate", now.Add(-day), now.Add(5*day+time.Hour))
	old := issue(t, root, "Old Intermediate", now.Add(-9*day), now.Add(-2*day))
	leaf := issue(t, root, "shop", now.Add(-day), now.Add(30*day+time.Hour), "shop.test", "*.shop.test")
	config := &tls.Config{NextProtos: []string{"h2", "http/1.1"}, RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(root.cert)
	plain := func() *tls.Config { return &tls.Config{} }

	good := serveTLS(t, &tls.Config{NextProtos: []string{"h2"}}, leaf)
	for _, c := range []struct {
		name    string
		address string
		step    TLS
		want    string // of the error; "": it passes
	}{
		{"all that can be asked", good, TLS{ServerName: "www.shop.test", Names: []string{"shop.test"}, Issuer: "Sample*", ValidFor: 30 * day, MinVersion: tls.VersionTLS13, ALPN: "h2"}, ""},
		{"nothing beside what is always asked", good, TLS{}, ""},
		{"an organization that issued it", good, TLS{Issuer: "Sample Trust"}, ""},
		{"a wrong name", good, TLS{ServerName: "other.test"}, "the certificate is not for other.test, but for shop.test, *.shop.test"},
		{"a further name", good, TLS{Names: []string{"api.test", "a.b.shop.test"}}, "the certificate is not for api.test, but for shop.test, *.shop.test; the certificate is not for a.b.shop.test, but for shop.test, *.shop.test"},
		{"another issuer", good, TLS{Issuer: "Other*"}, "the certificate was issued by CN=Sample Root,O=Sample Trust, not by Other*"},
		{"soon to expire", good, TLS{ValidFor: 31 * day}, "the certificate is good for 30 days more, less than 31 days"},
		{"another protocol", good, TLS{ALPN: "http/1.1"}, `the protocol agreed on is "h2", not "http/1.1"`},
		{"no protocol", serveTLS(t, plain(), leaf), TLS{ALPN: "h2"}, `the protocol agreed on is "", not "h2"`},
		{"an old version", serveTLS(t, &tls.Config{MaxVersion: tls.VersionTLS12}, leaf), TLS{MinVersion: tls.VersionTLS13}, "TLS 1.2 was agreed on, not TLS 1.3 or newer"},
		{"expired", serveTLS(t, plain(), issue(t, root, "shop", now.Add(-9*day), now.Add(-3*day-time.Hour), "shop.test")), TLS{}, "the certificate expired 3 days ago, at " + now.Add(-3*day-time.Hour).UTC().Format(time.RFC3339)},
		{"not good yet", serveTLS(t, plain(), issue(t, root, "shop", now.Add(day), now.Add(3*day), "shop.test")), TLS{}, "the certificate is good only from " + now.Add(day).UTC().Format(time.RFC3339) + " on"},
		{"expired and of a wrong name", serveTLS(t, plain(), issue(t, root, "shop", now.Add(-9*day), now.Add(-time.Hour), "x.test")), TLS{}, "the certificate is not for shop.test, but for x.test; the certificate expired 1h0m0s ago, at " + now.Add(-time.Hour).UTC().Format(time.RFC3339)},
		{"signed by itself", serveTLS(t, plain(), issue(t, nil, "shop", now.Add(-day), now.Add(day), "shop.test")), TLS{}, "the certificate is not trusted: x509: certificate signed by unknown authority"},
		{"without its intermediate", serveTLS(t, plain(), issue(t, between, "shop", now.Add(-day), now.Add(30*day), "shop.test")), TLS{}, "the certificate is not trusted: x509: certificate signed by unknown authority"},
		{"an intermediate that soon expires", serveTLS(t, plain(), issue(t, between, "shop", now.Add(-day), now.Add(30*day), "shop.test"), between), TLS{ValidFor: 14 * day}, "the certificate is good for 5 days more, less than 14 days"},
		{"an intermediate that has expired", serveTLS(t, plain(), issue(t, old, "shop", now.Add(-day), now.Add(30*day), "shop.test"), old), TLS{}, "the certificate is not trusted: x509: certificate has expired or is not yet valid"},
		{"no TLS", listen(t, func(c net.Conn) { fmt.Fprint(c, "220 mail.example.com ESMTP\r\n") }), TLS{}, "tls: first record does not look like a TLS handshake"},
		{"goes away", listen(t, func(net.Conn) {}), TLS{}, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := compiled(t, hands(c.step)).Run(t.Context(), shaking(c.address, config))
			s := res.Steps[0]
			if c.want == "" && (s.Err != nil || !strings.HasPrefix(s.Response, "TLS 1.3, TLS_AES_128_GCM_SHA256\nALPN: h2\nCertificate: CN=shop,O=Sample Trust\nNames: shop.test, *.shop.test\nIssuer: CN=Sample Root,O=Sample Trust\nValid: ")) {
				t.Errorf("%v\n%s", s.Err, s.Response)
			}
			if c.want != "" && (s.Err == nil || !strings.HasPrefix(s.Err.Error(), c.want) && !(c.name == "goes away" && strings.Contains(s.Err.Error(), "reset"))) {
				t.Errorf("got  %v\nwant %s", s.Err, c.want)
			}
			if name := strings.SplitN(s.Request, "\n", 2)[0]; !strings.HasPrefix(name, "TLS handshake for ") || strings.Contains(name, ":443") {
				t.Errorf("asked %q", s.Request)
			}
		})
	}
}

// Whoever takes a connection and then is silent costs the step's time and no more.
func TestHandshakeTimesOut(t *testing.T) {
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	step := hands(TLS{})
	step.Steps[0].Timeout = 30 * time.Millisecond
	if err := compiled(t, step).Run(t.Context(), shaking(silent, &tls.Config{})).Err; err == nil || err.Error() != "journey one, step only: no answer within 30ms" {
		t.Error(err)
	}
}

// A certificate may say anything; what is shown of it is short, and no terminal
// minds it.
func TestHostileCertificate(t *testing.T) {
	now := time.Now()
	names := make([]string, 2000)
	for i := range names {
		names[i] = fmt.Sprintf("name-%d.shop.test", i)
	}
	leaf := issue(t, nil, "\x1b[2J"+strings.Repeat("shop", 500), now.Add(-time.Hour), now.Add(time.Hour), names...)
	res := compiled(t, hands(TLS{Issuer: "x"})).Run(t.Context(), shaking(serveTLS(t, &tls.Config{}, leaf), &tls.Config{}))
	s := res.Steps[0]
	if s.Err == nil || !strings.HasPrefix(s.Err.Error(), "the certificate is not for shop.test, but for name-0.shop.test, name-1.shop.test") {
		t.Error(s.Err)
	}
	if n := len(s.Err.Error()) + len(s.Response); n > 8<<10 || strings.ContainsAny(s.Err.Error()+s.Response, "\x1b") {
		t.Errorf("%d bytes: %q", n, s.Response)
	}
}

func TestHandshakeWhereNoTLSIsSpoken(t *testing.T) {
	for _, target := range []Target{{}, {TLS: func(context.Context, string) (net.Conn, *tls.Config, error) { return nil, nil, ErrNoTLS }}} {
		if res := compiled(t, hands(TLS{})).Run(t.Context(), target); res.Err == nil || res.Err.Error() != "journey one, step only: no TLS is spoken there" {
			t.Error(res.Err)
		}
	}
}

// A handshake that is longer than it may be has failed, by the clock that is given.
func TestHandshakeLatency(t *testing.T) {
	now := time.Now()
	leaf := issue(t, nil, "shop", now.Add(-time.Hour), now.Add(time.Hour), "shop.test")
	target := shaking(serveTLS(t, &tls.Config{}, leaf), &tls.Config{})
	target.Now = func() time.Time { now = now.Add(time.Second); return now }
	spec := hands(TLS{CA: x509.NewCertPool()})
	spec.Steps[0].TLS.CA.AddCert(leaf.cert)
	spec.Steps[0].Expect.Latency = 500 * time.Millisecond
	var at *StepError
	if err := compiled(t, spec).Run(t.Context(), target).Err; !errors.As(err, &at) || at.Err.Error() != "took 1s, more than 500ms" {
		t.Error(err)
	}
}
