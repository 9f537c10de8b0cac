package certs

import (
	"crypto/tls"
	"path/filepath"
	"testing"
)

func TestOldVersionsAndSuitesAreRefused(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	k, _ := keeper(t, Options{})
	pairs := []Pair{a.pair(dir, "web", "web.test")}
	for _, c := range []struct {
		name   string
		least  uint16
		client *tls.Config
		works  bool
	}{
		{"1.0", 0, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, false},
		{"1.1", 0, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"1.1 where it is asked for", tls.VersionTLS10, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"1.2", 0, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"1.3", 0, &tls.Config{}, true},
		{"1.2 where 1.3 is asked for", tls.VersionTLS13, &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"CBC", 0, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		{"ChaCha20", 0, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.client.ServerName, c.client.RootCAs = "web.test", a.pool()
			s := open(t, k, Config{Name: c.name, Pairs: pairs, MinVersion: c.least})
			_, err, _ := shake(t, s.TLS(), c.client)
			if (err == nil) != c.works {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheProtocolIsNegotiated(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	k, _ := keeper(t, Options{})
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{a.pair(dir, "web", "web.test")}, NextProtos: []string{"h2", "http/1.1"}})
	state, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: "web.test", RootCAs: a.pool(), NextProtos: []string{"http/1.1", "h2"}})
	if err != nil || state.NegotiatedProtocol != "h2" {
		t.Errorf("%v, %q", err, state.NegotiatedProtocol)
	}
	// Without ACME a challenge is a protocol like any other that is not spoken.
	if _, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: "web.test", RootCAs: a.pool(), NextProtos: []string{challengeProto}}); err == nil {
		t.Error("a challenge was answered")
	}
}

func TestClientCertificates(t *testing.T) {
	dir, a, other := t.TempDir(), newAuthority(t), newAuthority(t)
	k, _ := keeper(t, Options{})
	pairs := []Pair{a.pair(dir, "web", "web.test")}
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, a.pem())
	required := open(t, k, Config{Name: "required", Pairs: pairs, ClientCA: ca})
	asked := open(t, k, Config{Name: "asked", Pairs: pairs, ClientCA: ca, ClientAuth: Request})
	open := open(t, k, Config{Name: "open", Pairs: pairs})
	good, bad := []tls.Certificate{a.client("ci")}, []tls.Certificate{other.client("ci")}
	for _, c := range []struct {
		name   string
		server *Source
		certs  []tls.Certificate
		works  bool
	}{
		{"required and shown", required, good, true},
		{"required and not shown", required, nil, false},
		{"required and foreign", required, bad, false},
		{"asked and shown", asked, good, true},
		{"asked and not shown", asked, nil, true},
		{"asked and foreign", asked, bad, false},
		{"not asked", open, bad, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A client that is told nothing of the authorities shows what it has.
			show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c.certs == nil {
					return new(tls.Certificate), nil
				}
				return &c.certs[0], nil
			}
			_, _, err := shake(t, c.server.TLS(), &tls.Config{ServerName: "web.test", RootCAs: a.pool(), GetClientCertificate: show})
			if (err == nil) != c.works {
				t.Errorf("the server got %v", err)
			}
		})
	}
}

// A session outlives a change of the certificates, but not one of the authorities
// that its client's certificate was verified by.
func TestSessionsAreResumedAcrossAReload(t *testing.T) {
	dir, a, other := t.TempDir(), newAuthority(t), newAuthority(t)
	k, logs := keeper(t, Options{})
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, a.pem())
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{a.pair(dir, "web", "web.test")}, ClientCA: ca})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{
			ServerName: "web.test", RootCAs: a.pool(), MaxVersion: version, Certificates: []tls.Certificate{a.client("ci")},
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
		resumed := func() bool {
			t.Helper()
			state, err, _ := shake(t, s.TLS(), client)
			if err != nil {
				t.Fatal(err)
			}
			return state.DidResume
		}
		if resumed() || !resumed() {
			t.Fatal("the second handshake is not the first that resumes")
		}
		reloads := logs.FilterMessage("the certificates were read anew").Len()
		a.pair(dir, "web", "web.test")
		await(t, "the reload", func() bool { return logs.FilterMessage("the certificates were read anew").Len() > reloads })
		if !resumed() {
			t.Error("the session was lost by the reload")
		}
	}
	stale := &tls.Config{
		ServerName: "web.test", RootCAs: a.pool(), Certificates: []tls.Certificate{a.client("ci")}, ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	if _, err, _ := shake(t, s.TLS(), stale); err != nil {
		t.Fatal(err)
	}
	reloads := logs.FilterMessage("the certificates were read anew").Len()
	write(t, ca, other.pem())
	await(t, "the reload", func() bool { return logs.FilterMessage("the certificates were read anew").Len() > reloads })
	if _, _, err := shake(t, s.TLS(), stale); err == nil {
		t.Error("a session resumed with a certificate of an authority that is not trusted any more")
	}
}
