package state

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// shaped declares "web" with a version for each spec; the first has all weight.
func shaped(specs ...Spec) map[string]DeclaredService {
	versions := map[string]DeclaredVersion{}
	for i, sp := range specs {
		name := "v" + string(rune('1'+i))
		sp.Endpoints = []string{name + ".internal:80"}
		weight := 0
		if i == 0 {
			weight = 100
		}
		versions[name] = DeclaredVersion{Spec: sp, Weight: weight}
	}
	return map[string]DeclaredService{"web": {Versions: versions}}
}

// reads makes a spec of a shape: what it writes, then what else it reads.
func reads(writes string, others ...string) Spec {
	return Spec{Shape: &Shape{Writes: writes, Reads: append(others, writes)}}
}

// breaks is refused with the rule and what stands in the way.
func (s *steps) breaks(cmd Command, rule Rule, service, version, field string, parts ...string) *Refusal {
	s.t.Helper()
	s.refused(cmd, ErrRefused, field, parts...)
	_, _, err := s.apply(cmd)
	var r *Refusal
	errors.As(err, &r)
	if r.Rule != rule || r.Service != service || r.Version != version || r.Remedy == "" {
		s.t.Errorf("rule %q, service %q, version %q, remedy %q; want %q, %q, %q and a remedy", r.Rule, r.Service, r.Version, r.Remedy, rule, service, version)
	}
	if len(r.Obstacles) == 0 || r.Obstacles[0].Rule != rule {
		s.t.Errorf("obstacles %+v", r.Obstacles)
	}
	return r
}

// forced does what the rules refuse.
func (s *steps) forced(cmd Command, rules ...Rule) {
	s.t.Helper()
	switch c := cmd.(type) {
	case SetWeights:
		c.Force = true
		cmd = c
	case Rollback:
		c.Force = true
		cmd = c
	}
	events := s.ok(cmd)
	if !slices.Equal(events[0].Forced, rules) || len(events[0].Warnings) == 0 {
		s.t.Fatalf("forced %v, warnings %q; want %v", events[0].Forced, events[0].Warnings, rules)
	}
}

var move, keep = Pins{Mode: PinsMove}, Pins{Mode: PinsKeep}

func TestShapesThatDisagreeNeverServeTogether(t *testing.T) {
	s := start(t, shaped(reads("11"), reads("12", "11"), reads("12"), Spec{}))
	s.breaks(flipTo("v1", 99, "v2", 1), RuleShape, "web", "v2", "weights.v2",
		`versions "v1" (writes 11, reads 11) and "v2" (writes 12, reads 11, 12)`, "v1 can't read what v2 writes", "pins move")
	s.breaks(flipTo("v2", 1), RuleShape, "web", "v1", "pins", `with pins move version "v1" would not drain`)
	s.breaks(withPins(flipTo("v3", 1), keep), RuleShape, "web", "v1", "pins", "v1 can't read what v3 writes, and v3 can't read what v1 writes")
	s.ok(withPins(flipTo("v2", 1), move))
	s.ok(flipTo("v2", 50, "v3", 50))
	s.ok(flipTo("v2", 50, "v4", 50)) // v4 says nothing of its shape
	s.breaks(SetDrain{Service: "web", Version: "v1", Drain: Drain{On: true}}, RuleShape, "web", "v1", "pins")
	s.ok(Rollback{Service: "web", To: "v1"}) // its pins move
	s.forced(flipTo("v1", 99, "v2", 1), RuleShape)
}

