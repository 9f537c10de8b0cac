package routing

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A snapshot with a service compiled anew decides as one built from scratch,
// and the snapshot that it was made of decides as before.
func TestWithIsBuild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawConfig(t)
		old, err := Build(before)
		if err != nil {
			t.Skip(err)
		}
		after := before
		after.Revision = 8
		after.Services = []ServiceConfig{before.Services[0], drawService(t, "api", 10)}
		whole, wholeErr := Build(after)
		next, err := old.With(8, after.Services[1])
		if (err == nil) != (wholeErr == nil) {
			t.Fatalf("With says %v, Build %v", err, wholeErr)
		}
		req := drawRequest(t)
		if got, want := old.Decide(req).verdict(), slowly(before, req); got != want {
			t.Fatalf("the old snapshot decides %+v, want %+v", got, want)
		}
		if err != nil {
			return
		}
		if next.Revision != whole.Revision {
			t.Fatalf("revision %d, want %d", next.Revision, whole.Revision)
		}
		if got, want := next.Decide(req).verdict(), whole.Decide(req).verdict(); got != want {
			t.Fatalf("With decides %+v, Build %+v", got, want)
		}
	})
}

func TestWithRefuses(t *testing.T) {
	cfg := web()
	cfg.Services = append(cfg.Services, ServiceConfig{Name: "api", Versions: []VersionConfig{{Name: "v1", Weight: 1}}})
	s := build(t, cfg)
	pinned := web().Services[0]
	pinned.Pin.Name = "sluice_api"
	hidden := web(rules(RuleConfig{Name: "all", Version: "v1"}, RuleConfig{Name: "some", Version: "v2", Match: Match{Path: "/a"}})).Services[0]
	for want, svc := range map[string]ServiceConfig{
		"services.shop: the snapshot has no such service":     {Name: "shop"},
		"services.web.pin.name: the cookie sluice_api pins":   pinned,
		"services.web.rules[1]: rule some can never":          hidden,
		"services.web.versions.v1.weight: -1 is no weight":    {Name: "web", Versions: []VersionConfig{{Name: "v1", Weight: -1}}},
		"services.web.versions.v1: it is declared twice":      {Name: "web", Versions: []VersionConfig{{Name: "v1"}, {Name: "v1"}}},
		"services.web.versions.v 1: \"v 1\" names no version": {Name: "web", Versions: []VersionConfig{{Name: "v 1"}}},
	} {
		if _, err := s.With(9, svc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if s.Revision != 0 || s.Service("web").Version("v1").Weight != 90 {
		t.Error("a refusal changed the snapshot")
	}
}

func BenchmarkWith(b *testing.B) {
	s := manyServices(b, 10_000)
	svc := ServiceConfig{Name: s.Services()[0].Name, Versions: []VersionConfig{{Name: "v1", Weight: 1}, {Name: "v2", Weight: 1}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.With(1, svc); err != nil {
			b.Fatal(err)
		}
	}
}

// A pin that its epoch voided is told from one that a flip left behind, and
// also where the session comes to the same version again.
func TestVoidedPinIsTold(t *testing.T) {
	void := func(svc *ServiceConfig) {
		svc.Versions = []VersionConfig{{Name: "v1", Weight: 1, LeastEpoch: 7}, {Name: "v2"}}
	}
	s := build(t, web(void))
	for cookie, want := range map[string]string{
		"6.00000000000000ab.v1": "v1 voided, from none",
		"7.00000000000000ab.v1": "none voided, from none",
		"6.00000000000000ab.v2": "none voided, from v2",
	} {
		d := s.Decide(ask("Cookie: sluice_web=" + cookie))
		if got := d.Voided.String() + " voided, from " + d.MovedFrom.String(); got != want {
			t.Errorf("%s: got %s, want %s", cookie, got, want)
		}
	}
}
