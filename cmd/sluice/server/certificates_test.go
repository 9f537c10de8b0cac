package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/admin"
	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/certs"
	"sluice/configs"
	"sluice/proxy"
)

// authority signs the certificates of a test; its own is ca.pem in dir.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	a.issue("ca", &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true})
	return a
}

// issue writes a certificate as NAME.pem and NAME.key. Its own is the first.
func (a *authority) issue(name string, c *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(1000*time.Hour)
	}
	if a.cert == nil {
		a.cert, a.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.cert == c {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for ending, block := range map[string]*pem.Block{".key": {Type: "PRIVATE KEY", Bytes: private}, ".pem": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+ending), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// server issues a certificate for this machine and a name.
func (a *authority) server(file, name string) {
	a.issue(file, &x509.Certificate{Subject: pkix.Name{CommonName: file}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// person issues a certificate for a client.
func (a *authority) person(name string) {
	a.issue(name, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// visitor returns a client that trusts the authority and shows a certificate, if
// there is a name of one.
func (a *authority) visitor(person string) *visitor {
	a.t.Helper()
	v := stranger(a.t)
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(a.cert)
	if person != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, person+".pem"), filepath.Join(a.dir, person+".key"))
		if err != nil {
			a.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	v.http.Transport.(*http.Transport).TLSClientConfig = config
	return v
}

// secureURL is an address on a listener over TLS.
func (s *sluice) secureURL(listener, path string) string {
	return "https" + strings.TrimPrefix(s.url(listener, path), "http")
}

func TestClientCertificatesAreVerified(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir)
	a.server("web", "web.test")
	a.person("anna")
	const listeners = `listeners:
  - {name: edge, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}], client_ca: ca.pem}}
  - {name: asked, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}], client_ca: ca.pem, client_auth: request, min_version: "1.3"}}`
	s := start(t, write(t, dir, listeners, "state: {backend: memory}", web(t, 100, 0)), Options{})
	a.visitor("anna").get(s.secureURL("edge", "/")).served(t, "v1")
	if _, err := a.visitor("").try(s.secureURL("edge", "/")); err == nil {
		t.Error("served without a certificate")
	}
	a.visitor("anna").get(s.secureURL("asked", "/")).served(t, "v1")
	a.visitor("").get(s.secureURL("asked", "/")).served(t, "v1")
	old := a.visitor("")
	old.http.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
	if _, err := old.try(s.secureURL("asked", "/")); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
	for _, want := range []string{
		`sluice_tls_handshake_failures_total{listener="edge"} 1`, `sluice_tls_handshake_failures_total{listener="asked"} 1`,
		`sluice_certificate_expiry_seconds{listener="edge",name="web.test"} `,
		"sluice_certificate_reload_failures_total 0",
	} {
		await(t, want, func() bool { return strings.Contains(s.metricsPage(), want) }) // a client may know before the count
	}
}

// A reload of the file leaves the certificates of listeners that stay as they are
// alone, and closes those of listeners that go.
func TestAReloadKeepsCertificatesThatStay(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir)
	a.server("web", "web.test")
	services := web(t, 100, 0)
	const edge = `  - {name: edge, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}]}}`
	const more = `  - {name: more, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}]}}`
	path := write(t, dir, "listeners:", edge, "state: {backend: memory}", services)
	s := start(t, path, Options{})
	v := a.visitor("")
	sessions := v.http.Transport.(*http.Transport)
	sessions.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	v.get(s.secureURL("edge", "/")).served(t, "v1")
	before := s.sources[0]
	rewrite(t, path, "listeners:", edge, more, "state: {backend: memory}", services)
	s.reload()
	if s.sources[0] != before || len(s.certs.Expiries()) != 2 {
		t.Errorf("other certificates: %v", s.certs.Expiries())
	}
	a.visitor("").get(s.secureURL("more", "/")).served(t, "v1")
	sessions.CloseIdleConnections()
	resumed := false
	sessions.TLSClientConfig.VerifyConnection = func(c tls.ConnectionState) error { resumed = c.DidResume; return nil }
	v.get(s.secureURL("edge", "/")).served(t, "v1")
	if !resumed {
		t.Error("the session was lost")
	}
	rewrite(t, path, "listeners:", edge, "state: {backend: memory}", services)
	s.reload()
	if s.sources[0] != before || len(s.certs.Expiries()) != 1 {
		t.Errorf("then: %v", s.certs.Expiries())
	}
	// What is refused leaves them, too.
	rewrite(t, path, "listeners:", edge, more, "state: {backend: memory}", `services: {web: {versions: {v9: {endpoints: ["127.0.0.1:1"], weight: 1}}}}`)
	if s.Reload(t.Context()) == nil || len(s.certs.Expiries()) != 1 {
		t.Errorf("after a refusal: %v", s.certs.Expiries())
	}
}

// startSecure starts a server with this section of the admin API.
func startSecure(t *testing.T, dir, section string) *Server {
	t.Helper()
	path := write(t, dir, plainListener, "state: {backend: memory}", web(t, 100, 0))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), strings.TrimSpace(preamble), "admin: "+section, 1))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := startFile(t, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// caller returns a client of the admin API that shows a certificate, if there is
// a name of one.
func (a *authority) caller(s *Server, person string) *client.Client {
	a.t.Helper()
	port := s.AdminAddr().(*net.TCPAddr).Port
	config := client.Config{Base: fmt.Sprintf("https://127.0.0.1:%d", port), CAFile: filepath.Join(a.dir, "ca.pem")}
	if person != "" {
		config.CertFile, config.KeyFile = filepath.Join(a.dir, person+".pem"), filepath.Join(a.dir, person+".key")
	}
	c, err := client.New(config)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(c.Close)
	return c
}

func TestTheAdminAPIKnowsCallersByTheirCertificates(t *testing.T) {
	for role, may := range map[string]bool{"": false, "viewer": false, "deployer": true} {
		t.Run("as "+role, func(t *testing.T) {
			dir := t.TempDir()
			a, other := newAuthority(t, dir), newAuthority(t, t.TempDir())
			a.server("admin", "admin.test")
			a.person("anna")
			other.person("eve")
			extra := ""
			if role != "" {
				extra = ", client_role: " + role
			}
			s := startSecure(t, dir, `{address: "0.0.0.0:0", tls: {certificates: [{cert: admin.pem, key: admin.key}], client_ca: ca.pem}`+extra+"}")
			if url := s.AdminURL(); !strings.HasPrefix(url, "https://") {
				t.Error(url)
			}
			anna := a.caller(s, "anna")
			if _, err := anna.Services(t.Context()); err != nil {
				t.Error(err)
			}
			change, err := anna.SetWeights(t.Context(), "web", api.Weights{Weights: map[string]int{"v2": 100}, Pins: "move"}, 0)
			if (err == nil) != may {
				t.Errorf("as %q: %v", role, err)
			}
			if may {
				history, err := anna.History(t.Context(), "web")
				if err != nil || len(history.Flips) == 0 || history.Flips[0].By != "cert:anna" {
					t.Errorf("%v: %+v after %+v", err, history, change)
				}
			}
			if _, err := a.caller(s, "").Services(t.Context()); err == nil {
				t.Error("a caller without a certificate is served")
			}
			a.dir = other.dir // whose ca.pem the server's certificate is none of
			if _, err := a.caller(s, "eve").Services(t.Context()); err == nil {
				t.Error("a caller trusts a stranger")
			}
		})
	}
}

// With a token file a certificate is the key to the door, and the token gives the
// role.
func TestATokenFileDecidesBeyondTLS(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir)
	a.server("admin", "admin.test")
	a.person("anna")
	token := grantToken(t, dir)
	s := startSecure(t, dir, `{address: "127.0.0.1:0", tokens_file: tokens, client_role: admin, tls: {certificates: [{cert: admin.pem, key: admin.key}], client_ca: ca.pem}}`)
	if _, err := a.caller(s, "anna").Services(t.Context()); err == nil {
		t.Error("served without a token")
	}
	c, err := client.New(client.Config{
		Base: s.AdminURL(), Token: token, CAFile: filepath.Join(dir, "ca.pem"),
		CertFile: filepath.Join(dir, "anna.pem"), KeyFile: filepath.Join(dir, "anna.key"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Services(t.Context()); err != nil {
		t.Error(err)
	}
}

// grantToken writes a token file with one token, of an administrator.
func grantToken(t *testing.T, dir string) string {
	t.Helper()
	token, line, err := admin.GenerateToken(admin.Identity{Name: "anna", Role: admin.Admin})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokens"), []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return token
}

func TestDoubtsAboutCertificatesAreTold(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir)
	a.issue("old", &x509.Certificate{DNSNames: []string{"old.test"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	a.server("web", "web.test")
	if err := os.Chmod(filepath.Join(dir, "web.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := write(t, dir, `listeners: [{name: edge, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}, {cert: old.pem, key: old.key}]}}]`,
		"state: {backend: memory}", web(t, 100, 0))
	file, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	doubts := CertificateDoubts(file)
	if len(doubts) != 2 || !strings.Contains(doubts[0].Error(), "can be read by everyone") ||
		!strings.HasPrefix(doubts[1].Error(), "line 2: listeners[0].tls.certificates[1]: the certificate of old.test expired on ") {
		t.Errorf("got %v", doubts)
	}
	s := start(t, path, Options{})
	if n := s.logged("a doubt about the file"); n != 2 {
		t.Errorf("%d doubts were logged", n)
	}
}

func TestWhatTheFileSaysOfTLSIsTranslated(t *testing.T) {
	dir := t.TempDir()
	a := newAuthority(t, dir)
	a.server("web", "web.test")
	path := write(t, dir, `listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - name: edge
    address: "127.0.0.1:0"
    tls:
      certificates: [{cert: web.pem, key: web.key, ocsp: web.pem}]
      client_ca: ca.pem
      client_auth: request
      min_version: 1.3
      acme: {domains: [Shop.Test], challenge: http, ca_root: ca.pem}`, "state: {path: data/sluice.db}", web(t, 100, 0))
	file, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	want := certs.Config{
		Name: "edge", Pairs: []certs.Pair{{Cert: in("web.pem"), Key: in("web.key"), OCSP: in("web.pem")}},
		ClientCA: in("ca.pem"), ClientAuth: certs.Request, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
		ACME: &certs.ACME{
			Domains: []string{"shop.test"}, Directory: "https://acme-v02.api.letsencrypt.org/directory",
			Storage: in("data/acme"), CARoot: in("ca.pem"), HTTP: true,
		},
	}
	if got := certsConfig("edge", file.Listeners[1].TLS, []string{"h2"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// HTTP-01 comes to port 80, which leads to a listener without TLS.
func TestValidationsByHTTPComeToAPlainListener(t *testing.T) {
	listeners := []proxy.ListenerConfig{{Name: "secure", TLS: new(tls.Config)}, {Name: "unix"}, {Name: "a"}, {Name: "b"}}
	addrs := map[string]net.Addr{
		"secure": &net.TCPAddr{Port: 443}, "unix": &net.UnixAddr{Name: "/run/a.sock"}, "a": &net.TCPAddr{Port: 8080}, "b": &net.TCPAddr{Port: 80},
	}
	for n, want := range map[int]string{4: ":80", 3: ":8080"} {
		if got := plainAddr(listeners[:n], addrs); got == nil || got.String() != want {
			t.Errorf("of %d: %v, want %s", n, got, want)
		}
	}
	if got := plainAddr(listeners[:2], addrs); got != nil {
		t.Errorf("got %v", got)
	}
}
