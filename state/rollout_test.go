package state

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// quick is a policy of one small shift, all, and a bake.
func quick() Policy {
	return Policy{Name: "quick", Stages: []Stage{
		{Kind: StageProbe},
		{Kind: StageShift, Share: 500, Hold: time.Minute, Deadline: time.Hour},
		{Kind: StageShift, Share: 10_000},
		{Kind: StageBake, Hold: time.Hour},
	}}
}

// shop declares web and api, each with a live v1.
func shop() map[string]DeclaredService {
	d := web(map[string]int{"v1": 100})
	d["api"] = DeclaredService{Versions: map[string]DeclaredVersion{"v7": {Spec: spec("v7"), Weight: 1}}}
	return d
}

func leg(service, version string) StartLeg {
	spec := spec(version)
	return StartLeg{Service: service, Version: version, Spec: &spec}
}

func startWeb(version string) StartRollout {
	return StartRollout{Legs: []StartLeg{leg("web", version)}, Policy: quick()}
}

// rollout is the newest rollout of the state.
func (s *steps) rollout() *Rollout {
	s.t.Helper()
	var newest *Rollout
	for _, r := range s.state.Rollouts {
		if newest == nil || r.number() > newest.number() {
			newest = r
		}
	}
	if newest == nil {
		s.t.Fatal("there is no rollout")
	}
	return newest
}

// move moves the newest rollout.
func (s *steps) move(to Phase, stage int) []Event {
	s.t.Helper()
	r := s.rollout()
	return s.ok(MoveRollout{ID: r.ID, Seq: r.Seq, To: to, Stage: stage})
}

func (s *steps) phase(want Phase) {
	s.t.Helper()
	if got := s.rollout().Phase; got != want {
		s.t.Fatalf("rollout %s is %s, want %s", s.rollout().ID, got, want)
	}
	if err := s.state.Validate(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *steps) apiWeights(want map[string]int) {
	s.t.Helper()
	if got := weighted(s.state.Services["api"].Weights()); !maps.Equal(got, want) {
		s.t.Fatalf("weights of api %v, want %v", got, want)
	}
}

func TestRolloutFromStartToPromotion(t *testing.T) {
	s := start(t, shop())
	events := s.ok(startWeb("v2"))
	if len(events) != 1 || events[0].Rollout != "r2" || events[0].Version != "v2" || !strings.Contains(events[0].Detail, "registered, dark; rollout r2 of version v2 waits, place 1 in line") {
		t.Fatalf("events %+v", events)
	}
	s.phase(PhaseQueued)
	s.nothing(startWeb("v2"))
	s.move(PhaseProbing, 0)
	if r := s.rollout(); r.Began != s.now || r.StageBegan != s.now || r.Legs[0].Baseline != "v1" || r.Share() != 0 {
		t.Fatalf("%+v", r)
	}
	s.weights(map[string]int{"v1": 100})
	s.move(PhaseShifting, 1)
	s.weights(map[string]int{"v1": 95, "v2": 5})
	r := s.rollout()
	if l := r.Legs[0]; l.Since != s.svc().Epoch || !maps.Equal(l.Before, map[string]int{"v1": 100}) || s.svc().Salt != r.ID || r.Share() != 500 || r.Moves[1].Share != 500 {
		t.Fatalf("%+v", r)
	}
	s.move(PhaseShifting, 2)
	s.weights(map[string]int{"v2": 100})
	if v := s.version("v1"); v.Drain != (Drain{On: true}) {
		t.Fatalf("v1 drains as %v before the promotion", v.Drain)
	}
	s.move(PhaseBaking, 3)
	s.weights(map[string]int{"v2": 100})
	s.move(PhasePromoted, 3)
	s.phase(PhasePromoted)
	if v := s.version("v1"); v.Drain != (Drain{On: true, Until: s.now.Add(DefaultDrain)}) {
		t.Fatalf("v1 drains as %v after the promotion", v.Drain)
	}
	s.nothing(startWeb("v2")) // it is in force
	if got := s.state.RolloutOf("web", "v2"); got == nil || got.ID != "r2" {
		t.Fatalf("rollout of v2: %v", got)
	}
	// By history, all of the rollout is one raise.
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 100})
	s.phase(PhasePromoted)
	s.refused(Rollback{Service: "web"}, ErrRefused, "to", "no raise is left")
	if s.state.RolloutOf("web", "v2") != nil {
		t.Error("what was rolled back is still in force")
	}
	s.ok(startWeb("v2")) // anew
	s.phase(PhaseQueued)
}

