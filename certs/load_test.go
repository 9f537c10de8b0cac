package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

func TestWhatCannotBeServed(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	good, other := a.pair(dir, "good", "a.test"), a.pair(dir, "other", "b.test")
	text, locked := filepath.Join(dir, "text"), filepath.Join(dir, "locked.key")
	write(t, text, []byte("no certificate"))
	write(t, locked, encode("ENCRYPTED PRIVATE KEY", []byte("secret")))
	long := filepath.Join(dir, "long")
	if err := os.Truncate(text, 14); err != nil {
		t.Fatal(err)
	}
	write(t, long, make([]byte, maxFile+1))
	for want, c := range map[string]Config{
		"certificate " + good.Cert + " with the key " + other.Key + ": private key does not match public key": {Pairs: []Pair{{Cert: good.Cert, Key: other.Key}}},
		"certificate " + text + " with the key " + good.Key + ": failed to find any PEM data":                 {Pairs: []Pair{{Cert: text, Key: good.Key}}},
		"certificate " + dir + "/none: no such file or directory":                                             {Pairs: []Pair{{Cert: dir + "/none", Key: good.Key}}},
		"key " + dir + ": it is not a regular file":                                                           {Pairs: []Pair{{Cert: good.Cert, Key: dir}}},
		"key " + locked + ": it is encrypted":                                                                 {Pairs: []Pair{{Cert: good.Cert, Key: locked}}},
		"certificate " + long + ": it is longer than 1048576 bytes":                                           {Pairs: []Pair{{Cert: long, Key: good.Key}}},
		"client CA " + text + ": it holds no certificate in PEM form":                                         {Pairs: []Pair{good}, ClientCA: text},
		"client CA " + dir + "/none: no such file or directory":                                               {Pairs: []Pair{good}, ClientCA: dir + "/none"},
		"there is no certificate":                                                                             {},
	} {
		if _, err := Check(c, time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	// All that is wrong is said at once.
	_, err := Check(Config{Pairs: []Pair{{Cert: text, Key: text}, {Cert: good.Cert, Key: locked}}, ClientCA: text}, time.Now())
	if n := strings.Count(err.Error(), "\n"); n != 2 {
		t.Errorf("got %v", err)
	}
	k, _ := keeper(t, Options{})
	if _, err := k.Open(Config{}); err == nil {
		t.Error("opened without a certificate")
	}
}

func TestDoubts(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name        string
		from, until time.Duration // from now
		want        string        // "": none
	}{
		{"fresh", -time.Hour, 90 * 24 * time.Hour, ""},
		{"a tenth is left", -81 * 24 * time.Hour, 9*24*time.Hour - time.Minute, "expires on "},
		{"more is left", -81 * 24 * time.Hour, 9*24*time.Hour + time.Minute, ""},
		{"of a year, two weeks are left", -350 * 24 * time.Hour, 14*24*time.Hour - time.Minute, "expires on "},
		{"of a year, three weeks are left", -340 * 24 * time.Hour, 21 * 24 * time.Hour, ""},
		{"over", -2 * time.Hour, -time.Hour, "expired on "},
		{"not yet", time.Hour, 2 * time.Hour, "is valid only from "},
	} {
		leaf := &x509.Certificate{DNSNames: []string{"web.test"}, NotBefore: now.Add(c.from), NotAfter: now.Add(c.until)}
		got := doubt(leaf, now)
		if c.want == "" && got != "" || c.want != "" && !strings.HasPrefix(got, "the certificate of web.test "+c.want) {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

func TestNamesForPeople(t *testing.T) {
	for want, leaf := range map[string]*x509.Certificate{
		"a.test":                 {DNSNames: []string{"a.test", "b.test"}, Subject: pkix.Name{CommonName: "c"}},
		"192.0.2.1":              {IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}},
		"the shop":               {Subject: pkix.Name{CommonName: "the shop"}},
		"serial ff":              {SerialNumber: big.NewInt(255)},
		"?":                      {Subject: pkix.Name{CommonName: "\xff"}},
		strings.Repeat("x", 253): {Subject: pkix.Name{CommonName: strings.Repeat("x", 300)}},
	} {
		if got := nameOf(leaf); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAKeyThatEverybodyMayReadIsADoubt(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	p := a.pair(dir, "web", "web.test")
	c := Config{Pairs: []Pair{a.pair(dir, "first", "first.test"), p}}
	if doubts, err := Check(c, time.Now()); err != nil || len(doubts) != 0 {
		t.Fatalf("%v, %v", doubts, err)
	}
	if err := os.Chmod(p.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	if doubts, _ := Check(c, time.Now()); len(doubts) != 1 || doubts[0].Pair != 1 || !strings.Contains(doubts[0].Text, "can be read by everyone") {
		t.Errorf("got %v", doubts)
	}
	if doubts, _ := Check(c, time.Now().Add(101*24*time.Hour)); len(doubts) != 3 || !strings.Contains(doubts[0].Text, "expired on") {
		t.Errorf("got %v", doubts)
	}
}

// response signs an OCSP response for a pair, valid for an hour around now.
func (a *authority) response(p Pair, status int, now time.Time) []byte {
	a.t.Helper()
	chain, err := os.ReadFile(p.Cert)
	if err != nil {
		a.t.Fatal(err)
	}
	block, _ := pem.Decode(chain)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := ocsp.CreateResponse(a.cert, a.cert, ocsp.Response{
		Status: status, SerialNumber: leaf.SerialNumber, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour), RevokedAt: now,
	}, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

func TestOnlyAValidResponseIsStapled(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	now := time.Now()
	p := a.pair(dir, "web", "web.test")
	other := a.pair(dir, "other", "other.test")
	p.OCSP = filepath.Join(dir, "web.ocsp")
	c := Config{Pairs: []Pair{p}}
	for _, test := range []struct {
		name     string
		response []byte
		at       time.Time
		want     string
	}{
		{"good", a.response(p, ocsp.Good, now), now, ""},
		{"revoked", a.response(p, ocsp.Revoked, now), now, "does not say that the certificate is good"},
		{"of another", a.response(other, ocsp.Good, now), now, "no response matching"},
		{"out of date", a.response(p, ocsp.Good, now), now.Add(2 * time.Hour), "it was valid until"},
		{"too early", a.response(p, ocsp.Good, now), now.Add(-2 * time.Hour), "it is valid only from"},
		{"none", []byte("none"), now, ""},
	} {
		write(t, p.OCSP, test.response)
		doubts, err := Check(c, test.at)
		if err != nil {
			t.Fatal(err)
		}
		fine := len(doubts) == 0
		if fine != (test.name == "good") && !strings.Contains(test.name, "early") || !fine && !strings.Contains(doubts[len(doubts)-1].Text, test.want) {
			t.Errorf("%s: %v", test.name, doubts)
		}
	}
}
