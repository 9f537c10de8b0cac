package state

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
)

var day = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// steps is a state under test: each step applies a command a minute after the
// one before.
type steps struct {
	t     *testing.T
	state State
	now   time.Time
}

func start(t *testing.T, services map[string]DeclaredService) *steps {
	t.Helper()
	s := &steps{t: t, now: day}
	s.ok(Declare{Services: services})
	return s
}

// web declares one service "web" with endpoints for each version.
func web(weights map[string]int) map[string]DeclaredService {
	versions := map[string]DeclaredVersion{}
	for name, w := range weights {
		versions[name] = DeclaredVersion{Spec: spec(name), Weight: w}
	}
	return map[string]DeclaredService{"web": {Versions: versions}}
}

func spec(name string) Spec { return Spec{Endpoints: []string{name + ".internal:80"}} }

func (s *steps) apply(cmd Command) (State, []Event, error) {
	s.now = s.now.Add(time.Minute)
	return Apply(s.state, cmd, Meta{By: "anna", Why: "test", At: s.now})
}

func (s *steps) ok(cmd Command) []Event {
	s.t.Helper()
	next, events, err := s.apply(cmd)
	if err != nil {
		s.t.Fatalf("%s %+v: %v", cmd.Kind(), cmd, err)
	}
	if len(events) == 0 {
		s.t.Fatalf("%s %+v changed nothing", cmd.Kind(), cmd)
	}
	s.state = next
	return events
}

func (s *steps) nothing(cmd Command) {
	s.t.Helper()
	next, events, err := s.apply(cmd)
	if err != nil || len(events) > 0 || !reflect.DeepEqual(next, s.state) {
		s.t.Fatalf("%s %+v: events %v, error %v; want no change", cmd.Kind(), cmd, events, err)
	}
}

// refused checks the reason and that the message holds each part.
func (s *steps) refused(cmd Command, reason error, field string, parts ...string) {
	s.t.Helper()
	before := s.state
	next, events, err := s.apply(cmd)
	var r *Refusal
	if !errors.As(err, &r) || !errors.Is(err, reason) {
		s.t.Fatalf("%s %+v: error %v, want a refusal for %v", cmd.Kind(), cmd, err, reason)
	}
	if len(events) > 0 || !reflect.DeepEqual(next, before) {
		s.t.Fatalf("%s: a refused command changed the state", cmd.Kind())
	}
	if r.Field != field {
		s.t.Errorf("%s: field %q, want %q", cmd.Kind(), r.Field, field)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			s.t.Errorf("%s: error %q lacks %q", cmd.Kind(), err, part)
		}
	}
}

func (s *steps) weights(want map[string]int) {
	s.t.Helper()
	if got := weighted(s.svc().Weights()); !maps.Equal(got, weighted(want)) {
		s.t.Fatalf("weights %v, want %v", got, want)
	}
}

func (s *steps) svc() *Service            { return s.state.Services["web"] }
func (s *steps) version(n string) Version { return *s.svc().Versions[n] }
func (s *steps) mode(n string) Mode       { v := s.version(n); return v.Mode(s.now) }
func flipTo(pairs ...any) SetWeights {
	w := map[string]int{}
	for i := 0; i < len(pairs); i += 2 {
		w[pairs[i].(string)] = pairs[i+1].(int)
	}
	return SetWeights{Service: "web", Weights: w}
}

func withPins(c SetWeights, p Pins) SetWeights { c.Pins = p; return c }

func TestSetWeightsRecordsTheFlip(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0, "v3": 0}))
	events := s.ok(flipTo("v1", 95, "v2", 5))
	want := Event{
		Revision: 2, At: s.now, By: "anna", Why: "test", Kind: "set_weights", Service: "web", Epoch: 2,
		Before: map[string]int{"v1": 100, "v2": 0}, After: map[string]int{"v1": 95, "v2": 5},
		Detail: "weights from v1=100 v2=0 to v1=95 v2=5, pins drain for 30m0s",
	}
	if len(events) != 1 || !reflect.DeepEqual(events[0], want) {
		t.Errorf("events\n%+v, want\n%+v", events, want)
	}
	f := s.svc().Flips[1]
	if f.Epoch != 2 || f.Kind != "set_weights" || f.Pins != (Pins{Mode: PinsDrain, For: DefaultDrain}) || !maps.Equal(f.After, want.After) {
		t.Errorf("flip %+v", f)
	}
	if s.svc().Revision != 2 || s.state.Revision != 2 || s.svc().Epoch != 2 {
		t.Errorf("revision %d of %d, epoch %d; want 2, 2, 2", s.svc().Revision, s.state.Revision, s.svc().Epoch)
	}
	s.nothing(flipTo("v1", 95, "v2", 5))
	s.nothing(flipTo("v1", 95, "v2", 5, "v3", 0))
}

