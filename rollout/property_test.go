package rollout

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/state"
)

// TestAnyCourse throws any observations, orders and commands from elsewhere at
// rollouts of two services, and holds every transition against what the machine
// promises.
func TestAnyCourse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &course{T: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}
		c.must(state.Declare{Services: map[string]state.DeclaredService{
			"web": {Versions: map[string]state.DeclaredVersion{"v0": {Spec: anySpec}, "v1": {Spec: anySpec, Weight: 100}}},
			"api": {Versions: map[string]state.DeclaredVersion{"v0": {Spec: anySpec}, "v1": {Spec: anySpec, Weight: 7}}},
		}})
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			c.now = c.now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, time.Hour}).Draw(t, "time"))
			c.elsewhere()
			c.settle()
		}
	})
}

var anySpec = state.Spec{Endpoints: []string{"a:1"}}

// course is a state and its machine under random trouble.
type course struct {
	*rapid.T
	s   state.State
	now time.Time
}

func (c *course) must(cmd state.Command) {
	if err := c.apply(cmd, state.Meta{By: "anna"}); err != nil {
		c.Fatal(err)
	}
}

func (c *course) apply(cmd state.Command, meta state.Meta) error {
	meta.At = c.now
	next, _, err := state.Apply(c.s, cmd, meta)
	if err != nil {
		return err
	}
	for id, r := range next.Rollouts {
		if old := c.s.Rollouts[id]; old != nil && old != r && (old.Phase.Over() || r.Seq <= old.Seq && r.Phase != old.Phase) {
			c.Fatalf("%+v: %s went from %s at %d to %s at %d", cmd, id, old.Phase, old.Seq, r.Phase, r.Seq)
		}
	}
	if err := next.Validate(); err != nil {
		c.Fatal(err)
	}
	c.s = next
	return nil
}

// elsewhere draws what people, CI and the file do; the state may refuse it.
func (c *course) elsewhere() {
	ids := append(slices.SortedFunc(maps.Keys(c.s.Rollouts), byNumber), "r0")
	service := rapid.SampledFrom([]string{"web", "api"}).Draw(c.T, "service")
	candidate := rapid.SampledFrom([]string{"c1", "c2", "c3"}).Draw(c.T, "candidate")
	switch rapid.SampledFrom([]string{"", "", "", "start", "start", "set", "order", "order", "weights", "rollback"}).Draw(c.T, "kind") {
	case "start":
		c.apply(state.StartRollout{Policy: c.policy(), Legs: []state.StartLeg{{Service: service, Version: candidate, Spec: &anySpec}}}, state.Meta{By: "ci"})
	case "set":
		c.apply(state.StartRollout{Policy: c.policy(), Legs: []state.StartLeg{{Service: "web", Version: candidate, Spec: &anySpec}, {Service: "api", Version: candidate, Spec: &anySpec}}}, state.Meta{By: "ci"})
	case "order":
		action := rapid.SampledFrom([]state.Action{state.ActionPause, state.ActionResume, state.ActionPromote, state.ActionAbort}).Draw(c.T, "action")
		c.apply(state.SteerRollout{ID: rapid.SampledFrom(ids).Draw(c.T, "id"), Action: action}, state.Meta{By: "anna"})
	case "weights":
		c.apply(state.SetWeights{Service: service, Weights: map[string]int{"v0": rapid.IntRange(0, 2).Draw(c.T, "v0"), "v1": 1}}, state.Meta{By: "ben"})
	case "rollback":
		c.apply(state.Rollback{Service: service}, state.Meta{By: "ben"})
	}
}

func (c *course) policy() state.Policy {
	all := append(Policies(), state.Policy{Name: "short", Queue: state.QueueFIFO, OnInconclusive: state.InconclusivePromote, Stages: []state.Stage{
		{Kind: state.StageShadow, Deadline: time.Hour}, {Kind: state.StageShift, Share: 500, Deadline: time.Minute}, {Kind: state.StageBake, Hold: time.Second},
	}})
	p := rapid.SampledFrom(all).Draw(c.T, "policy")
	p.Gate = p.Gate || rapid.IntRange(0, 4).Draw(c.T, "gate") == 0
	return p
}

func (c *course) observe(r *state.Rollout) Observation {
	o := Observation{Now: c.now}
	for _, leg := range r.Legs {
		l := Leg{Service: leg.Service, Known: 2, Healthy: rapid.SampledFrom([]int{2, 2, 2, 2, 2, 1, 0}).Draw(c.T, "healthy")}
		l.FailuresInARow = rapid.SampledFrom([]int{0, 0, 0, 0, 19, 20}).Draw(c.T, "failures")
		l.Probes.Passed = rapid.SampledFrom([]int{0, 3, 10}).Draw(c.T, "probes")
		l.Alarm = rapid.SampledFrom([]string{"", "", "", "", "both fail"}).Draw(c.T, "alarm")
		l.Shadow = rapid.SampledFrom([]*Shadow{nil, {}, {Done: true}, {Failed: "differs"}}).Draw(c.T, "shadow")
		if decision := rapid.SampledFrom([]string{"", "hold", "promote", "promote", "roll_back"}).Draw(c.T, "judge"); decision != "" {
			at := c.now.Add(-rapid.SampledFrom([]time.Duration{0, 0, time.Hour}).Draw(c.T, "age"))
			l.Evidence = &state.Evidence{Service: leg.Service, Decision: decision, At: at, LogR: rapid.SampledFrom([]float64{0, 3}).Draw(c.T, "r")}
		}
		o.Legs = append(o.Legs, l)
	}
	return o
}