// What is broken may be mended step by step, and everything else may go on, but
// nothing may become worse.
func TestWhatIsBrokenMayStayAndNotGrow(t *testing.T) {
	s := start(t, shaped(reads("11"), reads("12"), reads("11")))
	s.forced(flipTo("v1", 90, "v2", 10), RuleShape)
	s.ok(PutVersion{Service: "web", Version: "ci", Spec: reads("13")})
	s.ok(VoidPins{Service: "web", Version: "v1"})
	s.breaks(flipTo("v1", 80, "v2", 20), RuleShape, "web", "v2", "weights.v2")
	s.breaks(flipTo("v1", 85, "v2", 10, "v3", 5), RuleShape, "web", "v3", "weights.v3")
	s.ok(flipTo("v1", 95, "v2", 5))
	s.ok(flipTo("v1", 1)) // v2 drains, which is less than live
	s.breaks(SetDrain{Service: "web", Version: "v2", Drain: Drain{On: true}}, RuleShape, "web", "v2", "pins")
	s.ok(SetDrain{Service: "web", Version: "v2", Drain: Drain{On: true, Until: s.now.Add(10 * time.Minute)}})
	s.ok(flipTo("v1", 5))
	s.ok(SetDrain{Service: "web", Version: "v2"})
	s.breaks(SetDrain{Service: "web", Version: "v2", Drain: Drain{On: true}}, RuleShape, "web", "v2", "pins")
	if err := s.state.Validate(); err != nil {
		t.Error(err)
	}
}

func TestADrainThatHasEndedHoldsNobodyBack(t *testing.T) {
	s := start(t, shaped(reads("11"), reads("12", "11"), reads("11", "12")))
	s.ok(flipTo("v3", 1))
	s.breaks(flipTo("v2", 1), RuleShape, "web", "v1", "pins")
	s.now = s.now.Add(DefaultDrain)
	s.ok(flipTo("v2", 1))
}

func TestBarrier(t *testing.T) {
	services := shaped(reads("11", "12"), reads("12", "13", "11"), reads("13", "12"), Spec{})
	s := start(t, services)
	s.refused(SetBarrier{Service: "web", On: true}, ErrInvalid, "level", "has none")
	s.refused(SetLevel{Service: "web", Level: "a b"}, ErrInvalid, "level", "no name")
	s.refused(SetLevel{Service: "nope", Level: "13"}, ErrNotFound, "service")
	s.ok(SetLevel{Service: "web", Level: "12"})
	s.nothing(SetLevel{Service: "web", Level: "12"})
	s.breaks(SetBarrier{Service: "web", On: true, Level: "13"}, RuleBarrier, "web", "v1", "level", "can't read level 13", "first give its weight, which is 100, to others, with pins move")
	s.ok(flipTo("v2", 1))
	s.breaks(SetBarrier{Service: "web", On: true, Level: "13"}, RuleBarrier, "web", "v1", "level", "first end its drain: it is draining until")
	s.ok(withPins(flipTo("v2", 1), move))
	if e := s.ok(SetBarrier{Service: "web", On: true, Level: "13"}); e[0].Detail != "barrier at level 13" || e[0].Epoch != 3 {
		t.Errorf("event %+v", e[0])
	}
	s.nothing(SetBarrier{Service: "web", On: true})
	s.breaks(Rollback{Service: "web"}, RuleBarrier, "web", "v1", "weights.v1", "it writes 11, reads 12, 11", "versions that can: v2, v3")
	s.breaks(Rollback{Service: "web", To: "v4"}, RuleBarrier, "web", "v4", "weights.v4", "it declares no shape")
	s.breaks(SetDrain{Service: "web", Version: "v1", Drain: Drain{On: true}}, RuleBarrier, "web", "v1", "weights.v1")
	v1 := services["web"].Versions["v1"]
	v1.Weight = 99
	services["web"].Versions["v1"] = v1
	s.breaks(Declare{Services: services}, RuleBarrier, "web", "v1", "weights.v1")
	s.ok(flipTo("v3", 1))
	s.refused(SetLevel{Service: "web"}, ErrRefused, "level", "lift the barrier first")
	s.breaks(SetLevel{Service: "web", Level: "11"}, RuleBarrier, "web", "v3", "level")
	s.ok(SetLevel{Service: "web", Level: "12"})
	s.forced(Rollback{Service: "web", To: "v4"}, RuleBarrier)
	s.ok(Rollback{Service: "web", To: "v2"})
	s.ok(SetBarrier{Service: "web"})
	s.ok(flipTo("v2", 1, "v4", 1))
	s.ok(SetLevel{Service: "web"})
	s.nothing(SetBarrier{Service: "web"})
}