func TestRollbackEndsARollout(t *testing.T) {
	for name, cmd := range map[string]Rollback{"by a person": {Service: "web"}, "by the judge": {Service: "web", Rollout: "r2", Evidence: []Evidence{{Service: "web", Decision: "roll_back"}}}} {
		t.Run(name, func(t *testing.T) {
			for _, through := range []int{1, 2, 3, 4} {
				s := start(t, shop())
				s.ok(startWeb("v2"))
				for i, phase := range []Phase{PhaseProbing, PhaseShifting, PhaseShifting, PhaseBaking}[:through] {
					s.move(phase, i)
				}
				s.ok(cmd)
				s.phase(PhaseRolledBack)
				s.weights(map[string]int{"v1": 100})
				if m := s.rollout().Moves[through]; m.To != PhaseRolledBack || m.By != "anna" || m.Share != 0 || len(m.Evidence) != len(cmd.Evidence) {
					t.Fatalf("%+v", m)
				}
				if through > 1 && s.mode("v2") != Dark {
					t.Errorf("v2 is %s", s.mode("v2"))
				}
				if cmd.Rollout != "" {
					s.refused(cmd, ErrConflict, "rollout", "is not under way but rolled_back")
				}
			}
		})
	}
}

// TestRollbackBeforeTheFirstShift takes back the newest raise as ever, but where
// the rollout alone is meant.
func TestRollbackBeforeTheFirstShift(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(flipTo("v2", 100))
	s.ok(startWeb("v3"))
	s.move(PhaseProbing, 0)
	before := s.state
	s.ok(Rollback{Service: "web", Rollout: s.rollout().ID})
	s.phase(PhaseRolledBack)
	s.weights(map[string]int{"v2": 100})
	s.state = before
	s.ok(Rollback{Service: "web"})
	s.phase(PhaseRolledBack)
	s.weights(map[string]int{"v1": 100})
}

func TestReleaseSet(t *testing.T) {
	set := StartRollout{Set: "shop", Policy: quick(), Legs: []StartLeg{leg("web", "v2"), leg("api", "v8")}}
	s := start(t, shop())
	if events := s.ok(set); len(events) != 2 || events[0].Service != "api" || events[1].Service != "web" {
		t.Fatalf("%+v", events)
	}
	s.nothing(StartRollout{Policy: quick(), Legs: []StartLeg{leg("api", "v8"), leg("web", "v2")}})
	s.move(PhaseProbing, 0)
	if events := s.move(PhaseShifting, 1); len(events) != 2 || events[0].Revision != events[1].Revision {
		t.Fatalf("%+v", events)
	}
	s.weights(map[string]int{"v1": 95, "v2": 5})
	s.apiWeights(map[string]int{"v7": 95, "v8": 5})
	if s.svc().Salt != s.state.Services["api"].Salt || s.svc().Salt == "" {
		t.Errorf("salts %q and %q", s.svc().Salt, s.state.Services["api"].Salt)
	}
	shifted := s.state
	for name, cmd := range map[string]Command{"one": Rollback{Service: "api"}, "to": Rollback{Service: "web", To: "v1"}, "abort": MoveRollout{ID: "r2", Seq: s.rollout().Seq, To: PhaseAborted, Stage: 1}} {
		s.state = shifted
		if events := s.ok(cmd); len(events) != 2 {
			t.Errorf("%s: %+v", name, events)
		}
		if !s.rollout().Phase.Over() {
			t.Errorf("%s: %s", name, s.rollout().Phase)
		}
		if !sameShares(s.svc().Weights(), map[string]int{"v1": 1}) || !sameShares(s.state.Services["api"].Weights(), map[string]int{"v7": 1}) {
			t.Errorf("%s: %v, %v", name, s.svc().Weights(), s.state.Services["api"].Weights())
		}
	}
	s.state = shifted
	s.move(PhaseShifting, 2)
	s.move(PhaseBaking, 3)
	s.move(PhasePromoted, 3)
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 100})
	s.apiWeights(map[string]int{"v7": 1})
}

