package certs

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	readAnew = "the certificates were read anew"
	refused  = "the changed certificates are refused; those before stay in force"
)

// A connection that is open has no part in a change; the next gets the new
// certificate.
func TestChangedFilesAreTaken(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	k, _ := keeper(t, Options{})
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{a.pair(dir, "web", "first.test")}})
	config := s.TLS()
	if got := shown(t, s, ""); got != "first.test" {
		t.Fatal(got)
	}
	a.pair(dir, "web", "second.test")
	await(t, "the second certificate", func() bool { return shown(t, s, "") == "second.test" })

	// By a rename of each file, as many tools write.
	a.pair(dir, "new", "third.test")
	for _, ending := range []string{".pem", ".key"} {
		if err := os.Rename(filepath.Join(dir, "new"+ending), filepath.Join(dir, "web"+ending)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the third certificate", func() bool { return shown(t, s, "") == "third.test" })
	if s.TLS() != config {
		t.Error("a change made another configuration: its sessions are lost")
	}
}

// Kubernetes mounts a secret as links into a directory, and changes it by
// renaming the link to that.
func TestASwappedDirectoryIsTaken(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	for _, name := range []string{"first", "second", "third"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		a.pair(filepath.Join(dir, name), "tls", name+".test")
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("first", "..data")
	link("..data/tls.pem", "tls.pem")
	link("..data/tls.key", "tls.key")
	k, _ := keeper(t, Options{})
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{{Cert: filepath.Join(dir, "tls.pem"), Key: filepath.Join(dir, "tls.key")}}})
	for _, name := range []string{"second", "third"} {
		link(name, "..new")
		if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		await(t, "the certificate of "+name, func() bool { return shown(t, s, "") == name+".test" })
	}
}

func TestAHalfWrittenPairKeepsTheOneBefore(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	var failures atomic.Int32
	k, logs := keeper(t, Options{Failed: func() { failures.Add(1) }})
	p := a.pair(dir, "web", "first.test")
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{p}})
	chain, key := a.sign(template("second.test"), newKey(t, false))
	write(t, p.Cert, chain)
	await(t, "the refusal", func() bool { return logs.FilterMessage(refused).Len() == 1 })
	if got := shown(t, s, ""); got != "first.test" {
		t.Errorf("shown %s", got)
	}
	line := logs.FilterMessage(refused).All()[0].ContextMap()
	if text, _ := line["error"].(string); line["listener"] != "edge" || !strings.Contains(text, p.Cert) || !strings.Contains(text, "private key does not match") {
		t.Errorf("logged %v", line)
	}
	write(t, p.Key, key)
	await(t, "the second certificate", func() bool { return shown(t, s, "") == "second.test" })
	if err := os.Remove(p.Key); err != nil {
		t.Fatal(err)
	}
	await(t, "the second refusal", func() bool { return logs.FilterMessage(refused).Len() == 2 })
	if n := failures.Load(); n != 2 || shown(t, s, "") != "second.test" {
		t.Errorf("%d failures, shown %s", n, shown(t, s, ""))
	}
}

// fake is a clock whose timers the test fires.
type fake struct {
	now    atomic.Pointer[time.Time]
	timers chan timer
}

type timer struct {
	length time.Duration
	fire   chan time.Time
}

func newFake() *fake {
	f := &fake{timers: make(chan timer, 100)}
	f.set(time.Now())
	return f
}

func (f *fake) set(now time.Time) { f.now.Store(&now) }

func (f *fake) options() Options {
	return Options{Now: func() time.Time { return *f.now.Load() }, after: func(d time.Duration) <-chan time.Time {
		c := make(chan time.Time, 1)
		f.timers <- timer{d, c}
		return c
	}}
}

// round lets time pass until the files were looked at and found at rest.
func (f *fake) round(t *testing.T) {
	t.Helper()
	for {
		select {
		case next := <-f.timers:
			next.fire <- time.Now()
			if next.length == poll && len(f.timers) == 0 {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nobody waits")
		}
	}
}

// What no notice tells of is found by the poll.
func TestThePollFindsChanges(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	f := newFake()
	k, logs := keeper(t, f.options())
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{a.pair(dir, "web", "first.test")}})
	f.round(t)
	_ = k.notices.Remove(dir)
	a.pair(dir, "web", "second.test")
	await(t, "the change", func() bool {
		select {
		case next := <-f.timers:
			next.fire <- time.Now()
		default:
		}
		return logs.FilterMessage(readAnew).Len() == 1
	})
	if got := shown(t, s, ""); got != "second.test" {
		t.Error(got)
	}
}

func TestTheLogSaysOnceThatACertificateEnds(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	f := newFake()
	k, logs := keeper(t, f.options())
	p := a.pair(dir, "web", "web.test")
	p.OCSP = filepath.Join(dir, "web.ocsp")
	write(t, p.OCSP, a.response(p, ocsp.Good, time.Now()))
	s := open(t, k, Config{Name: "edge", Pairs: []Pair{p}})
	stapled := func() bool {
		state, err, _ := shake(t, s.TLS(), &tls.Config{ServerName: "web.test", InsecureSkipVerify: true})
		return err == nil && len(state.OCSPResponse) > 0
	}
	if !stapled() {
		t.Error("no response is stapled")
	}
	tell := func() int { return logs.FilterMessage("a doubt about a certificate").Len() }
	pass := func(d time.Duration) {
		f.set(time.Now().Add(d))
		for range 3 {
			select {
			case next := <-f.timers:
				next.fire <- time.Now()
			case <-time.After(10 * time.Second):
				t.Fatal("nobody waits")
			}
		}
	}
	pass(time.Minute)
	if tell() != 0 {
		t.Error("a doubt too soon")
	}
	pass(95 * 24 * time.Hour)
	await(t, "the doubt", func() bool { return tell() == 1 })
	if stapled() {
		t.Error("a response that has run out is stapled")
	}
	pass(96 * 24 * time.Hour)
	if tell() != 1 {
		t.Error("the doubt is told again")
	}
	pass(101 * 24 * time.Hour)
	await(t, "the end", func() bool { return tell() == 2 })
	if n := logs.FilterMessage("an OCSP response is not stapled").Len(); n != 1 {
		t.Errorf("%d lines of the response", n)
	}
}

func TestSourcesOfAConfigAreOne(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	k, logs := keeper(t, Options{})
	p, q := a.pair(dir, "web", "web.test"), a.pair(dir, "twin", "web.test")
	one := Config{Name: "edge", Pairs: []Pair{p, q}, ClientAuth: Request}
	s := open(t, k, one)
	if open(t, k, Config{Name: "edge", Pairs: []Pair{p, q}, ClientAuth: Request}) != s {
		t.Error("an equal Config has a source of its own")
	}
	two := open(t, k, Config{Name: "edge", Pairs: []Pair{q}})
	if two == s {
		t.Error("another Config has the same source")
	}
	third := open(t, k, Config{Name: "other", Pairs: []Pair{p}})
	if all := k.Expiries(); len(all) != 2 || all[0].Server != "edge" || all[0].Name != "web.test" || all[1].Server != "other" {
		t.Errorf("got %v", all)
	}
	k.Keep(two, third)
	if open(t, k, one) == s {
		t.Error("a closed source is handed out")
	}
	// One that is closed serves on, and follows its files no more.
	k.Keep(third)
	a.pair(dir, "web", "second.test")
	await(t, "the reload", func() bool { return logs.FilterMessage(readAnew).Len() == 1 })
	if got := shown(t, s, ""); got != "web.test" {
		t.Error(got)
	}
}