func TestABarrierInARolloutsWayBackWarns(t *testing.T) {
	s := start(t, shaped(reads("11", "12"), reads("12", "11", "13")))
	s.ok(StartRollout{Legs: []StartLeg{{Service: "web", Version: "v2"}}, Policy: Policy{Name: "p", OnPromote: Handling{Pins: move}, Stages: []Stage{{Kind: StageBake}}}})
	r := s.rollout()
	s.ok(MoveRollout{ID: r.ID, Seq: r.Seq, To: PhaseBaking})
	s.weights(map[string]int{"v2": 100})
	events := s.ok(SetBarrier{Service: "web", On: true, Level: "13"})
	if w := events[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "can't go back any more: the barrier keeps traffic from v1") {
		t.Errorf("warnings %q", w)
	}
	s.breaks(Rollback{Service: "web"}, RuleBarrier, "web", "v1", "weights.v1")
}

func TestALevelWithoutABarrierWarns(t *testing.T) {
	s := start(t, shaped(reads("11"), reads("12", "11")))
	s.ok(withPins(flipTo("v2", 1), move))
	s.ok(SetLevel{Service: "web", Level: "12"})
	events := s.ok(Rollback{Service: "web"})
	if w := events[0].Warnings; len(w) != 1 || !strings.Contains(w[0], `"v1" can't read level 12 (it writes 11, reads 11), and there is no barrier`) {
		t.Errorf("warnings %q", w)
	}
}

// needing declares "web" v1 and v2, of which v2 requires orders-v2 of "api"; v7
// of that provides orders-v1 and is live, v8 and v9 provide both.
func needing() map[string]DeclaredService {
	services := web(map[string]int{"v1": 100, "v2": 0})
	dv := services["web"].Versions["v2"]
	dv.Spec.Requires = map[string][]string{"api": {"orders-v2"}}
	services["web"].Versions["v2"] = dv
	api := map[string]DeclaredVersion{}
	for name, provides := range map[string][]string{"v7": {"orders-v1"}, "v8": {"orders-v1", "orders-v2"}, "v9": {"orders-v2", "orders-v1"}} {
		dv := DeclaredVersion{Spec: spec(name)}
		dv.Spec.Provides = provides
		api[name] = dv
	}
	v7 := api["v7"]
	v7.Weight = 100
	api["v7"] = v7
	services["api"] = DeclaredService{Versions: api}
	return services
}

func apiTo(pairs ...any) SetWeights {
	c := flipTo(pairs...)
	c.Service = "api"
	return c
}

func TestNeeds(t *testing.T) {
	s := start(t, needing())
	s.breaks(flipTo("v1", 99, "v2", 1), RuleNeeds, "web", "v2", "weights.v2",
		`version "v2" of service "web" requires orders-v2 of service "api"`, `version "v7" of it is live and does not provide orders-v2`, "do: v8, v9")
	s.breaks(SetDrain{Service: "web", Version: "v2", Drain: Drain{On: true}}, RuleNeeds, "web", "v2", "weights.v2")
	s.ok(apiTo("v7", 50, "v8", 50))
	s.breaks(flipTo("v2", 1), RuleNeeds, "web", "v2", "weights.v2", `"v7" of it is live`)
	s.ok(apiTo("v8", 100)) // v7 drains, and serves no new session
	s.ok(flipTo("v1", 50, "v2", 50))
	s.ok(apiTo("v8", 50, "v9", 50))
	s.breaks(Rollback{Service: "api", To: "v7"}, RuleNeeds, "api", "v7", "weights.v7",
		`version "v7" of service "api" does not provide orders-v2`, `version "v2" of service "web" (live with weight 50) requires orders-v2`, "v8, v9", `make version "v2" of service "web" dark first`)
	file := Declare{Services: needing()}
	delete(file.Services, "api")
	file.Services["web"].Versions["v1"] = DeclaredVersion{Spec: spec("v1"), Weight: 100}
	s.breaks(file, RuleNeeds, "api", "", "weights", `service "api" can't go`)
	s.forced(Rollback{Service: "api", To: "v7"}, RuleNeeds)
	s.ok(flipTo("v1", 60, "v2", 40))
	s.breaks(flipTo("v1", 50, "v2", 50), RuleNeeds, "web", "v2", "weights.v2")
	s.ok(Rollback{Service: "web", To: "v1"})
}

