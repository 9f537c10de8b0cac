package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a certificate for a name with its key, as web.pem and
// web.key in dir.
func certificate(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"web.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		"web.key": {Type: "PRIVATE KEY", Bytes: der},
		"web.pem": {Type: "CERTIFICATE", Bytes: cert},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// secure returns a client over TLS that believes any certificate, and tells
// whose it was shown last.
func secure(t *testing.T) (v *visitor, shown func() string) {
	v = stranger(t)
	var name string
	v.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(c tls.ConnectionState) error {
			name = c.PeerCertificates[0].Subject.CommonName
			return nil
		},
	}
	return v, func() string { return name }
}

func TestCertificatesAreReloadedWithoutDroppingAConnection(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, "first")
	const listener = `listeners: [{name: edge, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}]}}]`
	services := web(t, 100, 0)
	path := write(t, dir, listener, "state: {backend: memory}", services)
	s := start(t, path, Options{})
	s.watchFile()
	target := "https" + strings.TrimPrefix(s.url("", "/"), "http")
	v, shown := secure(t)
	b := v.browser()
	a := b.get(target)
	a.served(t, "v1")
	if c := a.header.Get("Set-Cookie"); shown() != "first" || !strings.HasSuffix(c, "; Secure") {
		t.Fatalf("shown %s, cookie %q", shown(), c)
	}
	var l load
	plain, _ := secure(t)
	l.run(plain, target)

	certificate(t, dir, "second")
	await(t, "the new certificate", func() bool {
		fresh, shown := secure(t)
		a, err := fresh.try(target)
		return err == nil && a.status == 200 && shown() == "second"
	})
	b.get(target).served(t, "v1")
	if shown() != "first" {
		t.Error("the old connection was dropped")
	}
	l.more(t)
	l.end(t)
}

func TestACertificateWithoutItsKeyRefusesTheReload(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, "first")
	const listener = `listeners: [{name: edge, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}]}}]`
	path := write(t, dir, listener, "state: {backend: memory}", web(t, 100, 0))
	s := start(t, path, Options{})
	if err := os.WriteFile(filepath.Join(dir, "web.key"), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.admin.Reload(t.Context())
	refused(t, err, 422, "the certificate cannot be used")
	v, shown := secure(t)
	v.get("https"+strings.TrimPrefix(s.url("", "/"), "http")).served(t, "v1")
	if shown() != "first" {
		t.Errorf("shown %s", shown())
	}
}
