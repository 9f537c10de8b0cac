package certs

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// acmeServer is a real ACME authority, that validates names on two ports of this
// machine.
type acmeServer struct {
	*httptest.Server
	directory string
	roots     *x509.CertPool // of what it issues
	root      string         // the file that verifies itself
}

func newACMEServer(t *testing.T, httpPort, tlsPort int) *acmeServer {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 30 * 86400}})
	validator := va.New(quiet, httpPort, tlsPort, false, nameServer(t), store)
	front := wfe.New(quiet, store, validator, authority, nil, false, false, 0, 0)
	s := &acmeServer{Server: httptest.NewTLSServer(front.Handler()), roots: x509.NewCertPool(), root: filepath.Join(t.TempDir(), "root.pem")}
	t.Cleanup(s.Close)
	s.directory = s.URL + wfe.DirectoryPath
	s.roots.AddCert(authority.GetRootCert(0).Cert)
	write(t, s.root, encode("CERTIFICATE", s.Certificate().Raw))
	return s
}

// nameServer resolves every name to 127.0.0.1.
func nameServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	s := &dns.Server{Listener: ln, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)}}
		}
		w.WriteMsg(answer)
	})}
	go s.ActivateAndServe()
	<-started
	t.Cleanup(func() { s.Shutdown() })
	return ln.Addr().String()
}

// site is a TLS server and a plain one that answers challenges alone.
type site struct{ tls, plain net.Listener }

func newSite(t *testing.T) *site {
	t.Helper()
	s := new(site)
	for _, ln := range []*net.Listener{&s.tls, &s.plain} {
		var err error
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*ln).Close() })
	}
	plain := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, ok := Challenge(r.Host, r.URL.Path); ok {
			io.WriteString(w, body)
			return
		}
		http.NotFound(w, r)
	})}
	go plain.Serve(s.plain)
	t.Cleanup(func() { plain.Close() })
	return s
}

// serve completes handshakes and closes connections.
func (s *site) serve(source *Source) {
	for {
		nc, err := s.tls.Accept()
		if err != nil {
			return
		}
		tls.Server(nc, source.TLS()).Handshake()
		nc.Close()
	}
}

func port(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }

func TestCertificatesAreObtained(t *testing.T) {
	for _, c := range []struct {
		name string
		http bool
	}{{"by TLS-ALPN-01", false}, {"by HTTP-01", true}} {
		t.Run(c.name, func(t *testing.T) {
			dir, a, site := t.TempDir(), newAuthority(t), newSite(t)
			acme := newACMEServer(t, port(site.plain), port(site.tls))
			k, logs := keeper(t, Options{Failed: func() { t.Error("a failure was counted") }})
			file := filepath.Join(dir, "ca.pem")
			write(t, file, a.pem())
			config := Config{
				Name: "edge", Pairs: []Pair{a.pair(dir, "web", "web.test")}, ClientCA: file,
				ACME: &ACME{Domains: []string{"shop.test", "api.shop.test"}, Directory: acme.directory, Storage: filepath.Join(dir, "acme"), CARoot: acme.root, HTTP: c.http},
			}
			s := open(t, k, config)
			go site.serve(s)
			visit := func(s *Source, name string, roots *x509.CertPool) error {
				_, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: name, RootCAs: roots, Certificates: []tls.Certificate{a.client("me")}})
				return err
			}
			if err := visit(s, "web.test", a.pool()); err != nil {
				t.Errorf("before: %v", err)
			}
			if got := shownTo(t, s, a, "shop.test"); got != "web.test" {
				t.Errorf("before: shown %s", got)
			}
			addr := site.tls.Addr()
			if c.http {
				addr = site.plain.Addr()
			}
			if err := s.Manage(addr); err != nil {
				t.Fatal(err)
			}
			if err := s.Manage(addr); err != nil {
				t.Error("the second call:", err)
			}
			t.Cleanup(func() {
				for _, line := range logs.All() {
					if t.Failed() {
						t.Log(line.Level, line.Message, line.ContextMap())
					}
				}
			})
			for _, name := range config.ACME.Domains {
				await(t, "the certificate of "+name, func() bool { return visit(s, name, acme.roots) == nil })
			}
			if err := visit(s, "web.test", a.pool()); err != nil {
				t.Errorf("after: %v", err)
			}
			if got := k.Expiries(); len(got) != 3 {
				t.Errorf("expiries: %v", got)
			}
			if _, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true, NextProtos: []string{challengeProto}}); err == nil {
				t.Error("a challenge that nobody waits for was answered")
			}
			// After a restart they are there at once, whether or not the authority is.
			k.Keep()
			acme.Close()
			s = open(t, k, config)
			if err := visit(s, "shop.test", acme.roots); err != nil {
				t.Errorf("after a restart: %v", err)
			}
			for _, line := range logs.All() {
				if line.Level > 1 {
					t.Errorf("logged: %v", line)
				}
			}
		})
	}
}

// shownTo returns the first name of the certificate that a client of an authority
// is shown.
func shownTo(t *testing.T, s *Source, a *authority, name string) string {
	t.Helper()
	state, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: name, InsecureSkipVerify: true, Certificates: []tls.Certificate{a.client("me")}})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].DNSNames[0]
}

// Without an authority other certificates serve, and the failure is counted.
func TestAnAuthorityThatFails(t *testing.T) {
	dir, a, site := t.TempDir(), newAuthority(t), newSite(t)
	broken := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 500) }))
	t.Cleanup(broken.Close)
	root := filepath.Join(dir, "root.pem")
	write(t, root, encode("CERTIFICATE", broken.Certificate().Raw))
	var failures atomic.Int32
	k, _ := keeper(t, Options{Failed: func() { failures.Add(1) }})
	acme := &ACME{Domains: []string{"shop.test"}, Directory: broken.URL, Storage: filepath.Join(dir, "acme"), CARoot: root}
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{a.pair(dir, "web", "web.test")}, ACME: acme})
	bare := open(t, k, Config{Name: "bare", ACME: acme})
	if err := s.Manage(site.tls.Addr()); err != nil {
		t.Fatal(err)
	}
	await(t, "the failure", func() bool { return failures.Load() > 0 })
	if got := shown(t, s, "shop.test"); got != "web.test" {
		t.Errorf("shown %s", got)
	}
	if _, _, err := shake(t, bare.TLS(), &tls.Config{ServerName: "shop.test", InsecureSkipVerify: true}); err == nil {
		t.Error("a server without any certificate completed a handshake")
	}
	if err := s.Manage(&net.UnixAddr{Name: "/run/sluice.sock", Net: "unix"}); err == nil {
		t.Error("an authority reaches a Unix socket")
	}
	if err := open(t, k, Config{Name: "plain", Pairs: []Pair{a.pair(dir, "web", "web.test")}}).Manage(nil); err != nil {
		t.Error(err)
	}
}

func TestARootThatIsNoneIsRefused(t *testing.T) {
	k, _ := keeper(t, Options{})
	dir := t.TempDir()
	for _, root := range []string{filepath.Join(dir, "none"), dir} {
		if _, err := k.Open(Config{Name: "edge", ACME: &ACME{Domains: []string{"a.test"}, Storage: dir, CARoot: root}}); err == nil {
			t.Errorf("%s is taken", root)
		}
	}
}

func TestOnlyChallengesAreAnswered(t *testing.T) {
	for _, path := range []string{"/.well-known/acme-challenge/", "/.well-known/acme-challenge/x", ""} {
		if body, ok := Challenge("shop.test:80", path); ok || body != "" {
			t.Errorf("%s: %q", path, body)
		}
	}
}