func TestARegistrationBreaksNoNeed(t *testing.T) {
	s := start(t, needing())
	put := func(service, version string, sp Spec) PutVersion {
		sp.Endpoints = []string{"a:1"}
		return PutVersion{Service: service, Version: version, Spec: sp}
	}
	s.refused(put("web", "ci", Spec{Requires: map[string][]string{"web": {"x"}}}), ErrInvalid, "spec.requires.web", "its own service")
	s.ok(put("api", "ci", Spec{Provides: []string{"orders-v2"}}))
	s.ok(put("web", "ci", Spec{}))
	s.ok(apiTo("ci", 1))
	s.ok(flipTo("v2", 1))
	s.breaks(put("api", "ci", Spec{Provides: []string{"orders-v1"}}), RuleNeeds, "api", "ci", "weights.ci", "does not provide orders-v2")
	s.ok(flipTo("ci", 1))
	s.ok(flipTo("v1", 1, "ci", 1))
	s.breaks(put("web", "ci", Spec{Requires: map[string][]string{"nope": nil}}), RuleNeeds, "web", "ci", "weights.ci", "which there is not", "known services: api, web")
}

func TestVersionsThatNeedOneAnother(t *testing.T) {
	services := needing()
	v8, v9 := services["api"].Versions["v8"], services["api"].Versions["v9"]
	v8.Spec.Requires = map[string][]string{"web": {"cart-v2"}}
	v9.Spec.Requires = v8.Spec.Requires
	services["api"].Versions["v8"], services["api"].Versions["v9"] = v8, v9
	v2 := services["web"].Versions["v2"]
	v2.Spec.Provides = []string{"cart-v2"}
	services["web"].Versions["v2"] = v2
	s := start(t, services)
	s.breaks(flipTo("v2", 1), RuleNeeds, "web", "v2", "weights.v2", "they need one another (api/v9 > web/v2)", "release set")
	s.breaks(apiTo("v8", 1), RuleNeeds, "api", "v8", "weights.v8", "they need one another (web/v2 > api/v8)")
	s.ok(PutVersion{Service: "api", Version: "free", Spec: Spec{Endpoints: []string{"a:1"}, Provides: []string{"orders-v2"}}})
	s.breaks(flipTo("v2", 1), RuleNeeds, "web", "v2", "weights.v2", "first give all weight", "do: free")
	// In one step they go together, as the file may say.
	v2.Weight, v8.Weight = 1, 1
	v1, v7 := services["web"].Versions["v1"], services["api"].Versions["v7"]
	v1.Weight, v7.Weight = 0, 0
	services["web"].Versions["v1"], services["web"].Versions["v2"] = v1, v2
	services["api"].Versions["v7"], services["api"].Versions["v8"] = v7, v8
	s.ok(Declare{Services: services})
}

func TestAFileWhoseWeightsBreakARule(t *testing.T) {
	services := needing()
	v2 := services["web"].Versions["v2"]
	v2.Weight = 1
	services["web"].Versions["v2"] = v2
	s := &steps{t: t, now: day}
	s.breaks(Declare{Services: services}, RuleNeeds, "web", "v2", "weights.v2")
	mixed := shaped(reads("11"), reads("12"))
	w := mixed["web"].Versions["v2"]
	w.Weight = 1
	mixed["web"].Versions["v2"] = w
	s.breaks(Declare{Services: mixed}, RuleShape, "web", "v2", "weights.v2")
}