func TestTheQueue(t *testing.T) {
	fifo := func(version string) StartRollout {
		c := startWeb(version)
		c.Policy.Queue = QueueFIFO
		return c
	}
	s := start(t, shop())
	s.ok(startWeb("v2"))
	s.move(PhaseProbing, 0)
	for _, v := range []string{"v3", "v4", "v5"} {
		s.ok(fifo(v))
	}
	line := func() (ids []string) {
		for _, r := range s.state.Queue("web") {
			ids = append(ids, r.Legs[0].Candidate)
		}
		return ids
	}
	id := func(version string) string { return s.state.RolloutOf("web", version).ID }
	for _, step := range []struct {
		version string
		place   int
		want    []string
	}{{"v5", 1, []string{"v5", "v3", "v4"}}, {"v5", 2, []string{"v3", "v5", "v4"}}, {"v3", 99, []string{"v5", "v4", "v3"}}, {"v3", 1, []string{"v3", "v5", "v4"}}, {"v3", 3, []string{"v5", "v4", "v3"}}} {
		s.ok(QueueRollout{ID: id(step.version), Place: step.place})
		if got := line(); !slices.Equal(got, step.want) {
			t.Fatalf("%s to place %d: %v, want %v", step.version, step.place, got, step.want)
		}
	}
	s.nothing(QueueRollout{ID: id("v3"), Place: 3})
	s.refused(QueueRollout{ID: id("v3"), Place: 0}, ErrInvalid, "place")
	s.refused(QueueRollout{ID: id("v2"), Place: 1}, ErrRefused, "id", "does not wait")
	s.refused(MoveRollout{ID: id("v5"), Seq: 0, To: PhaseProbing}, ErrConflict, "id", "waits for rollout r2 (web v2), which is under way")
	s.ok(Rollback{Service: "web", Rollout: id("v2")})
	s.refused(MoveRollout{ID: id("v4"), Seq: 0, To: PhaseProbing}, ErrConflict, "id", "waits behind")
	s.ok(MoveRollout{ID: id("v5"), Seq: 0, To: PhaseProbing})
	s.ok(SteerRollout{ID: id("v4"), Action: ActionAbort}) // at once
	if got := line(); !slices.Equal(got, []string{"v3"}) {
		t.Fatal(got)
	}
	superseded := id("v3")
	if events := s.ok(startWeb("v6")); len(events) != 2 || events[0].Rollout != superseded {
		t.Fatalf("%+v", events)
	}
	if r := s.state.Rollouts[superseded]; r.Phase != PhaseSuperseded || !strings.Contains(r.Moves[0].Why, "web v6") {
		t.Fatalf("%+v", r)
	}
	if got := line(); !slices.Equal(got, []string{"v6"}) {
		t.Fatal(got)
	}
}

