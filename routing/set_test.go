package routing

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// armOf is the arm of a member that a version is.
func (m SetMember) armOf(version string) string {
	switch version {
	case m.Candidate:
		return "candidate"
	case m.Baseline:
		return "baseline"
	}
	return ""
}

// versionOf is the version of an arm.
func (m SetMember) versionOf(arm string) string {
	return map[string]string{"candidate": m.Candidate, "baseline": m.Baseline}[arm]
}

// held is the version and the epoch of the pin that holds, by the twin; and what
// stands for the session, pinned or not.
func (w *twin) held() (version string, epoch, key uint64) {
	salt := xxhash.Sum64String(w.svc.Salt)
	if w.svc.Pin.By == PinHeader {
		if value, _ := w.req.field("x-session"); value != "" {
			key = max(1, w.hashKey(value))
		}
		return "", 0, key
	}
	id, _, held := w.pinned(true, nil)
	if held {
		return w.out.Version, w.out.Epoch, max(1, mix(w.out.Session+salt))
	}
	if id != 0 {
		key = max(1, mix(id+salt))
	}
	return "", 0, key
}

// sessionOfSet is session in a release set: the words of set.go, one by one.
func (w *twin) sessionOfSet() {
	set := w.svc.Set
	var arm string
	var old bool
	var key uint64
	var own SetMember
	ownVersion := ""
	for _, m := range set.Members {
		other := &twin{cfg: w.cfg, req: w.req, svc: w.service(m.Service)}
		version, epoch, k := other.held()
		if m.Service == w.svc.Name {
			own, ownVersion = m, version
		}
		if arm == "" && key == 0 {
			key = k
		}
		if arm == "" && version != "" {
			if arm = m.armOf(version); arm != "" {
				old = epoch < m.Since
			}
		}
	}
	there := own.versionOf(arm)
	ownArm := own.armOf(ownVersion)
	switch {
	case ownVersion != "" && (ownArm == "" || ownArm == arm || set.Over || w.dark(there)):
		w.pinned(true, nil)
	case arm != "" && !w.dark(there):
		w.pinAnew(there)
		if (old || ownVersion != "") && w.out.Pin == "make" && own.Since > w.version(there).LeastEpoch {
			w.out.Epoch = min(w.out.Epoch, own.Since-1)
		}
	default:
		w.drawSide(own, key)
	}
}

// drawSide gives a new session the candidate or one of the others.
func (w *twin) drawSide(own SetMember, key uint64) {
	if w.svc.Set.Over {
		w.session("", nil)
		return
	}
	if key == 0 {
		key = w.req.Draw
		if w.svc.Pin.By == PinCookie && w.svc.Pin.First == FirstClient {
			ip := w.req.Client.As16()
			agent, _ := w.req.field("user-agent")
			key = mix(mix(xxhash.Sum64(ip[:])+xxhash.Sum64String(w.svc.Salt)) + xxhash.Sum64String(agent))
		}
	}
	point := new(big.Int).SetUint64(mix(key + xxhash.Sum64String(w.svc.Salt)))
	point.Rsh(point.Mul(point, big.NewInt(10_000)), 64)
	if point.Int64() < int64(w.svc.Set.Share) && !w.dark(own.Candidate) {
		w.pinAnew(own.Candidate)
		return
	}
	others := map[string]int{}
	for _, v := range w.svc.Versions {
		if v.Name != own.Candidate {
			others[v.Name] = v.Weight
		}
	}
	if chosen := w.rendezvous(others, key, false); chosen != "" {
		w.pinAnew(chosen)
		return
	}
	w.session("", nil)
}

// pinAnew pins the session to a version, whatever it was pinned to.
func (w *twin) pinAnew(version string) {
	id, was := uint64(0), ""
	if w.svc.Pin.By == PinCookie {
		var held bool
		if id, was, held = w.pinned(true, nil); held {
			id, was = w.out.Session, w.out.Version
		}
	}
	keyed := false
	if w.svc.Pin.By == PinHeader {
		key, _ := w.req.field("x-session")
		if keyed = key != ""; keyed {
			id = max(1, mix(xxhash.Sum64String(key)+xxhash.Sum64String(w.svc.Name)))
		}
	}
	w.out = verdict{Service: w.svc.Name, Version: version, Reason: "split", Pin: "none"}
	if w.svc.Pin.By != PinCookie && !keyed {
		return
	}
	if id == 0 {
		id = max(1, w.req.Draw)
	}
	w.out.Pin, w.out.Session, w.out.Epoch = "make", id, w.svc.Epoch
	if was != version {
		w.out.Moved = was
	}
}