func TestSetWeightsRefusals(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(PutVersion{Service: "web", Version: "bare"})
	s.refused(SetWeights{Service: "wbe"}, ErrNotFound, "service", `no service "wbe"`, "known services: web")
	s.refused(flipTo("v9", 0, "v1", 1), ErrNotFound, "weights.v9", `no version "v9"`, "known versions: bare, v1, v2")
	s.refused(flipTo("v1", -1), ErrInvalid, "weights.v1", "-1 is no weight", "0 to 1000000")
	s.refused(flipTo("v1", MaxWeight+1), ErrInvalid, "weights.v1")
	s.refused(flipTo("v1", 0), ErrRefused, "weights", "no live version")
	s.refused(flipTo(), ErrRefused, "weights")
	s.refused(flipTo("v1", 1, "bare", 1), ErrRefused, "weights.bare", "no endpoints")
	s.refused(SetWeights{Service: "web", Weights: map[string]int{"v2": 1}, Match: 1}, ErrConflict, "match", "revision 2, not 1")
	s.ok(SetWeights{Service: "web", Weights: map[string]int{"v2": 1}, Match: 2})
	s.refused(withPins(flipTo("v1", 1), Pins{Mode: "freeze"}), ErrInvalid, "pins.mode", `"freeze"`, "move, drain or keep")
	s.refused(withPins(flipTo("v1", 1), Pins{For: -1}), ErrInvalid, "pins.for")
	s.refused(withPins(flipTo("v1", 1), Pins{For: MaxDrain + 1}), ErrInvalid, "pins.for", "keep")
	s.refused(withPins(flipTo("v1", 1), Pins{Mode: PinsMove, For: 1}), ErrInvalid, "pins.for")
}

func TestAllDarkServiceMayStaySo(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 0, "v2": 0}))
	if s.svc().Epoch != 1 || len(s.svc().Flips) != 0 {
		t.Fatalf("epoch %d, flips %v", s.svc().Epoch, s.svc().Flips)
	}
	s.nothing(flipTo("v1", 0))
	s.refused(Rollback{Service: "web"}, ErrRefused, "to", "nothing to go back to", "--to): v1, v2")
	s.ok(flipTo("v1", 1))
	s.refused(Rollback{Service: "web"}, ErrRefused, "to")
}

func TestPinsAtAFlip(t *testing.T) {
	until := func(s *steps, d time.Duration) Drain { return Drain{On: true, Until: s.now.Add(d)} }
	t.Run("drain", func(t *testing.T) {
		s := start(t, web(map[string]int{"v1": 60, "v2": 40, "v3": 0}))
		s.ok(withPins(flipTo("v2", 10, "v3", 90), Pins{For: time.Hour}))
		if v := s.version("v1"); v.Drain != until(s, time.Hour) || v.LeastEpoch != 1 {
			t.Errorf("v1 %+v: want a drain of an hour and old pins", v)
		}
		if v := s.version("v2"); v.Drain.On || v.LeastEpoch != 1 {
			t.Errorf("v2 %+v: a lowered version keeps its pins", v)
		}
		deadline := s.version("v1").Drain
		s.ok(withPins(flipTo("v3", 100), Pins{Mode: PinsKeep}))
		if s.version("v1").Drain != deadline || s.version("v2").Drain != (Drain{On: true}) {
			t.Errorf("v1 %v, v2 %v: v1 keeps its deadline, v2 gets none", s.version("v1").Drain, s.version("v2").Drain)
		}
		s.ok(flipTo("v1", 1, "v3", 99))
		if s.version("v1").Drain.On {
			t.Error("a version that gets weight again still drains")
		}
	})
	t.Run("move", func(t *testing.T) {
		s := start(t, web(map[string]int{"v1": 60, "v2": 40, "v3": 0}))
		s.ok(withPins(flipTo("v1", 60, "v3", 40), Pins{Mode: PinsKeep}))
		s.ok(withPins(flipTo("v1", 50, "v3", 50), Pins{Mode: PinsMove}))
		for name, want := range map[string]uint64{"v1": 3, "v2": 3, "v3": 1} {
			if v := s.version(name); v.LeastEpoch != want || v.Drain.On {
				t.Errorf("%s %+v: want least epoch %d and no drain", name, v, want)
			}
		}
		if s.mode("v2") != Dark {
			t.Errorf("v2 is %s: a move ends drains", s.mode("v2"))
		}
	})
	t.Run("move by share, not by weight", func(t *testing.T) {
		s := start(t, web(map[string]int{"v1": 50, "v2": 50}))
		s.ok(withPins(flipTo("v1", 60, "v2", 120), Pins{Mode: PinsMove}))
		if v := s.version("v1"); v.LeastEpoch != 2 {
			t.Errorf("v1's share fell from a half to a third, its pins hold: %+v", v)
		}
		if v := s.version("v2"); v.LeastEpoch != 1 {
			t.Errorf("v2's share rose, its pins are gone: %+v", v)
		}
	})
	t.Run("move ends drains though weights stay", func(t *testing.T) {
		s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
		s.ok(flipTo("v2", 100))
		flips := len(s.svc().Flips)
		s.ok(Rollback{Service: "web", To: "v2"})
		if s.mode("v1") != Dark || s.svc().Epoch != 3 || len(s.svc().Flips) != flips {
			t.Errorf("v1 %s, epoch %d, %d flips", s.mode("v1"), s.svc().Epoch, len(s.svc().Flips))
		}
		s.nothing(Rollback{Service: "web", To: "v2"})
	})
}

