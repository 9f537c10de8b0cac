package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// authority issues certificates for tests.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate and its key in PEM form, for names and addresses.
func (a *authority) issue(names ...string) (cert, key []byte) {
	k := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// serverConfig returns a TLS server's configuration for names.
func (a *authority) serverConfig(names ...string) *tls.Config {
	pair, err := tls.X509KeyPair(a.issue(names...))
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// serveTLS is serve over TLS.
func serveTLS(t testing.TB, network, address string, config *tls.Config) *server {
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, network, tls.NewListener(l, config))
}

func TestTLSConnectionIsReused(t *testing.T) {
	a := newAuthority(t)
	for _, s := range []*server{
		serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1")),
		serveTLS(t, "tcp", "[::1]:0", a.serverConfig("::1")),
		serveTLS(t, "unix", socketPath(t), a.serverConfig("localhost")),
	} {
		cfg := quietly(s)
		cfg.TLS = &TLSConfig{CA: a.pem}
		c := start(t, cfg, Deps{})
		for i := range 3 {
			conn := acquire(t, c, Acquire{Check: true})
			if conn.Reused != (i > 0) {
				t.Errorf("%s: connection %d: reused %v", s.address, i, conn.Reused)
			}
			mustEcho(t, conn)
			conn.Release(Reusable)
		}
		if n := s.accepted.Load(); n != 1 {
			t.Errorf("%s: %d connections, want 1", s.address, n)
		}
	}
}

// A server that hangs up between two requests costs no request.
func TestClosedTLSConnectionIsReplaced(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1"))
	cfg := quietly(s)
	cfg.TLS = &TLSConfig{CA: a.pem}
	c := start(t, cfg, Deps{})
	conn := acquire(t, c, Acquire{})
	mustEcho(t, conn)
	conn.Release(Reusable)
	s.hangUp()
	await(t, "the end of the connection", func() bool { return !conn.Quiet() })
	next := acquire(t, c, Acquire{Check: true})
	defer next.Release(Done)
	if next.Reused {
		t.Fatal("a dead connection was given out")
	}
	mustEcho(t, next)
}

func TestServerNameIsAskedForAndVerified(t *testing.T) {
	a := newAuthority(t)
	asked := make(chan string, 10)
	config := a.serverConfig("web.internal")
	config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		asked <- h.ServerName
		return nil, nil
	}
	s := serveTLS(t, "tcp", "127.0.0.1:0", config)
	cfg := quietly(s)
	cfg.TLS = &TLSConfig{CA: a.pem, ServerName: "web.internal"}
	conn := acquire(t, start(t, cfg, Deps{}), Acquire{})
	mustEcho(t, conn)
	conn.Release(Done)
	if name := <-asked; name != "web.internal" {
		t.Errorf("asked for %q", name)
	}
	cfg.TLS = &TLSConfig{CA: a.pem, ServerName: "other.internal"}
	_, err := start(t, cfg, Deps{}).Acquire(Acquire{})
	if err == nil || !strings.Contains(err.Error(), "not other.internal") {
		t.Errorf("a certificate for another name: %v", err)
	}
}

// A certificate of a stranger counts as a failed connection, and is logged once.
func TestUnverifiedEndpointIsLoggedOnceAndCounted(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	s := serveTLS(t, "tcp", "127.0.0.1:0", stranger.serverConfig("127.0.0.1"))
	core, logs := observer.New(zap.InfoLevel)
	cfg := quietly(s)
	cfg.TLS = &TLSConfig{CA: a.pem}
	c := start(t, cfg, Deps{Log: zap.New(core)})
	for range 3 {
		_, err := c.Acquire(Acquire{})
		var dial *DialError
		var secure *TLSError
		if !errors.As(err, &dial) || !errors.As(err, &secure) {
			t.Fatalf("got %v", err)
		}
	}
	told := logs.FilterMessage("endpoint can't be spoken to securely").All()
	if len(told) != 1 || !strings.Contains(told[0].ContextMap()["error"].(string), "unknown authority") {
		t.Errorf("logged: %v", told)
	}
	if n := c.Status()[0].Failures; n != 3 {
		t.Errorf("%d failures counted, want 3", n)
	}

	// What changes puts it right without a new cluster, and failing anew is told anew.
	cfg.TLS = &TLSConfig{CA: stranger.pem}
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	conn := acquire(t, c, Acquire{})
	mustEcho(t, conn)
	conn.Release(Reusable)
	cfg.TLS = &TLSConfig{CA: a.pem}
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Acquire(Acquire{}); err == nil {
		t.Error("a connection from before the change is given out")
	}
	if n := logs.FilterMessage("endpoint can't be spoken to securely").Len(); n != 2 {
		t.Errorf("logged %d times, want 2", n)
	}
}