// settle lets the machine move, each rollout under one observation, until nothing
// is due.
func (c *course) settle() {
	seen := map[string]Observation{}
	for range 100 {
		moved := false
		for _, id := range slices.SortedFunc(maps.Keys(c.s.Rollouts), byNumber) {
			r := c.s.Rollouts[id]
			if _, drawn := seen[id]; !drawn {
				seen[id] = c.observe(r)
			}
			step, due := Next(c.s, r, seen[id])
			read := reread(c.T, c.s)
			if again, still := Next(read, read.Rollouts[id], seen[id]); still != due || !reflect.DeepEqual(again, step) {
				c.Fatalf("after a restart %+v is due, before it was %+v", again, step)
			}
			if !due {
				continue
			}
			moved = true
			if err := c.apply(step.Command, step.Meta); err != nil {
				c.Fatalf("%+v is due and refused: %v", step, err)
			}
			c.check(r, c.s.Rollouts[id], step, seen[id])
		}
		if !moved {
			return
		}
	}
	c.Fatal("the machine does not come to rest")
}

// check holds a transition against what was seen.
func (c *course) check(old, r *state.Rollout, step Step, o Observation) {
	ordered := old.Order != nil && old.Order.By == step.Meta.By
	stage := old.Policy.Stages[old.Stage]
	held := old.Elapsed(c.now) >= stage.Hold
	if r.Share() > old.Share() {
		switch step.Meta.By {
		case "judge":
			for _, l := range o.Legs {
				if !held || l.Evidence.Decision != "promote" || l.Evidence.At.Before(old.StageBegan) {
					c.Fatalf("%s has more sessions although %+v", r.ID, l)
				}
			}
		case "stage", "shadow":
			if !held {
				c.Fatalf("%s has more sessions after %v of %v", r.ID, old.Elapsed(c.now), stage.Hold)
			}
		case "deadline":
			if old.Policy.OnInconclusive != state.InconclusivePromote || old.Elapsed(c.now) < stage.Deadline {
				c.Fatalf("%s has more sessions since its deadline passed: %+v", r.ID, old)
			}
		case "probe", "queue":
		default:
			if !ordered || old.Order.Action != state.ActionPromote {
				c.Fatalf("%s has more sessions by %s", r.ID, step.Meta.By)
			}
		}
	}
	for _, l := range o.Legs {
		if hurt := l.Healthy == 0 || l.FailuresInARow >= 20 || l.Evidence != nil && l.Evidence.Decision == "roll_back"; hurt && old.Share() > 0 && !r.Phase.Over() {
			c.Fatalf("%s goes on from %s to %s although %+v", r.ID, old.Phase, r.Phase, l)
		}
	}
	if r.Phase == state.PhaseRolledBack || r.Phase == state.PhaseAborted {
		c.checkBack(r)
	}
}

// checkBack holds that what ended is where it came from.
func (c *course) checkBack(r *state.Rollout) {
	for _, leg := range r.Legs {
		weights := c.s.Services[leg.Service].Weights()
		maps.DeleteFunc(weights, func(_ string, w int) bool { return w == 0 })
		if leg.Since > 0 && !maps.Equal(weights, leg.Before) {
			c.Fatalf("%s (%s) leaves %v in %s, and before it was %v", r.ID, r.Phase, weights, leg.Service, leg.Before)
		}
		if weights[leg.Candidate] > 0 && leg.Since > 0 {
			c.Fatalf("%s (%s) leaves weight to its candidate: %v", r.ID, r.Phase, weights)
		}
	}
}

// TestPolicies that are built in are sound, and each comes to its end when all
// goes well and a person opens its gates.
func TestPolicies(t *testing.T) {
	for _, p := range Policies() {
		t.Run(p.Name, func(t *testing.T) {
			if err := p.Check(); err != nil {
				t.Fatal(err)
			}
			now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
			var s state.State
			apply := func(cmd state.Command, meta state.Meta) {
				t.Helper()
				meta.At = now
				next, _, err := state.Apply(s, cmd, meta)
				if err != nil {
					t.Fatal(err)
				}
				s = next
			}
			apply(state.Declare{Services: map[string]state.DeclaredService{"web": {Versions: map[string]state.DeclaredVersion{"v1": {Spec: anySpec, Weight: 1}}}}}, state.Meta{By: "file"})
			apply(state.StartRollout{Policy: p, Legs: []state.StartLeg{{Service: "web", Version: "v2", Spec: &anySpec}}}, state.Meta{By: "ci"})
			for range 10_000 {
				now = now.Add(time.Second)
				r := s.Rollouts["r2"]
				if r.Phase == state.PhaseGated && r.Order == nil {
					apply(state.SteerRollout{ID: r.ID, Action: state.ActionPromote}, state.Meta{By: "anna"})
				}
				o := Observation{Now: now, Legs: []Leg{{Service: "web", Probes: Probes{Passed: 10}, Evidence: &state.Evidence{Decision: "promote", At: now}}}}
				if step, due := Next(s, s.Rollouts["r2"], o); due {
					apply(step.Command, step.Meta)
				}
			}
			if r := s.Rollouts["r2"]; r.Phase != state.PhasePromoted || s.Services["web"].Weights()["v2"] == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}