func TestRollbackGoesBackAndNeverForth(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(flipTo("v1", 95, "v2", 5))
	s.ok(flipTo("v1", 50, "v2", 50))
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 95, "v2": 5})
	if v := s.version("v2"); v.LeastEpoch != s.svc().Epoch {
		t.Errorf("v2 %+v: a rollback moves pins", v)
	}
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 100})
	s.refused(Rollback{Service: "web"}, ErrRefused, "to", "no raise is left", "--to): v2")
	s.ok(flipTo("v2", 100))
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 100})
	s.refused(Rollback{Service: "web"}, ErrRefused, "to")
}

func TestRollbackToTakesBackWhatLedAway(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0, "v3": 0}))
	s.ok(flipTo("v2", 100))          // stays
	s.ok(flipTo("v2", 90, "v3", 10)) // taken back
	s.ok(flipTo("v2", 50, "v3", 50)) // taken back
	s.ok(Rollback{Service: "web", To: "v2"})
	s.weights(map[string]int{"v2": 100})
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 100})
	s.ok(Rollback{Service: "web", To: "v3"}) // nothing ever led away from v3
	s.refused(Rollback{Service: "web"}, ErrRefused, "to", "--to): v1, v2")
	s.refused(Rollback{Service: "web", To: "v7"}, ErrNotFound, "to", "known versions: v1, v2, v3")
	s.refused(Rollback{Service: "api"}, ErrNotFound, "service")
	s.refused(Rollback{Service: "web", Pins: Pins{For: time.Hour}}, ErrInvalid, "pins.for")
}

func TestRollbackPastRemovedVersions(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100}))
	s.ok(PutVersion{Service: "web", Version: "v2", Spec: spec("v2")})
	s.ok(PutVersion{Service: "web", Version: "v3", Spec: spec("v3")})
	s.ok(flipTo("v1", 50, "v2", 50))
	s.ok(flipTo("v2", 100))
	s.ok(withPins(flipTo("v3", 100), Pins{Mode: PinsMove}))
	s.ok(RemoveVersion{Service: "web", Version: "v2"})
	s.refused(Rollback{Service: "web"}, ErrRefused, "to", "v2=100", "are gone", "--to): v1")
	s.ok(Rollback{Service: "web", To: "v1"})

	s = start(t, web(map[string]int{"v1": 100, "v3": 0}))
	s.ok(PutVersion{Service: "web", Version: "v2", Spec: spec("v2")})
	s.ok(withPins(flipTo("v1", 50, "v2", 50), Pins{Mode: PinsMove}))
	s.ok(withPins(flipTo("v3", 100), Pins{Mode: PinsMove}))
	s.ok(RemoveVersion{Service: "web", Version: "v2"})
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 50})
	// Before the first flip v1 alone had weight too: nothing would change.
	s.refused(Rollback{Service: "web"}, ErrRefused, "to", "no raise is left")
}