func TestOrders(t *testing.T) {
	s := start(t, shop())
	s.ok(startWeb("v2"))
	s.refused(SteerRollout{ID: "r2", Action: ActionPause}, ErrRefused, "action", "waits in the queue")
	s.move(PhaseProbing, 0)
	s.refused(SteerRollout{ID: "r9", Action: ActionPause}, ErrNotFound, "id", "rollouts that have not ended: r2")
	s.refused(SteerRollout{ID: "r2", Action: "stop"}, ErrInvalid, "action", "pause, resume, promote or abort")
	s.refused(SteerRollout{ID: "r2", Action: ActionResume}, ErrRefused, "action", "not paused but probing")
	s.refused(SteerRollout{ID: "r2", Action: ActionPause, Seq: 7}, ErrConflict, "seq")
	stale := MoveRollout{ID: "r2", Seq: s.rollout().Seq, To: PhaseShifting, Stage: 1}
	s.ok(SteerRollout{ID: "r2", Action: ActionPause, Seq: 1})
	s.nothing(SteerRollout{ID: "r2", Action: ActionPause})
	s.refused(stale, ErrConflict, "seq")
	s.move(PhasePaused, 0)
	if r := s.rollout(); r.Order != nil || r.Was != PhaseProbing {
		t.Fatalf("%+v", r)
	}
	s.refused(SteerRollout{ID: "r2", Action: ActionPause}, ErrRefused, "action", "paused already")
	s.ok(SteerRollout{ID: "r2", Action: ActionAbort})
	s.refused(SteerRollout{ID: "r2", Action: ActionResume}, ErrRefused, "action", "is ending")
	s.move(PhaseAborted, 0)
	s.refused(SteerRollout{ID: "r2", Action: ActionAbort}, ErrRefused, "action", "has ended: aborted")
}

// TestPausesStopTheClock of a stage.
func TestPausesStopTheClock(t *testing.T) {
	s := start(t, shop())
	s.ok(startWeb("v2"))
	s.move(PhaseProbing, 0)
	s.move(PhaseShifting, 1)
	s.now = s.now.Add(29 * time.Minute)
	s.move(PhasePaused, 1)
	s.now = s.now.Add(time.Hour)
	if got := s.rollout().Elapsed(s.now); got != 30*time.Minute {
		t.Fatalf("%v of the stage have passed in the pause", got)
	}
	s.move(PhaseShifting, 1)
	if got := s.rollout().Elapsed(s.now.Add(time.Minute)); got != 31*time.Minute {
		t.Fatalf("%v of the stage have passed", got)
	}
	s.now = s.now.Add(time.Hour) // past the deadline, which begins anew
	s.move(PhasePaused, 1)
	s.move(PhaseShifting, 1)
	if got := s.rollout().Elapsed(s.now); got != time.Minute {
		t.Fatalf("%v of the stage have passed after its deadline", got)
	}
}

func TestIllegalMoves(t *testing.T) {
	s := start(t, shop())
	c := startWeb("v2")
	c.Policy.Stages[1].Gate = true
	s.ok(c)
	try := func(to Phase, stage int) MoveRollout {
		return MoveRollout{ID: "r2", Seq: s.rollout().Seq, To: to, Stage: stage}
	}
	s.refused(try(PhasePaused, 0), ErrRefused, "to", "from queued to paused")
	s.refused(try(PhaseShifting, 1), ErrRefused, "stage")
	s.refused(try(PhaseProbing, 1), ErrRefused, "stage")
	s.refused(try(PhaseGated, 0), ErrRefused, "to", "gate")
	s.move(PhaseProbing, 0)
	s.refused(try(PhaseShifting, 1), ErrRefused, "to", "gate")
	s.refused(try(PhaseShifting, 2), ErrRefused, "stage", "goes on to stage 1")
	s.refused(try(PhasePromoted, 0), ErrRefused, "to", "end of its 4 stages")
	s.refused(try(PhaseRollingBack, 0), ErrRefused, "to")
	s.refused(try(PhaseSuperseded, 0), ErrRefused, "to")
	s.refused(try(PhaseShifting, -1), ErrRefused, "stage")
	s.refused(try(PhaseShifting, 99), ErrRefused, "stage")
	s.move(PhaseGated, 1)
	s.move(PhaseShifting, 1)
	s.move(PhaseAborted, 1)
	s.refused(try(PhaseShifting, 2), ErrConflict, "id", "has ended: aborted")
}