// shopSet is a rollout of two services as one, at a stage. Before it, each has all
// weight on v1; v2 comes.
func shopSet(stage int, share int, by PinBy, tables []*PinTable, end string) Config {
	cfg := Config{Routes: []Route{{Paths: []string{"/web"}, Service: "web"}, {Paths: []string{"/api"}, Service: "api"}, {Paths: []string{"/pay"}, Service: "pay"}}}
	set := &SetConfig{Name: "shop", Share: share, Over: end != ""}
	for i, name := range []string{"api", "pay", "web"} {
		svc := ServiceConfig{Name: name, Epoch: uint64(10*i + stage), Salt: "r1", Pin: PinConfig{By: by}, Pins: tables[i]}
		if by == PinHeader {
			svc.Pin.Name = "X-Session"
		}
		v1 := VersionConfig{Name: "v1", Slot: 2 * i, Weight: 10_000 - share, Draining: share == 10_000}
		v2 := VersionConfig{Name: "v2", Slot: 2*i + 1, Weight: share}
		if end == "drain" {
			v2.Draining = true
		}
		svc.Versions = []VersionConfig{v1, v2}
		svc.Set = set
		set.Members = append(set.Members, SetMember{Service: name, Candidate: "v2", Baseline: "v1", Since: uint64(10*i + 1)})
		cfg.Services = append(cfg.Services, svc)
	}
	return cfg
}

// browsing is a session as its client sees it.
type browsing struct {
	key     string
	cookies map[string]string
	on      map[string]string // by service, the version that it saw last
}

// ask decides a request of the session for a service, and takes the pin in.
func (b *browsing) ask(s *Snapshot, service string, draw uint64) Decision {
	var cookie []string
	for _, name := range []string{"web", "api", "pay"} {
		if v := b.cookies[name]; v != "" {
			cookie = append(cookie, v)
		}
	}
	req := ask("X-Session: "+b.key, "Cookie: "+strings.Join(cookie, "; "))
	req.Path, req.Draw = "/"+service, draw
	d := s.Decide(req)
	if d.Pin == PinMake {
		b.cookies[service], _, _ = strings.Cut(string(AppendPinCookie(nil, &d, d.Service, false)), ";")
		d.Remember(now)
	}
	b.on[service] = d.Version.Name
	return d
}

// Whichever service a session meets first, and whenever: from the first stage to
// the promotion or the rollback, all that it gets is of one side at a time. It
// comes to the candidates' side once, and leaves it with a rollback alone.
func TestASessionOfASetNeverMixes(t *testing.T) {
	services := []string{"web", "api", "pay"}
	for _, by := range []PinBy{PinCookie, PinHeader} {
		rapid.Check(t, func(t *rapid.T) {
			tables := []*PinTable{NewPinTable(1000), NewPinTable(1000), NewPinTable(1000)}
			random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
			end := rapid.SampledFrom([]string{"move", "drain"}).Draw(t, "end")
			sessions := make([]browsing, 40)
			for i := range sessions {
				sessions[i] = browsing{fmt.Sprint(i, " of ", random.Uint64()), map[string]string{}, map[string]string{}}
			}
			for stage, share := range []int{0, 100, 500, 2500, 5000, 10_000, 0} {
				ended := ""
				if stage == 6 {
					ended = end
				}
				s, err := Build(shopSet(stage, share, by, tables, ended))
				if err != nil {
					t.Fatal(err)
				}
				for i := range sessions {
					b := &sessions[i]
					if random.IntN(4) == 0 {
						continue // comes later
					}
					before := len(b.on) > 0 && slices.Contains(mapValues(b.on), "v2")
					clear(b.on)
					for range 1 + random.IntN(5) {
						b.ask(s, services[random.IntN(3)], random.Uint64())
					}
					versions := mapValues(b.on)
					if slices.Contains(versions, "v1") && slices.Contains(versions, "v2") {
						t.Fatalf("stage %d: session %d is on %v", stage, i, b.on)
					}
					if after := slices.Contains(versions, "v2"); before && !after && ended != "move" {
						t.Fatalf("stage %d: session %d went back to %v", stage, i, b.on)
					}
				}
			}
		})
	}
}