func TestFlipsAreBounded(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 1, "v2": 1}))
	for i := range MaxFlips + 20 {
		s.ok(flipTo("v1", i+2, "v2", 1))
	}
	flips := s.svc().Flips
	if len(flips) != MaxFlips || flips[MaxFlips-1].Epoch != s.svc().Epoch {
		t.Errorf("%d flips, the newest of epoch %d at epoch %d", len(flips), flips[len(flips)-1].Epoch, s.svc().Epoch)
	}
}

func TestTwoFutures(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	for i := range 9 {
		s.ok(flipTo("v1", 100, "v2", i+1))
	}
	a, _, _ := s.apply(flipTo("v1", 1))
	want := a.Services["web"].Flips[10]
	s.apply(flipTo("v2", 1))
	if got := a.Services["web"].Flips[10]; !reflect.DeepEqual(got, want) {
		t.Errorf("a second command on the same state changed the first one's result to %+v", got)
	}
}

func TestVersions(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100}))
	put := PutVersion{Service: "web", Version: "v2", Spec: Spec{Endpoints: []string{"a:1"}, Shape: &Shape{Writes: "12", Reads: []string{"11"}}}}
	s.ok(put)
	s.nothing(put)
	put.Spec.Shape.Writes = "changed by the caller"
	if got := s.version("v2").Spec.Shape.Writes; got != "12" {
		t.Fatalf("the state shares the caller's spec: %q", got)
	}
	put.Spec.Shape = &Shape{Writes: "13"}
	s.ok(put)
	s.ok(flipTo("v1", 50, "v2", 50))
	put.Spec.Endpoints = []string{"a:1", "b:1"}
	s.ok(put)
	put.Spec.Shape = nil
	s.refused(put, ErrRefused, "spec.shape", "is live", "new version")
	put.Spec = Spec{Shape: &Shape{Writes: "13"}}
	s.refused(put, ErrRefused, "spec.endpoints", "last endpoint")
	s.refused(PutVersion{Service: "web", Version: "v1"}, ErrRefused, "version", "declared by the file", "edit the file")
	s.refused(PutVersion{Service: "web", Version: "../v"}, ErrInvalid, "version")
	s.refused(PutVersion{Service: "web", Version: "v3", Spec: Spec{Endpoints: []string{"nowhere"}}}, ErrInvalid, "spec.endpoints[0]", "no port")

	s.refused(RemoveVersion{Service: "web", Version: "v1"}, ErrRefused, "version", "take it out of the file")
	s.refused(RemoveVersion{Service: "web", Version: "v2"}, ErrRefused, "version", "live with weight 50")
	s.refused(RemoveVersion{Service: "web", Version: "v9"}, ErrNotFound, "version")
	s.ok(flipTo("v1", 100))
	s.refused(RemoveVersion{Service: "web", Version: "v2"}, ErrRefused, "version", "draining until 2026-11-22T09:")
	s.now = s.now.Add(DefaultDrain)
	s.ok(RemoveVersion{Service: "web", Version: "v2"})
	s.ok(PutVersion{Service: "web", Version: "v2"})
	if v := s.version("v2"); v.LeastEpoch != s.svc().Epoch || v.Mode(s.now) != Dark {
		t.Errorf("a version registered again accepts pins to its forerunner: %+v", v)
	}
}

func TestVoidPinsAndSetDrain(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(PutVersion{Service: "web", Version: "bare"})
	s.ok(VoidPins{Service: "web", Version: "v1"})
	if s.svc().Epoch != 2 || s.version("v1").LeastEpoch != 2 {
		t.Errorf("epoch %d, v1 %+v", s.svc().Epoch, s.version("v1"))
	}
	s.refused(VoidPins{Service: "web", Version: "v9"}, ErrNotFound, "version")

	set := func(version string, d Drain) SetDrain { return SetDrain{Service: "web", Version: version, Drain: d} }
	s.refused(set("v1", Drain{On: true}), ErrRefused, "version", "only weight 0 drains")
	s.refused(set("bare", Drain{On: true}), ErrRefused, "version", "no endpoints")
	s.refused(set("v2", Drain{Until: s.now}), ErrInvalid, "drain.until", "off")
	s.refused(set("v2", Drain{On: true, Until: s.now}), ErrInvalid, "drain.until", "passed")
	s.refused(set("v2", Drain{On: true, Until: s.now.Add(MaxDrain + time.Hour)}), ErrInvalid, "drain.until")
	s.nothing(set("v2", Drain{}))
	on := set("v2", Drain{On: true, Until: s.now.Add(time.Hour).In(time.FixedZone("", 3600))})
	s.ok(on)
	s.nothing(on)
	if s.mode("v2") != Draining {
		t.Error("v2 does not drain")
	}
	s.ok(set("v2", Drain{}))
	if s.mode("v2") != Dark || s.svc().Epoch != 2 {
		t.Errorf("v2 %s at epoch %d", s.mode("v2"), s.svc().Epoch)
	}
}

