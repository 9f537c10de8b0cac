package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// The goroutines that may stay are the libraries': a rate limiter for each
// authority, a lock's keeper that sleeps for seconds, and the authority of the
// tests itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.(*VAImpl).processTasks"),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

// authority signs the certificates of a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
	last int64 // serial number
}

func newAuthority(t *testing.T) *authority {
	key := newKey(t, false)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, cert: cert, key: key, last: 1}
}

func newKey(t *testing.T, isRSA bool) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if isRSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// template is a certificate for some names that lives for 100 days.
func template(names ...string) *x509.Certificate {
	return &x509.Certificate{
		DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign returns a certificate with its chain, and its key, in PEM form.
func (a *authority) sign(c *x509.Certificate, key crypto.Signer) (chain, private []byte) {
	a.t.Helper()
	a.last++
	c.SerialNumber = big.NewInt(a.last)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	chain = append(encode("CERTIFICATE", der), a.pem()...)
	return chain, encode("PRIVATE KEY", raw)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (a *authority) pem() []byte { return encode("CERTIFICATE", a.cert.Raw) }

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// pair writes a certificate for names as NAME.pem and NAME.key into dir.
func (a *authority) pair(dir, file string, names ...string) Pair {
	a.t.Helper()
	chain, key := a.sign(template(names...), newKey(a.t, false))
	return writePair(a.t, dir, file, chain, key)
}

func writePair(t *testing.T, dir, file string, chain, key []byte) Pair {
	t.Helper()
	p := Pair{Cert: filepath.Join(dir, file+".pem"), Key: filepath.Join(dir, file+".key")}
	write(t, p.Cert, chain)
	write(t, p.Key, key)
	return p
}

// client returns a certificate for a client to show.
func (a *authority) client(name string) tls.Certificate {
	a.t.Helper()
	c := template(name)
	c.Subject.CommonName = name
	cert, err := tls.X509KeyPair(a.sign(c, newKey(a.t, false)))
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// keeper returns a keeper that ends with the test, and its log.
func keeper(t *testing.T, opt Options) (*Keeper, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	opt.Log = zap.New(core)
	k := NewKeeper(opt)
	t.Cleanup(k.Close)
	return k, logs
}

// open opens a source.
func open(t *testing.T, k *Keeper, c Config) *Source {
	t.Helper()
	s, err := k.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shake makes a handshake between a client and a server, with a byte each way, so
// that session tickets arrive, and returns what each saw of it.
func shake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	t.Helper()
	a, b := sockets(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { a.Close(); b.Close() })
	defer stop()
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(a, server)
		err := conn.Handshake()
		var one [1]byte
		if err == nil {
			_, err = conn.Write(one[:])
		}
		if err == nil {
			_, err = conn.Read(one[:])
		}
		a.Close()
		done <- err
	}()
	conn := tls.Client(b, client)
	var one [1]byte
	if clientErr = conn.Handshake(); clientErr == nil {
		_, clientErr = conn.Read(one[:])
	}
	if clientErr == nil {
		_, clientErr = conn.Write(one[:])
	}
	state = conn.ConnectionState()
	b.Close()
	return state, clientErr, <-done
}

// sockets returns the two ends of a connection.
func sockets(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if b, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if a, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// shown returns the first name of the certificate that a client is shown.
func shown(t *testing.T, s *Source, name string) string {
	t.Helper()
	state, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	return state.PeerCertificates[0].DNSNames[0]
}

// await waits for a condition.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come about", what)
		}
	}
}
