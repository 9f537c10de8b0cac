package state

import (
	"maps"
	"strings"
	"testing"
)

// declare returns what the file says with one service's declaration changed.
func declare(weights map[string]int) Declare { return Declare{Services: web(weights)} }

func TestDeclareNewService(t *testing.T) {
	s := &steps{t: t, now: day}
	file := declare(map[string]int{"v1": 100, "v2": 0})
	file.Services["api"] = DeclaredService{}
	events := s.ok(file)
	if len(events) != 2 || events[0].Service != "api" || events[1].Service != "web" {
		t.Fatalf("events %+v: want one a service, by name", events)
	}
	if e := events[1]; e.Epoch != 1 || len(e.Before) != 0 || !maps.Equal(e.After, map[string]int{"v1": 100}) {
		t.Errorf("event %+v", e)
	}
	if v := s.version("v1"); v.Origin != FromFile || v.LeastEpoch != 1 || v.Weight != 100 || v.Drain.On {
		t.Errorf("v1 %+v", v)
	}
	s.nothing(file)
	s.refused(Rollback{Service: "web"}, ErrRefused, "to")
}

func TestUnchangedFileUndoesNothing(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(flipTo("v2", 100))
	s.nothing(declare(map[string]int{"v1": 100, "v2": 0}))
	s.ok(declare(map[string]int{"v1": 100, "v2": 0, "v3": 0}))
	s.weights(map[string]int{"v2": 100})
	if s.svc().Epoch != 2 || s.mode("v3") != Dark {
		t.Errorf("epoch %d, v3 %s", s.svc().Epoch, s.mode("v3"))
	}
}

func TestChangedFileFlips(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(PutVersion{Service: "web", Version: "ci", Spec: spec("ci")})
	s.ok(flipTo("v1", 50, "ci", 50))
	events := s.ok(declare(map[string]int{"v1": 90, "v2": 10}))
	s.weights(map[string]int{"v1": 90, "v2": 10})
	if s.mode("ci") != Draining {
		t.Errorf("the API's version is %s, want draining", s.mode("ci"))
	}
	if f := s.svc().Flips[2]; f.Kind != "declare" || f.Pins.Mode != PinsDrain || !strings.Contains(events[0].Detail, "from ci=50 v1=50 v2=0 to ci=0 v1=90 v2=10") {
		t.Errorf("flip %+v, detail %q", f, events[0].Detail)
	}
	s.nothing(declare(map[string]int{"v1": 90, "v2": 10}))
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 50, "ci": 50})
	s.nothing(declare(map[string]int{"v1": 90, "v2": 10}))
}

func TestFileWithoutWeightsHasNoSay(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(withPins(flipTo("v2", 100), Pins{Mode: PinsMove}))
	s.ok(declare(map[string]int{"v2": 0}))
	s.weights(map[string]int{"v2": 100})
	if s.svc().Versions["v1"] != nil || s.svc().FileWeights != nil {
		t.Errorf("v1 %v, file weights %v", s.svc().Versions["v1"], s.svc().FileWeights)
	}
	s.ok(declare(map[string]int{"v2": 1}))
	s.weights(map[string]int{"v2": 1})
}

func TestFileDropsVersions(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 60, "v2": 40, "v3": 0}))
	s.refused(declare(map[string]int{"v3": 100}), ErrRefused, "services", "web/v1 (live with weight 60), web/v2 (live with weight 40)", "weight 0")
	s.ok(flipTo("v3", 100))
	s.refused(declare(map[string]int{"v3": 100}), ErrRefused, "services", "web/v1 (draining until")
	s.now = s.now.Add(DefaultDrain)
	s.ok(declare(map[string]int{"v3": 100}))
	if names := s.svc().VersionNames(); len(names) != 1 {
		t.Errorf("versions %v", names)
	}
}

func TestFileDropsServices(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100}))
	other := Declare{Services: map[string]DeclaredService{"api": {Versions: map[string]DeclaredVersion{"v7": {Spec: spec("v7"), Weight: 1}}}}}
	s.ok(PutVersion{Service: "web", Version: "ci", Spec: spec("ci")})
	s.ok(flipTo("v1", 99, "ci", 1))
	s.refused(other, ErrRefused, "services", "web/ci (live with weight 1, registered by the API)")
	if s.state.Services["api"] != nil {
		t.Fatal("a refused file was taken in part")
	}
	s.ok(flipTo("v1", 100))
	events := s.ok(other)
	if s.svc() != nil || len(events) != 2 || events[1].Service != "web" || events[1].Before["v1"] != 100 || len(events[1].After) != 0 {
		t.Errorf("web %v, events %+v", s.svc(), events)
	}
}

func TestFileTakesOverAPIVersions(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100}))
	ci := Spec{Endpoints: []string{"a:1"}, Shape: &Shape{Writes: "2"}}
	s.ok(PutVersion{Service: "web", Version: "ci", Spec: ci})
	s.ok(flipTo("v1", 99, "ci", 1))
	file := declare(map[string]int{"v1": 100})
	file.Services["web"].Versions["ci"] = DeclaredVersion{Spec: Spec{Endpoints: []string{"a:1"}}}
	s.refused(file, ErrRefused, "spec.shape", "its shape can't change")
	file.Services["web"].Versions["ci"] = DeclaredVersion{Spec: ci}
	s.ok(file)
	if v := s.version("ci"); v.Origin != FromFile || v.Weight != 1 {
		t.Errorf("ci %+v", v)
	}
	s.nothing(file)
	s.refused(RemoveVersion{Service: "web", Version: "ci"}, ErrRefused, "version", "file")
}

func TestMalformedFile(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100}))
	one := func(service, version string, v DeclaredVersion) Declare {
		return Declare{Services: map[string]DeclaredService{service: {Versions: map[string]DeclaredVersion{version: v}}}}
	}
	s.refused(one("a b", "v1", DeclaredVersion{}), ErrInvalid, "services.a b")
	s.refused(one("web", "", DeclaredVersion{}), ErrInvalid, "services.web.versions.")
	s.refused(one("web", "v1", DeclaredVersion{Spec: Spec{Endpoints: []string{"x"}}}), ErrInvalid, "services.web.versions.v1.endpoints[0]")
	s.refused(one("web", "v1", DeclaredVersion{Spec: spec("v1"), Weight: -1}), ErrInvalid, "weights.v1")
	s.refused(one("web", "v1", DeclaredVersion{Weight: 1}), ErrRefused, "spec.endpoints")
	s.refused(one("new", "v1", DeclaredVersion{Weight: 1}), ErrRefused, "weights.v1", "no endpoints")
}