func TestCapacity(t *testing.T) {
	services := web(map[string]int{"v1": 100, "v2": 0, "v3": 0})
	v2 := services["web"].Versions["v2"]
	v2.Spec.Capacity = 100
	services["web"].Versions["v2"] = v2
	s := start(t, services)
	facts := &Facts{
		Healthy: map[string]map[string]int{"web": {"v2": 2}},
		Known:   map[string]map[string]int{"web": {"v1": 3, "v2": 4}},
		Rate:    map[string]float64{"web": 1000},
	}
	try := func(cmd Command) ([]Event, *Refusal) {
		s.now = s.now.Add(time.Minute)
		next, events, err := Apply(s.state, cmd, Meta{By: "anna", At: s.now, Facts: facts})
		var r *Refusal
		if errors.As(err, &r) {
			return nil, r
		}
		s.state = next
		return events, nil
	}
	if _, r := try(flipTo("v1", 79, "v2", 21)); r == nil || r.Rule != RuleCapacity || r.Version != "v2" ||
		!strings.Contains(r.Error(), "would get 21% of 1000 requests a second, which is 210, and its 2 healthy endpoints of 4 serve 200; give it at most 20%") {
		t.Fatalf("refusal %v", r)
	}
	if _, r := try(flipTo("v1", 80, "v2", 20)); r != nil {
		t.Fatal(r)
	}
	if _, r := try(flipTo("v1", 90, "v2", 10)); r == nil || !strings.Contains(r.Error(), `version "v1" of service "web" has no healthy endpoint of 3`) {
		t.Fatalf("refusal %v", r)
	}
	if _, r := try(flipTo("v1", 80, "v2", 19, "v3", 1)); r != nil { // nobody has looked at v3
		t.Fatal(r)
	}
	forced := flipTo("v2", 1)
	forced.Force = true
	if events, r := try(forced); r != nil || !reflect.DeepEqual(events[0].Forced, []Rule{RuleCapacity}) {
		t.Fatalf("refusal %v, events %+v", r, events)
	}
	events, r := try(Rollback{Service: "web", To: "v1"})
	if r != nil || len(events[0].Warnings) != 1 || events[0].Forced != nil || !strings.Contains(events[0].Warnings[0], "no healthy endpoint of 3") {
		t.Fatalf("refusal %v, events %+v", r, events)
	}
	facts.Rate = nil
	if _, r := try(flipTo("v2", 1)); r != nil { // an idle service
		t.Fatal(r)
	}
}

func TestCanRollback(t *testing.T) {
	s := start(t, shaped(reads("11"), reads("12", "11"), reads("12"), Spec{}))
	s.ok(withPins(flipTo("v2", 1), move))
	s.ok(flipTo("v2", 9, "v3", 1))
	s.ok(SetBarrier{Service: "web", On: true, Level: "12"})
	facts := &Facts{Known: map[string]map[string]int{"web": {"v2": 1}}}
	all, err := CanRollback(s.state, "web", Meta{By: "preview", At: s.now, Facts: facts})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range all {
		line := p.To + ": " + format(p.Weights) + ", leaves " + strings.Join(p.Leaves, " ")
		if p.Refusal != nil {
			line = p.To + ": " + string(p.Refusal.Rule)
		}
		got = append(got, line+strings.Repeat(", warned", len(p.Warnings)))
	}
	want := []string{
		": v2=1, leaves v3, warned", "v1: barrier", "v2: v2=100, leaves v3, warned",
		"v3: v3=100, leaves v2", "v4: barrier",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := CanRollback(s.state, "nope", Meta{By: "preview", At: s.now}); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v", err)
	}
}
