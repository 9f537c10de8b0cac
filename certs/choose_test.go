package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestTheNameChoosesTheCertificate(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	k, _ := keeper(t, Options{})
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{
		a.pair(dir, "first", "first.test"),
		a.pair(dir, "wild", "*.Shop.test"),
		a.pair(dir, "exact", "exact.shop.test", "also.test."),
		a.pair(dir, "late", "exact.shop.test"),
	}})
	for name, want := range map[string]string{
		"first.test": "first.test", "": "first.test", "unknown.test": "first.test", "192.0.2.1": "first.test", "::1": "first.test",
		"a.shop.test": "*.Shop.test", "EXACT.shop.TEST": "exact.shop.test", "exact.shop.test": "exact.shop.test",
		"also.test": "exact.shop.test", "a.b.shop.test": "first.test", "shop.test": "first.test",
	} {
		if got := shown(t, s, name); got != want {
			t.Errorf("%q is shown %s, want %s", name, got, want)
		}
	}
}

// Of an RSA and an ECDSA certificate for one name each client gets one that it
// can verify.
func TestTheKindOfKeyDecidesBetweenCertificates(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	k, _ := keeper(t, Options{})
	chain, key := a.sign(template("web.test"), newKey(t, true))
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{a.pair(dir, "ecdsa", "web.test"), writePair(t, dir, "rsa", chain, key)}})
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:   x509.RSA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA,
	} {
		state, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: "web.test", RootCAs: a.pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err != nil || state.PeerCertificates[0].PublicKeyAlgorithm != want {
			t.Errorf("%s: %v, %v", tls.CipherSuiteName(suite), err, state.PeerCertificates)
		}
	}
}

// TestChooserIsItsTwin holds the maps to a walk through all names.
func TestChooserIsItsTwin(t *testing.T) {
	label := rapid.SampledFrom([]string{"a", "b", "*", "test"})
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(label, 1, 3).Draw(t, "labels"), ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		var certs []*tls.Certificate
		for range rapid.IntRange(0, 4).Draw(t, "certificates") {
			certs = append(certs, &tls.Certificate{Leaf: &x509.Certificate{DNSNames: rapid.SliceOfN(name, 0, 3).Draw(t, "names")}})
		}
		asked := name.Draw(t, "asked")
		got := newChooser(certs).named(&tls.ClientHelloInfo{ServerName: asked})
		want := slowly(certs, asked)
		if got != want {
			t.Fatalf("%q: got %v, want %v", asked, got, want)
		}
	})
}

// slowly finds a certificate with a name, then one with its wildcard.
func slowly(certs []*tls.Certificate, asked string) *tls.Certificate {
	_, parent, _ := strings.Cut(asked, ".")
	for _, wildcard := range []bool{false, true} {
		for _, c := range certs {
			for _, n := range c.Leaf.DNSNames {
				after, is := strings.CutPrefix(n, "*.")
				if is == wildcard && (!wildcard && n == asked || wildcard && after == parent) {
					return c
				}
			}
		}
	}
	return nil
}

func TestChoosingAllocatesNothing(t *testing.T) {
	exact := &tls.Certificate{Leaf: &x509.Certificate{DNSNames: []string{"a.test", "*.b.test"}}}
	c := newChooser([]*tls.Certificate{exact})
	hello := &tls.ClientHelloInfo{}
	if n := testing.AllocsPerRun(100, func() {
		for _, name := range []string{"a.test", "x.b.test", "none.test"} {
			hello.ServerName = name
			c.named(hello)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