func TestFlipsFromElsewhere(t *testing.T) {
	s := start(t, web(map[string]int{"v0": 0, "v1": 100}))
	s.ok(startWeb("v2"))
	s.move(PhaseProbing, 0)
	s.ok(flipTo("v0", 10, "v1", 90)) // its candidate is not concerned
	s.phase(PhaseProbing)
	probing := s.state
	s.ok(flipTo("v1", 90, "v2", 10))
	s.phase(PhaseAborted)
	s.weights(map[string]int{"v1": 90, "v2": 10})
	s.state = probing
	s.refused(RemoveVersion{Service: "web", Version: "v2"}, ErrRefused, "version", `needs version "v2"`)
	s.move(PhaseShifting, 1)
	s.weights(map[string]int{"v0": 950, "v1": 8550, "v2": 500})
	s.refused(flipTo("v1", 1), ErrRefused, "weights", "rollout r2 (web v2) is shifting", "pause it first")
	s.refused(Declare{Services: web(map[string]int{"v0": 1, "v1": 1})}, ErrRefused, "weights", "is shifting")
	s.ok(Declare{Services: web(map[string]int{"v0": 0, "v1": 100, "v9": 0})}) // its weights are the same
	s.ok(VoidPins{Service: "web", Version: "v1"})
	s.phase(PhaseShifting)
	s.move(PhasePaused, 1)
	paused := s.state
	if events := s.ok(flipTo("v1", 50, "v2", 50)); len(events) != 2 || events[0].Rollout != "" || events[1].Rollout != "r2" {
		t.Fatalf("%+v", events)
	}
	s.phase(PhaseAborted)
	s.weights(map[string]int{"v1": 50, "v2": 50})
	if m := s.rollout().Moves; !strings.Contains(m[len(m)-1].Why, "by hand: v1=50 v2=50") {
		t.Errorf("%+v", m)
	}
	s.state = paused
	s.move(PhaseShifting, 1)
	s.move(PhaseShifting, 2)
	s.ok(SetDrain{Service: "web", Version: "v1"}) // dark, and the way back
	s.refused(Declare{Services: web(map[string]int{"v0": 0})}, ErrRefused, "version", `needs version "v1"`)
	s.refused(Declare{}, ErrRefused, "services", "registered by the API")
	bare := web(map[string]int{"v0": 0, "v1": 100})
	bare["web"].Versions["v1"] = DeclaredVersion{Weight: 100}
	s.refused(Declare{Services: bare}, ErrRefused, "version", `needs the endpoints of version "v1"`)
	s.state = probing
	s.refused(PutVersion{Service: "web", Version: "v2"}, ErrRefused, "version", `needs the endpoints of version "v2"`)
	s.ok(PutVersion{Service: "web", Version: "v2", Spec: spec("elsewhere")})
	s.phase(PhaseProbing)
}

func TestAFileDropsWhatARolloutWasToBring(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	s.ok(StartRollout{Legs: []StartLeg{{Service: "web", Version: "v2"}}, Policy: quick()})
	s.ok(Declare{Services: web(map[string]int{"v1": 100})})
	s.phase(PhaseAborted)
	s.ok(startWeb("v3"))
	s.move(PhaseProbing, 0)
	s.ok(Declare{})
	if len(s.state.Rollouts) != 0 || len(s.state.Services) != 0 {
		t.Errorf("%+v", s.state)
	}
}

// TestAFlipOfOneLegTakesTheOthersBack while the rollout is paused.
func TestAFlipOfOneLegTakesTheOthersBack(t *testing.T) {
	s := start(t, shop())
	s.ok(StartRollout{Set: "shop", Policy: quick(), Legs: []StartLeg{leg("web", "v2"), leg("api", "v8")}})
	s.move(PhaseProbing, 0)
	s.move(PhaseShifting, 1)
	s.move(PhasePaused, 1)
	paused := s.state
	s.ok(flipTo("v2", 100))
	s.phase(PhaseAborted)
	s.weights(map[string]int{"v2": 100})
	s.apiWeights(map[string]int{"v7": 1})
	s.state = paused
	d := shop()
	d["web"].Versions["v1"] = DeclaredVersion{Spec: spec("v1"), Weight: 7}
	d["api"].Versions["v9"] = DeclaredVersion{Spec: spec("v9")} // its weights are the same
	s.ok(Declare{Services: d})
	s.phase(PhaseAborted)
	s.weights(map[string]int{"v1": 7})
	s.apiWeights(map[string]int{"v7": 1})
	if s.state.Services["api"].Versions["v9"] == nil {
		t.Error("what else the file says of api is lost")
	}
}

