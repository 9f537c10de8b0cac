package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// brokenRules is the plain twin of the rules: it says in words how a state
// breaks them, by looking at everything.
func brokenRules(s State, now time.Time) map[string]bool {
	broken := map[string]bool{}
	reads := func(v *Version, shape string) bool {
		return shape == v.Spec.Shape.Writes || slices.Contains(v.Spec.Shape.Reads, shape)
	}
	for _, svc := range s.Services {
		for _, v := range svc.Versions {
			if v.Mode(now) == Dark {
				continue
			}
			if svc.Barrier && svc.Level != "" && (v.Spec.Shape == nil || !reads(v, svc.Level)) {
				broken[fmt.Sprintf("barrier %s %s", svc.Name, v.Name)] = true
			}
			for _, w := range svc.Versions {
				if v.Spec.Shape != nil && w.Spec.Shape != nil && w.Mode(now) != Dark && !reads(v, w.Spec.Shape.Writes) {
					broken[fmt.Sprintf("shape %s %s %s", svc.Name, min(v.Name, w.Name), max(v.Name, w.Name))] = true
				}
			}
			for provider, names := range v.Spec.Requires {
				met := false
				if p := s.Services[provider]; p != nil {
					for _, w := range p.Versions {
						met = met || w.Weight > 0
					}
					for _, w := range p.Versions {
						for _, name := range names {
							met = met && (w.Weight == 0 || slices.Contains(w.Spec.Provides, name))
						}
					}
				}
				if !met {
					broken[fmt.Sprintf("needs %s %s %s", svc.Name, v.Name, provider)] = true
				}
			}
		}
	}
	return broken
}

// ruledCommand draws from every way in, over few names, so that the rules often
// have something to say.
func ruledCommand(t *rapid.T, now time.Time) Command {
	service := rapid.SampledFrom([]string{"web", "api"}).Draw(t, "service")
	version := rapid.SampledFrom([]string{"v1", "v2", "v3", "ci"}).Draw(t, "version")
	pins := rapid.SampledFrom([]Pins{{}, {Mode: PinsMove}, {Mode: PinsKeep}, {Mode: PinsDrain, For: time.Minute}}).Draw(t, "pins")
	level := rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, "level")
	weights := func() map[string]int {
		w := map[string]int{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"v1", "v2", "v3", "ci"}), 1, 3, rapid.ID[string]).Draw(t, "names") {
			w[name] = rapid.SampledFrom([]int{1, 2, 100}).Draw(t, name)
		}
		return w
	}
	switch rapid.SampledFrom([]string{"declare", "put", "remove", "weights", "weights", "weights", "back", "to", "drain", "level", "barrier", "void"}).Draw(t, "kind") {
	case "declare":
		return ruledFile(t)
	case "put":
		return PutVersion{Service: service, Version: version, Spec: ruledSpec(t, service)}
	case "remove":
		return RemoveVersion{Service: service, Version: version}
	case "back":
		return Rollback{Service: service, Pins: pins}
	case "to":
		return Rollback{Service: service, To: version, Pins: pins}
	case "drain":
		return SetDrain{Service: service, Version: version, Drain: rapid.SampledFrom([]Drain{{}, {On: true}, {On: true, Until: now.Add(time.Hour)}}).Draw(t, "drain")}
	case "level":
		return SetLevel{Service: service, Level: level}
	case "barrier":
		return SetBarrier{Service: service, On: rapid.Bool().Draw(t, "on"), Level: level}
	case "void":
		return VoidPins{Service: service, Version: version}
	}
	return SetWeights{Service: service, Weights: weights(), Pins: pins}
}