func TestMetaIsChecked(t *testing.T) {
	cmd := Declare{Services: web(map[string]int{"v1": 1})}
	for name, m := range map[string]Meta{
		"by":   {At: day},
		"by ":  {By: "a\nb", At: day},
		"why":  {By: "a", Why: strings.Repeat("x", MaxWhy+1), At: day},
		"why ": {By: "a", Why: "\xff", At: day},
		"at":   {By: "a"},
		"at ":  {By: "a", At: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, _, err := Apply(State{}, cmd, m)
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != ErrInvalid || r.Field != strings.TrimSpace(name) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, cmd := range []Command{nil, &SetWeights{}} {
		if _, _, err := Apply(State{}, cmd, Meta{By: "a", At: day}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%T: %v", cmd, err)
		}
	}
}

func TestNamesAndEndpoints(t *testing.T) {
	for name, want := range map[string]bool{
		"v1": true, "1.0.0-rc_1": true, strings.Repeat("a", 64): true,
		"": false, ".v": false, "-v": false, "a b": false, "a/b": false, "é": false, strings.Repeat("a", 65): false,
	} {
		if ValidName(name) != want {
			t.Errorf("ValidName(%q) = %v", name, !want)
		}
	}
	for endpoint, want := range map[string]bool{
		"127.0.0.1:80": true, "web.internal:8080": true, "web_1:1": true, "[::1]:65535": true, "[fe80::1%eth0]:80": true,
		"unix:/run/web.sock": true, "dns://web.internal:80": true, "dns+srv://_http._tcp.web.internal": true, "web.:80": true,
		"": false, "web": false, "web:": false, ":80": false, "web:0": false, "web:080": false, "web:65536": false, "web:+80": false, "::1:80": false,
		"[::1]": false, "[1.2.3.4]:80": false, "[::1:80": false, "256.1.1.1:80": false, "1.2.3:80": false, "a b:80": false, "-a:80": false,
		"http://web:80": false, "unix:run/web.sock": false, "unix:/": false, "unix:/" + strings.Repeat("a", 107): false,
		"dns://": false, "dns+srv://web.internal": false, "dns+srv://_http._tcp.web:80": false, "dns://web": false, "dns://[::1]:80": false, "web..x:80": false, "a\x00b:80": false, "[fe80::1%\x00]:80": false,
	} {
		if err := CheckEndpoint(endpoint); (err == nil) != want {
			t.Errorf("CheckEndpoint(%q) = %v", endpoint, err)
		}
	}
}

func TestSpecCheck(t *testing.T) {
	for field, s := range map[string]Spec{
		"spec.endpoints":    {Endpoints: make([]string, MaxEndpoints+1)},
		"spec.endpoints[1]": {Endpoints: []string{"a:1", "a:1"}},
		"spec.shape.writes": {Shape: &Shape{Reads: []string{"1"}}},
		"spec.shape.reads":  {Shape: &Shape{Writes: "1", Reads: []string{"a b"}}},
		"spec.provides":     {Provides: make([]string, MaxItems+1)},
		"spec.requires":     {Requires: map[string][]string{"": nil}},
		"spec.requires.api": {Requires: map[string][]string{"api": {"\r\n"}}},
		"spec.tags":         {Tags: map[string]string{"": "x"}},
		"spec.tags.commit":  {Tags: map[string]string{"commit": "a\nb"}},
	} {
		var r *Refusal
		if err := s.Check(); !errors.As(err, &r) || r.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := spec("v1").Check(); err != nil {
		t.Error(err)
	}
}

func TestListsAreBounded(t *testing.T) {
	versions := map[string]int{}
	for i := range 30 {
		versions[fmt.Sprintf("v%02d", i)] = 1
	}
	s := start(t, web(versions))
	s.refused(VoidPins{Service: "web", Version: "x"}, ErrNotFound, "version", "v19 and 10 more")
}