func TestStartRefusals(t *testing.T) {
	s := start(t, shop())
	s.ok(PutVersion{Service: "web", Version: "bare"})
	one := func(c StartRollout, change func(*StartRollout)) StartRollout { change(&c); return c }
	s.refused(StartRollout{Policy: quick()}, ErrInvalid, "legs")
	s.refused(one(startWeb("v2"), func(c *StartRollout) { c.Legs = append(c.Legs, c.Legs[0]) }), ErrInvalid, "legs", "twice")
	s.refused(one(startWeb("v2"), func(c *StartRollout) { c.Legs[0].Service = "wbe" }), ErrNotFound, "service", "known services: api, web")
	s.refused(one(startWeb("v2"), func(c *StartRollout) { c.Legs[0].Spec = nil }), ErrNotFound, "legs", "known versions: bare, v1")
	s.refused(one(startWeb("v2"), func(c *StartRollout) { c.Set = "a b" }), ErrInvalid, "set")
	s.refused(one(startWeb("v2"), func(c *StartRollout) { c.Policy.Stages = nil }), ErrInvalid, "policy.stages")
	s.refused(one(startWeb("bare"), func(c *StartRollout) { c.Legs[0].Spec = nil }), ErrRefused, "legs", "no endpoints")
	s.refused(one(startWeb("v1"), func(c *StartRollout) { c.Legs[0].Spec = nil }), ErrRefused, "legs", "live with weight 100")
	s.refused(startWeb("v1"), ErrRefused, "legs", "live with weight 100") // in the file's very words
	s.refused(one(startWeb("v1"), func(c *StartRollout) { c.Legs[0].Spec = &Spec{} }), ErrRefused, "version", "declared by the file")
	dark := start(t, web(map[string]int{"v1": 0}))
	dark.refused(startWeb("v2"), ErrRefused, "legs", "no live version")
}

// TestStartForeseesTheRules of shapes and needs.
func TestStartForeseesTheRules(t *testing.T) {
	d := shop()
	d["web"].Versions["v1"] = DeclaredVersion{Spec: Spec{Endpoints: []string{"a:1"}, Shape: &Shape{Writes: "1", Reads: []string{"1"}}}, Weight: 1}
	s := start(t, d)
	c := startWeb("v2")
	c.Legs[0].Spec.Shape = &Shape{Writes: "2", Reads: []string{"2"}}
	_, _, err := s.apply(c)
	var r *Refusal
	if !errors.As(err, &r) || r.Rule != RuleShape {
		t.Fatalf("error %v", err)
	}
	c.Force = true
	s.ok(c)
	s.move(PhaseProbing, 0)
	if events := s.move(PhaseShifting, 1); !slices.Equal(events[0].Forced, []Rule{RuleShape}) {
		t.Fatalf("%+v", events)
	}
	s.ok(Rollback{Service: "web"})
	s.weights(map[string]int{"v1": 1})
	// All at once with moved pins, the two never meet.
	c = startWeb("v3")
	c.Legs[0].Spec.Shape = &Shape{Writes: "3", Reads: []string{"3"}}
	c.Policy = Policy{Name: "blue", Stages: []Stage{{Kind: StageBake}}, OnPromote: Handling{Pins: Pins{Mode: PinsMove}}}
	s.ok(c)
	s.move(PhaseBaking, 0)
	if s.mode("v1") != Dark {
		t.Errorf("v1 is %s", s.mode("v1"))
	}
}