// rolloutCommand draws a command about rollouts: a new one, or a next step of one
// that there is.
func rolloutCommand(t *rapid.T, s State) Command {
	ids := slices.Sorted(maps.Keys(s.Rollouts))
	if len(ids) == 0 || rapid.IntRange(0, 2).Draw(t, "start") == 0 {
		c := StartRollout{Policy: ruledPolicy(t)}
		for _, service := range rapid.SampledFrom([][]string{{"web"}, {"api"}, {"web", "api"}}).Draw(t, "legs") {
			leg := StartLeg{Service: service, Version: rapid.SampledFrom([]string{"v2", "v3", "ci", "ci2"}).Draw(t, "candidate")}
			if rapid.Bool().Draw(t, "register") {
				spec := ruledSpec(t, service)
				leg.Spec = &spec
			}
			c.Legs = append(c.Legs, leg)
		}
		return c
	}
	r := s.Rollouts[rapid.SampledFrom(ids).Draw(t, "rollout")]
	switch rapid.IntRange(0, 7).Draw(t, "step") {
	case 0:
		return SteerRollout{ID: r.ID, Action: rapid.SampledFrom([]Action{ActionPause, ActionPromote, ActionAbort}).Draw(t, "action")}
	case 1:
		return Rollback{Service: r.Legs[0].Service, Rollout: r.ID}
	}
	to, stage := rapid.SampledFrom([]Phase{PhaseAborted, PhaseRolledBack, PhasePaused, PhasePromoted}).Draw(t, "end"), r.Stage
	if rapid.IntRange(0, 3).Draw(t, "go on") > 0 {
		if r.Phase != PhaseQueued {
			stage++
		}
		if stage < len(r.Policy.Stages) {
			to = r.Policy.Stages[stage].Kind.Phase()
		}
	}
	return MoveRollout{ID: r.ID, Seq: r.Seq, To: to, Stage: stage}
}

func ruledPolicy(t *rapid.T) Policy {
	p := Policy{Name: "p", Queue: rapid.SampledFrom([]QueueMode{QueueSupersede, QueueFIFO}).Draw(t, "queue")}
	if rapid.Bool().Draw(t, "move on promote") {
		p.OnPromote.Pins.Mode = PinsMove
	}
	for _, share := range rapid.SampledFrom([][]int{{500, 10_000}, {10_000}, {5000}}).Draw(t, "shares") {
		p.Stages = append(p.Stages, Stage{Kind: StageShift, Share: share})
	}
	return p
}

// ruledFile declares two services, or one, of which versions need one another.
func ruledFile(t *rapid.T) Declare {
	d := Declare{Services: map[string]DeclaredService{}}
	for _, name := range rapid.SampledFrom([][]string{{"web", "api"}, {"web", "api"}, {"web"}}).Draw(t, "services") {
		versions := map[string]DeclaredVersion{}
		for _, version := range []string{"v1", "v2", "v3"} {
			versions[version] = DeclaredVersion{Spec: ruledSpec(t, name), Weight: rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "weight")}
		}
		d.Services[name] = DeclaredService{Versions: versions}
	}
	return d
}

func ruledSpec(t *rapid.T, service string) Spec {
	other := map[string]string{"web": "api", "api": "web"}[service]
	s := Spec{Endpoints: []string{"a:1"}}
	s.Shape = rapid.SampledFrom([]*Shape{nil, {Writes: "1"}, {Writes: "2", Reads: []string{"1", "2"}}, {Writes: "2", Reads: []string{"3"}}, {Writes: "3", Reads: []string{"2"}}}).Draw(t, "shape")
	s.Provides = rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}}).Draw(t, "provides")
	s.Requires = rapid.SampledFrom([]map[string][]string{nil, nil, {other: {"a"}}, {other: {"a", "b"}}, {"nope": {"a"}}}).Draw(t, "requires")
	return s
}

// force returns the command with force, if it can have it.
func force(cmd Command) (Command, bool) {
	switch c := cmd.(type) {
	case SetWeights:
		c.Force = true
		return c, true
	case Rollback:
		c.Force = true
		return c, true
	case StartRollout:
		c.Force = true
		return c, true
	}
	return cmd, false
}

// nextCommand draws from all ways in.
func nextCommand(t *rapid.T, s State, now time.Time) Command {
	if rapid.IntRange(0, 2).Draw(t, "by rollout") == 0 {
		return rolloutCommand(t, s)
	}
	return ruledCommand(t, now)
}