func mapValues(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// A set's share of new sessions is exact, in each of its services.
func TestASetsShareIsThatOfItsSessions(t *testing.T) {
	const n = 20_000
	for _, by := range []PinBy{PinCookie, PinHeader} {
		s := build(t, shopSet(1, 500, by, make([]*PinTable, 3), ""))
		for _, service := range []string{"web", "api"} {
			random, v2 := rand.New(rand.NewPCG(1, 2)), 0
			for i := range n {
				b := browsing{fmt.Sprint(i), map[string]string{}, map[string]string{}}
				if b.ask(s, service, random.Uint64()).Version.Name == "v2" {
					v2++
				}
			}
			if v2 < n*4/100 || v2 > n*6/100 {
				t.Errorf("%v: %d of %d sessions of %s are the candidate's, want 5%%", by, v2, n, service)
			}
		}
	}
}

// Pins made because of another service's are of before the rollout where that one
// is, and else are counted from the epoch in force, of sessions that join; neither
// is a draw.
func TestWhoFollowsIsNotDrawn(t *testing.T) {
	s := build(t, shopSet(3, 5000, PinCookie, make([]*PinTable, 3), ""))
	for cookie, want := range map[string]struct {
		version string
		epoch   uint64
		joins   bool
	}{
		"sluice_web=19.0000000000000001.v1": {"v1", 0, false}, // web counts from 21, api from 1
		"sluice_web=22.0000000000000001.v1": {"v1", 3, true},
		"sluice_web=22.0000000000000001.v2": {"v2", 3, true},
	} {
		req := ask("Cookie: " + cookie)
		req.Path = "/api"
		d := s.Decide(req)
		if d.Version.Name != want.version || d.Epoch != want.epoch || !d.Followed || d.Joins != want.joins || d.Pin != PinMake {
			t.Errorf("%s: %s in epoch %d, followed %v, joins %v, pin %v; want %+v", cookie, d.Version.Name, d.Epoch, d.Followed, d.Joins, d.Pin, want)
		}
	}
	// Drawn to both sides at once, before either pin was seen: the first leads.
	req := ask("Cookie: sluice_web=22.0000000000000001.v2; sluice_api=2.0000000000000002.v1")
	req.Path = "/web"
	d := s.Decide(req)
	if d.Version.Name != "v1" || d.MovedFrom == nil || d.Epoch != 20 || !d.Followed || d.Joins {
		t.Errorf("on both sides: %+v", d.verdict())
	}
	why := s.Explain(req)
	if last := why.Steps[len(why.Steps)-1].Why; !strings.Contains(last, "pin in api puts it on the side of v1 in release set shop") {
		t.Errorf("explained by %q", last)
	}
}

func TestSetsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*SetConfig)
		want   string
	}{
		"a share that is none": {func(s *SetConfig) { s.Share = 10_001 }, "services.api.set.share: 10001 is no share; it is 0 to 10000"},
		"an unknown service":   {func(s *SetConfig) { s.Members[1].Service = "x" }, `services.api.set.members: there is no service "x"`},
		"an unknown candidate": {func(s *SetConfig) { s.Members[0].Candidate = "v9" }, `services.api.set.candidate: api has no version "v9"; it has v1, v2`},
		"not its own":          {func(s *SetConfig) { s.Members = s.Members[1:] }, "services.api.set.members: api is not among them"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := shopSet(1, 500, PinCookie, make([]*PinTable, 3), "")
			test.change(cfg.Services[0].Set)
			if _, err := Build(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// With compiles a set's services anew, and its members find each other.
func TestASetWithNewParts(t *testing.T) {
	s := build(t, shopSet(1, 0, PinCookie, make([]*PinTable, 3), ""))
	later := shopSet(2, 10_000, PinCookie, make([]*PinTable, 3), "")
	next, err := s.With(2, later.Services...)
	if err != nil {
		t.Fatal(err)
	}
	b := browsing{"a", map[string]string{}, map[string]string{}}
	b.ask(s, "web", 1)
	b.ask(next, "api", 2)
	if b.on["web"] != "v1" || b.on["api"] != "v1" {
		t.Errorf("the session is on %v", b.on)
	}
}

func TestDecisionsInASetAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tables := []*PinTable{NewPinTable(100), NewPinTable(100), NewPinTable(100)}
	for _, by := range []PinBy{PinCookie, PinHeader} {
		s := build(t, shopSet(1, 500, by, tables, ""))
		req := ask("X-Session: a", "Cookie: sluice_api=1.0000000000000001.v1")
		req.Path = "/web"
		if n := testing.AllocsPerRun(100, func() { s.Decide(req) }); n != 0 {
			t.Errorf("%v: %v allocations a decision", by, n)
		}
	}
}

func BenchmarkDecideInASet(b *testing.B) {
	s, err := Build(shopSet(1, 500, PinCookie, make([]*PinTable, 3), ""))
	if err != nil {
		b.Fatal(err)
	}
	req := ask("Cookie: sluice_api=1.0000000000000001.v1; sluice_web=21.0000000000000001.v1")
	req.Path = "/web"
	b.ReportAllocs()
	for b.Loop() {
		s.Decide(req)
	}
}