func TestOldVersionsAreCleared(t *testing.T) {
	s := start(t, shop())
	for i := range MaxClear + 5 {
		s.ok(PutVersion{Service: "web", Version: "old" + string(rune('a'+i)), Spec: spec("x")})
	}
	s.ok(SetDrain{Service: "web", Version: "oldb", Drain: Drain{On: true}})
	s.ok(startWeb("v2"))
	r := s.rollout()
	facts := &Facts{Named: map[string][]string{"web": {"olda"}}}
	begin := MoveRollout{ID: r.ID, Seq: r.Seq, To: PhaseProbing}
	without, _, err := Apply(s.state, begin, Meta{By: "queue", At: s.now})
	if err != nil || len(without.Services["web"].Versions) != MaxClear+7 {
		t.Fatalf("error %v, versions %v", err, without.Services["web"].VersionNames())
	}
	next, events, err := Apply(s.state, begin, Meta{By: "queue", At: s.now, Facts: facts})
	want := []string{"olda", "oldb", "oldg", "oldh", "oldi", "oldj", "oldk", "oldl", "oldm", "oldn", "oldo", "v1", "v2"}
	if got := next.Services["web"].VersionNames(); err != nil || !slices.Equal(got, want) {
		t.Fatalf("error %v, versions %v", err, got)
	}
	if !strings.Contains(events[0].Detail, "old versions removed: oldc, oldd, olde, oldf") {
		t.Error(events[0].Detail)
	}
}

func TestEndedRolloutsAreForgotten(t *testing.T) {
	s := start(t, shop())
	for range MaxEnded + 3 {
		s.ok(startWeb("v2"))
		s.ok(SteerRollout{ID: s.rollout().ID, Action: ActionAbort})
	}
	if n := len(s.state.Rollouts); n != MaxEnded {
		t.Errorf("%d rollouts are remembered", n)
	}
	if s.state.Rollouts["r2"] != nil {
		t.Error("the oldest is remembered")
	}
}

func TestMovesAreBounded(t *testing.T) {
	r := &Rollout{Legs: []Leg{{}}, Policy: quick(), Phase: PhaseProbing}
	for range MaxMoves * 2 {
		r = r.become(PhaseProbing, 0, Meta{}, nil)
	}
	r.Moves[0].Why = "first"
	r = r.become(PhaseProbing, 0, Meta{Why: "last"}, nil)
	if n := len(r.Moves); n != MaxMoves || r.Moves[0].Why != "first" || r.Moves[n-1].Why != "last" {
		t.Errorf("%d moves", n)
	}
}

func TestWeightsAt(t *testing.T) {
	for _, c := range []struct {
		before map[string]int
		share  int
		want   map[string]int
	}{
		{map[string]int{"v1": 100}, 500, map[string]int{"v1": 95, "v2": 5}},
		{map[string]int{"v1": 7}, 1, map[string]int{"v1": 9999, "v2": 1}},
		{map[string]int{"v1": 7}, 1250, map[string]int{"v1": 8750, "v2": 1250}},
		{map[string]int{"v1": 1, "v0": 1}, 5000, map[string]int{"v0": 25, "v1": 25, "v2": 50}},
		{map[string]int{"v1": 2, "v0": 1}, 100, map[string]int{"v0": 33, "v1": 66, "v2": 1}},
		{map[string]int{"v1": 1}, 10_000, map[string]int{"v2": 100}},
		{map[string]int{"v1": MaxWeight, "v0": 1}, 1, map[string]int{"v0": 1, "v1": MaxWeight, "v2": 100}},
	} {
		if got := weightsAt(c.before, "v2", c.share); !maps.Equal(got, c.want) {
			t.Errorf("%v at %d: %v, want %v", c.before, c.share, got, c.want)
		}
	}
}