// TestNoCommandBreaksARule holds that no sequence of commands reaches a state
// that breaks a rule unless it is forced; that after force no other command adds
// to what is broken; and that what is refused would have broken something.
func TestNoCommandBreaksARule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		now := day
		known := map[string]bool{} // what force broke
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			cmd := nextCommand(t, s, now)
			forced := rapid.IntRange(0, 19).Draw(t, "force") == 0
			if forced {
				cmd, forced = force(cmd)
			}
			meta := Meta{By: "anna", At: now}
			before := brokenRules(s, now)
			next, events, err := Apply(s, cmd, meta)
			var r *Refusal
			if errors.As(err, &r) && r.Rule != "" {
				checkRefusal(t, s, cmd, meta, r, before)
			}
			for how := range brokenRules(next, now) {
				switch {
				case before[how]:
				case !forced && !rolloutsForce(s):
					t.Fatalf("%s %+v broke a rule: %s", cmd.Kind(), cmd, how)
				case len(events[0].Forced) == 0:
					t.Fatalf("%s %+v broke %s by force, and the event does not say so", cmd.Kind(), cmd, how)
				default:
					known[how] = true
				}
			}
			for how := range brokenRules(next, now.Add(time.Hour)) { // drains end, and mend alone
				if !known[how] {
					t.Fatalf("later %s is broken", how)
				}
			}
			if err := next.Validate(); err != nil {
				t.Fatal(err)
			}
			s = next
		}
	})
}

// rolloutsForce tells whether there is a rollout that may pass over the rules.
func rolloutsForce(s State) bool {
	for _, r := range s.Rollouts {
		if r.Force {
			return true
		}
	}
	return false
}

// checkRefusal holds that a refused command would break a rule, or make worse
// what was broken.
func checkRefusal(t *rapid.T, s State, cmd Command, meta Meta, r *Refusal, before map[string]bool) {
	if r.Remedy == "" || r.Service == "" || len(r.Obstacles) == 0 && r.Field != "level" {
		t.Fatalf("refusal %+v says too little", r)
	}
	cmd, can := force(cmd)
	if _, starts := cmd.(StartRollout); !can || starts || len(before) > 0 { // a start foresees
		return
	}
	next, _, err := Apply(s, cmd, meta)
	if err != nil {
		t.Fatalf("%s %+v can't be forced: %v", cmd.Kind(), cmd, err)
	}
	var rules []Rule
	for how := range brokenRules(next, meta.At) {
		var rule string
		fmt.Sscan(how, &rule)
		rules = append(rules, Rule(rule))
	}
	if !slices.Contains(rules, r.Rule) {
		t.Fatalf("%s %+v was refused for nothing: %v; it would break %v", cmd.Kind(), cmd, r, rules)
	}
}

// TestAHeldRollbackBreaksNoRule has two processes change one store that fails now
// and then, so that rollbacks are held over states of the other.
func TestAHeldRollbackBreaksNoRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := day
		clock := func() time.Time { return now }
		shared := &flakyStore{}
		var keepers []*Keeper
		for range 2 {
			k, err := NewKeeper(context.Background(), shared, KeeperOptions{Now: clock})
			if err != nil {
				t.Fatal(err)
			}
			keepers = append(keepers, k)
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minutes")) * time.Minute)
			k := rapid.SampledFrom(keepers).Draw(t, "keeper")
			shared.down = rapid.IntRange(0, 2).Draw(t, "down") == 0
			cmd := nextCommand(t, k.State(), now)
			_, _ = k.Do(context.Background(), cmd, Meta{By: "anna"})
			shared.down = false
			if rapid.Bool().Draw(t, "catch up") {
				if err := k.catchUp(context.Background()); err != nil && !errors.Is(err, ErrStore) {
					t.Fatal(err)
				}
			}
			for _, k := range keepers {
				for how := range brokenRules(k.State(), now) {
					t.Fatalf("after %s %+v: %s; pending %d", cmd.Kind(), cmd, how, len(k.Pending()))
				}
			}
		}
	})
}

// flakyStore is a store in memory that can be down.
type flakyStore struct {
	Documents // never asked
	state     State
	down      bool
}

func (s *flakyStore) Load(context.Context) (State, error) {
	if s.down {
		return State{}, errors.New("down")
	}
	return s.state, nil
}

func (s *flakyStore) Commit(_ context.Context, next State, _ []Event) error {
	switch {
	case s.down:
		return errors.New("down")
	case next.Revision != s.state.Revision+1:
		return ErrConflict
	}
	s.state = next
	return nil
}

func (s *flakyStore) Watch(context.Context) <-chan struct{} { return nil }

func (s *flakyStore) Audit(context.Context, string, uint64, int) ([]Event, error) { return nil, nil }
func (s *flakyStore) Close() error                                                { return nil }