func TestCertificateIsShown(t *testing.T) {
	a := newAuthority(t)
	config := a.serverConfig("127.0.0.1")
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, a.pool()
	s := serveTLS(t, "tcp", "127.0.0.1:0", config)
	cfg := quietly(s)
	cert, key := a.issue("proxy.internal")
	cfg.TLS = &TLSConfig{CA: a.pem, Cert: cert, Key: key}
	conn := acquire(t, start(t, cfg, Deps{}), Acquire{})
	mustEcho(t, conn)
	conn.Release(Done)

	cfg.TLS = &TLSConfig{CA: a.pem}
	conn = acquire(t, start(t, cfg, Deps{}), Acquire{})
	defer conn.Release(Failed)
	if err := echo(conn, "hello\n"); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestTLSSessionsAreResumed(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1"))
	cfg := quietly(s)
	cfg.TLS = &TLSConfig{CA: a.pem}
	c := start(t, cfg, Deps{})
	for i := range 2 {
		conn := acquire(t, c, Acquire{})
		mustEcho(t, conn) // the ticket comes before the answer
		if got := conn.NetConn().(*tls.Conn).ConnectionState().DidResume; got != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, got)
		}
		conn.Release(Done)
	}
}

// The same files read again, with another time of change, change nothing.
func TestSameTLSKeepsThePool(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1"))
	cfg := quietly(s)
	cfg.TLS = &TLSConfig{CA: a.pem}
	c := start(t, cfg, Deps{})
	conn := acquire(t, c, Acquire{})
	mustEcho(t, conn)
	conn.Release(Reusable)
	cfg.TLS = &TLSConfig{CA: append([]byte(nil), a.pem...)}
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	if got := acquire(t, c, Acquire{}); got != conn {
		t.Error("the pooled connection is gone")
	} else {
		got.Release(Done)
	}
}

// A connection that is busy while the configuration changes finishes what it
// does, and is not pooled.
func TestChangedTLSLetsBusyConnectionsFinish(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1"))
	cfg := quietly(s)
	cfg.TLS = &TLSConfig{CA: a.pem}
	c := start(t, cfg, Deps{})
	conn := acquire(t, c, Acquire{})
	cert, key := a.issue("proxy.internal")
	cfg.TLS = &TLSConfig{CA: a.pem, Cert: cert, Key: key}
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	mustEcho(t, conn)
	conn.Release(Reusable)
	if st := c.Status()[0]; st.Idle != 0 || st.Connections != 0 {
		t.Errorf("status: %+v", st)
	}
}

func TestChecksSpeakTLS(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	for _, path := range []string{"", "/healthz"} {
		s := serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1"))
		cfg := Config{Service: "web", Version: "v1", Endpoints: []string{s.address}, TLS: &TLSConfig{CA: a.pem}}
		cfg.Health = HealthConfig{Path: path, Interval: 5 * time.Millisecond, Fall: 1, Rise: 1}
		var seen events
		c := start(t, cfg, Deps{OnEvent: seen.add})
		await(t, "a check", func() bool { return s.accepted.Load() > 2 })
		if !c.Usable() {
			t.Fatalf("path %q: down: %+v", path, c.Status())
		}
		cfg.TLS = &TLSConfig{CA: stranger.pem}
		if err := c.Update(cfg); err != nil {
			t.Fatal(err)
		}
		await(t, "the end of trust", func() bool { return !c.Usable() })
		if e, _ := seen.has(Down, s.address); e.Err == nil || !strings.Contains(e.Err.Error(), "unknown authority") {
			t.Errorf("path %q: %v", path, e.Err)
		}
	}
}

// A server that never answers the handshake holds nobody up for longer than a
// connection may take.
func TestHandshakeIsTimed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := Config{Service: "web", Version: "v1", Endpoints: []string{l.Addr().String()}, TLS: &TLSConfig{}, ConnectTimeout: 20 * time.Millisecond}
	cfg.Health.Disabled = true
	if _, err := start(t, cfg, Deps{}).Acquire(Acquire{}); err == nil || !strings.Contains(err.Error(), "TLS handshake") {
		t.Errorf("got %v", err)
	}
}

func TestUnusableTLSConfigIsRefused(t *testing.T) {
	a := newAuthority(t)
	cert, _ := a.issue("one")
	_, key := a.issue("two")
	for _, c := range []struct {
		tls  TLSConfig
		want string
	}{
		{TLSConfig{CA: []byte("nothing")}, "no certificate in PEM form"},
		{TLSConfig{Cert: cert, Key: key}, "private key does not match"},
		{TLSConfig{Cert: cert}, "can't be used"},
		{TLSConfig{Key: key}, "can't be used"},
	} {
		err := Config{TLS: &c.tls}.Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
