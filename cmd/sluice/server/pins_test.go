package server

import (
	"testing"

	"sluice/admin/api"
	"sluice/state"
)

// Sessions that the application tells apart are pinned without a cookie, and
// stay so through a flip that lets them.
func TestPinsByTheApplicationsKeysSurviveFlips(t *testing.T) {
	for by, session := range map[string]func(v *visitor, target string) answer{
		"header:X-Session": func(v *visitor, target string) answer { return v.get(target, "X-Session: 17") },
		"cookie:sid":       func(v *visitor, target string) answer { return v.get(target, "Cookie: a=b; sid=17") },
		"client_ip":        func(v *visitor, target string) answer { return v.get(target) },
	} {
		t.Run(by, func(t *testing.T) {
			s := run(t, web(t, 100, 0, "pin: {by: \""+by+"\"}"))
			c, other := stranger(t), from(t, "127.0.0.3")
			a := session(c, s.url("", "/"))
			a.served(t, "v1")
			if got := a.header.Get("Set-Cookie"); got != "" {
				t.Errorf("the proxy set %s", got)
			}
			for range 3 {
				s.flip("web", "keep", all("v2"))
				session(c, s.url("", "/")).served(t, "v1")
				s.flip("web", "keep", map[string]int{"v2": 50, "dark": 50})
				session(c, s.url("", "/")).served(t, "v1")
			}
			s.flip("web", "keep", all("v2"))
			other.get(s.url("", "/"), "X-Session: 18", "Cookie: sid=18").served(t, "v2")
			s.flip("web", "move", all("v2"))
			session(c, s.url("", "/")).served(t, "v2")
		})
	}
}

func TestVoidedPinsAreSplitAnewAndCounted(t *testing.T) {
	s := run(t, web(t, 100, 0))
	c := stranger(t)
	stays, moves := c.browser(), c.browser()
	stays.get(s.url("", "/")).served(t, "v1")
	before := stays.cookie(s.url("", "/"), "sluice_web")
	if _, err := s.admin.VoidPins(t.Context(), "web", api.VoidPins{Version: "v1"}); err != nil {
		t.Fatal(err)
	}
	stays.get(s.url("", "/")).served(t, "v1")
	if after := stays.cookie(s.url("", "/"), "sluice_web"); after == before {
		t.Error("the pin that was void was kept")
	}
	if n := s.numbersOf("web", "v1"); n.PinsMade != 2 || n.PinsVoided != 1 || n.PinsMoved != 0 {
		t.Errorf("after voiding: %d made, %d voided, %d moved", n.PinsMade, n.PinsVoided, n.PinsMoved)
	}
	moves.get(s.url("", "/")).served(t, "v1")
	s.flip("web", "move", all("v2"))
	moves.get(s.url("", "/")).served(t, "v2")
	if n := s.numbersOf("web", "v1"); n.PinsMade != 3 || n.PinsMoved != 1 {
		t.Errorf("after moving: %d made, %d voided, %d moved", n.PinsMade, n.PinsVoided, n.PinsMoved)
	}
}

// A session that changes shape says so to its new version, once.
func TestASessionThatChangesShapeSaysSoOnce(t *testing.T) {
	s := run(t, `services:
  web:
    versions:
      v1: {endpoints: ["`+backend(t, "v1")+`"], weight: 1, shape: {writes: "11", reads: ["11", "12"]}}
      v2: {endpoints: ["`+backend(t, "v2")+`"], weight: 0, shape: {writes: "12", reads: ["11", "12"]}}
`)
	b := stranger(t).browser()
	b.get(s.url("", "/")).served(t, "v1")
	s.flip("web", "move", all("v2"))
	a := b.get(s.url("", "/"))
	a.served(t, "v2")
	if got := a.header.Get("Got-Sluice-Session-Moved"); got != "from=v1;shape=11" {
		t.Errorf("got %q", got)
	}
	if got := a.header.Get("Got-Sluice-Shape"); got != "12" {
		t.Errorf("got shape %q", got)
	}
	if got := b.get(s.url("", "/")).header.Get("Got-Sluice-Session-Moved"); got != "" {
		t.Errorf("told again: %q", got)
	}
}

// A version that CI registers is reached by nobody until it gets weight.
func TestAVersionRegisteredByTheAPIServesAndGoes(t *testing.T) {
	s := run(t, keys, web(t, 100, 0))
	c := stranger(t)
	spec := api.VersionSpec{Endpoints: []string{backend(t, "v3")}, Tags: map[string]string{"commit": "3f2a9c1"}}
	if _, err := s.admin.PutVersion(t.Context(), "web", "v3", spec); err != nil {
		t.Fatal(err)
	}
	c.get(s.url("", "/")).served(t, "v1")
	signed, err := s.admin.SignToken(t.Context(), api.TokenRequest{Overrides: map[string]string{"web": "v3"}})
	if err != nil {
		t.Fatal(err)
	}
	c.get(s.url("", "/"), "Sluice-Token: "+signed.Token).served(t, "v3")
	s.flip("web", "move", all("v3"))
	c.get(s.url("", "/")).served(t, "v3")
	s.flip("web", "move", all("v1"))
	if _, err := s.admin.RemoveVersion(t.Context(), "web", "v3", "done"); err != nil {
		t.Fatal(err)
	}
	c.get(s.url("", "/"), "Sluice-Token: "+signed.Token).served(t, "v1")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fleet.members["web"]["v3"] != nil || len(s.fleet.free) != 1 || len(s.fleet.retired.open) != 1 {
		t.Error("the version has not gone")
	}
}

// What this build can't reach is refused at the door. Where the state has it all
// the same, every other version goes on, and flips are in force.
func TestAVersionThatCantBeReachedHarmsNoOther(t *testing.T) {
	s := run(t, web(t, 100, 0))
	unreachable := api.VersionSpec{Endpoints: []string{"dns://10.0.0.1:80"}}
	_, err := s.admin.PutVersion(t.Context(), "web", "v3", unreachable)
	refused(t, err, 422, "is an address already")
	cmd := state.PutVersion{Service: "web", Version: "v3", Spec: state.Spec{Endpoints: unreachable.Endpoints}}
	if _, err := s.keeper.Do(t.Context(), cmd, state.Meta{By: "another build"}); err != nil {
		t.Fatal(err)
	}
	if s.logged("a version is served without endpoints, since they can't be reached") != 1 {
		t.Error("nothing was logged")
	}
	s.flip("web", "move", all("v2"))
	stranger(t).get(s.url("", "/")).served(t, "v2")
	s.flip("web", "move", map[string]int{"v1": 1, "v3": 1})
	stranger(t).get(s.url("", "/"))
	if n := s.numbersOf("web", "v3"); n.Healthy != 0 || n.Total != 0 {
		t.Errorf("got %d of %d healthy", n.Healthy, n.Total)
	}
}