func TestPolicyFaults(t *testing.T) {
	for field, change := range map[string]func(*Policy){
		"policy.name":               func(p *Policy) { p.Name = "" },
		"policy.stages":             func(p *Policy) { p.Stages = make([]Stage, MaxStages+1) },
		"policy.stages[0].kind":     func(p *Policy) { p.Stages[0].Kind = "wait" },
		"policy.stages[2].share":    func(p *Policy) { p.Stages[2].Share = 500 },
		"policy.stages[1].share":    func(p *Policy) { p.Stages[1].Share = 10_001 },
		"policy.stages[3].share":    func(p *Policy) { p.Stages[3].Share = 1 },
		"policy.stages[3]":          func(p *Policy) { p.Stages[3] = Stage{Kind: StageProbe} },
		"policy.stages[4]":          func(p *Policy) { p.Stages = append(p.Stages, Stage{Kind: StageBake}) },
		"policy.stages[1].hold":     func(p *Policy) { p.Stages[1].Hold = -1 },
		"policy.stages[1].deadline": func(p *Policy) { p.Stages[1].Deadline = time.Second },
		"policy.stages[0].passes":   func(p *Policy) { p.Stages[0].Passes = -1 },
		"policy.stages[0].every":    func(p *Policy) { p.Stages[0].Every = 1 },
		"policy.stages[0].journeys": func(p *Policy) { p.Stages[0].Journeys = []string{""} },
		"policy.on_inconclusive":    func(p *Policy) { p.OnInconclusive = "wait" },
		"policy.on_promote":         func(p *Policy) { p.OnPromote.Pins.Mode = "stay" },
		"policy.on_rollback":        func(p *Policy) { p.OnRollback.Streams = "cut" },
		"policy.guards.alpha":       func(p *Policy) { p.Guards.Alpha = 1 },
		"policy.guards.margins":     func(p *Policy) { p.Guards.Margins = map[int]float64{500: 1} },
		"policy.guards.ceiling":     func(p *Policy) { p.Guards.Ceiling = -1 },
		"policy.guards.objective":   func(p *Policy) { p.Guards.Objective = 2 },
		"policy.queue":              func(p *Policy) { p.Queue = "lifo" },
		"policy.hooks[0]":           func(p *Policy) { p.Hooks = []Hook{{}} },
		"policy.hooks[1]":           func(p *Policy) { p.Hooks = []Hook{{URL: "http://a/"}, {URL: "a"}} },
		"policy.hooks":              func(p *Policy) { p.Hooks = make([]Hook, MaxHooks+1) },
	} {
		p := quick()
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		change(&p)
		var r *Refusal
		if err := p.Check(); !errors.As(err, &r) || r.Field != field {
			t.Errorf("error %v, want one for %s", err, field)
		}
	}
}

func TestValidateRollouts(t *testing.T) {
	s := start(t, shop())
	s.ok(startWeb("v2"))
	s.move(PhaseProbing, 0)
	for name, change := range map[string]func(State, *Rollout){
		"calls itself":   func(_ State, r *Rollout) { r.ID = "r9" },
		"is of revision": func(_ State, r *Rollout) { r.Revision = 99 },
		"0 legs":         func(_ State, r *Rollout) { r.Legs = nil },
		"stage 7 of 4":   func(_ State, r *Rollout) { r.Stage = 7 },
		"is no phase":    func(_ State, r *Rollout) { r.Phase = "idle" },
		"before it":      func(_ State, r *Rollout) { r.Phase = PhasePaused },
		"no way back":    func(_ State, r *Rollout) { r.Legs[0].Since = 3 },
		"no version":     func(_ State, r *Rollout) { r.Legs[0].Candidate = "v9" },
		"is empty":       func(s State, _ *Rollout) { s.Rollouts["r9"] = nil },
		"both under way": func(s State, r *Rollout) { again := *r; again.ID = "r9"; s.Rollouts["r9"] = &again },
	} {
		damaged := s.state
		r := *s.rollout()
		r.Legs = slices.Clone(r.Legs)
		damaged.Rollouts = map[string]*Rollout{"r2": &r}
		change(damaged, &r)
		if err := damaged.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if !reflect.DeepEqual(s.state.Rollouts["r2"].Policy, quick()) {
		t.Errorf("%+v", s.state.Rollouts["r2"].Policy)
	}
}
