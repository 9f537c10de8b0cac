package state

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyRolloutCommand draws a command about rollouts: sound ones mostly, since the
// legal ones are few.
func anyRolloutCommand(t *rapid.T, s State) Command {
	ids := append(slices.Sorted(maps.Keys(s.Rollouts)), "r0")
	id := rapid.SampledFrom(ids).Draw(t, "id")
	r := s.Rollouts[id]
	switch rapid.SampledFrom([]string{"start", "start", "move", "move", "move", "move", "steer", "queue", "back"}).Draw(t, "rollout kind") {
	case "start":
		return anyStart(t)
	case "steer":
		return SteerRollout{ID: id, Action: rapid.SampledFrom([]Action{ActionPause, ActionResume, ActionPromote, ActionAbort, "x"}).Draw(t, "action")}
	case "queue":
		return QueueRollout{ID: id, Place: rapid.IntRange(0, 4).Draw(t, "place")}
	case "back":
		if r != nil {
			return Rollback{Service: r.Legs[0].Service, Rollout: id}
		}
		return Rollback{Service: "web", Rollout: id}
	}
	c := MoveRollout{ID: id, To: rapid.SampledFrom(phases).Draw(t, "to"), Stage: rapid.IntRange(-1, 4).Draw(t, "stage")}
	if r != nil {
		c.Seq = r.Seq
		if next := transitions[r.Phase]; len(next) > 0 && rapid.IntRange(0, 9).Draw(t, "sound") > 0 {
			c.To = rapid.SampledFrom(next).Draw(t, "next")
			c.Stage = r.Stage + rapid.SampledFrom([]int{0, 1, 1}).Draw(t, "further")
		}
	}
	return c
}

func anyStart(t *rapid.T) StartRollout {
	c := StartRollout{Policy: rapid.SampledFrom([]Policy{quick(), {}, {
		Name: "short", Gate: true, Queue: QueueFIFO, OnPromote: Handling{Pins: Pins{Mode: PinsMove}}, OnRollback: Handling{Pins: Pins{Mode: PinsKeep}},
		Stages: []Stage{{Kind: StageShift, Share: 1}, {Kind: StageBake, Gate: true}},
	}}).Draw(t, "policy")}
	for _, service := range rapid.SampledFrom([][]string{{"web"}, {"api"}, {"web", "api"}, {"api", "web"}, {"nope"}}).Draw(t, "services") {
		l := StartLeg{Service: service, Version: rapid.SampledFrom([]string{"c1", "c2", "c3", "v2", "bad name"}).Draw(t, "version")}
		if rapid.IntRange(0, 4).Draw(t, "registers") > 0 {
			l.Spec = &Spec{Endpoints: []string{"a:1"}}
		}
		c.Legs = append(c.Legs, l)
	}
	return c
}

// checkRollouts holds two states that follow one another against what rollouts
// promise.
func checkRollouts(t *rapid.T, s, next State) {
	for id, r := range next.Rollouts {
		old := s.Rollouts[id]
		switch {
		case (r != old) != (r.Revision == next.Revision):
			t.Fatalf("%s: touched %v, revision %d", id, r != old, r.Revision)
		case old == nil || r == old:
			continue
		case old.Phase.Over():
			t.Fatalf("%s changed after its end, from %s to %s", id, old.Phase, r.Phase)
		case r.Phase != old.Phase && r.Seq <= old.Seq:
			t.Fatalf("%s went from %s to %s without counting it", id, old.Phase, r.Phase)
		}
		checkShares(t, next, old, r)
	}
	for id, old := range s.Rollouts {
		served := slices.ContainsFunc(old.Legs, func(l Leg) bool { return next.Services[l.Service] != nil })
		if next.Rollouts[id] == nil && !old.Phase.Over() && served {
			t.Fatalf("%s is forgotten while %s", id, old.Phase)
		}
	}
}

// checkShares holds that the weights are what the rollout's transition says.
func checkShares(t *rapid.T, next State, old, r *Rollout) {
	for _, leg := range r.Legs {
		svc := next.Services[leg.Service]
		if svc == nil || leg.Since == 0 {
			continue
		}
		part := float64(svc.Weights()[leg.Candidate]) / float64(sum(svc.Weights()))
		want := float64(r.Share()) / wholeShare
		if r.UnderWay() && (part < want-1e-6 || part > want+1e-6) {
			t.Fatalf("%s (%s) gives its candidate %v, want %v: %v", r.ID, r.Phase, part, want, svc.Weights())
		}
	}
	if r.Phase == PhaseRolledBack && old.shifted() {
		leg := r.Legs[len(r.Legs)-1]
		svc := next.Services[leg.Service]
		if f := svc.Flips[len(svc.Flips)-1]; f.Undoes == 0 {
			t.Fatalf("%s was rolled back by a flip that takes nothing back: %+v", r.ID, f)
		}
	}
}

// TestRollbackOfARollout is exact: whatever a rollout did, its end by rollback or
// abort leaves the shares of before, and the next rollback goes back further.
func TestRollbackOfARollout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := day
		apply := func(s State, cmd Command) State {
			now = now.Add(time.Second)
			next, _, err := Apply(s, cmd, Meta{By: "anna", At: now})
			if err != nil {
				t.Fatalf("%+v: %v", cmd, err)
			}
			return next
		}
		s := apply(State{}, Declare{Services: web(map[string]int{"v0": 0, "v1": 100, "v2": 0})})
		s = apply(s, SetWeights{Service: "web", Weights: map[string]int{"v0": rapid.IntRange(0, 5).Draw(t, "v0"), "v1": rapid.IntRange(1, 1000).Draw(t, "v1"), "v2": rapid.IntRange(0, 1000).Draw(t, "v2")}})
		before := s.Services["web"].Weights()
		p := Policy{Name: "p"}
		for share := 0; share < wholeShare; {
			share += rapid.IntRange(1, wholeShare-share).Draw(t, "share")
			if p.Stages = append(p.Stages, Stage{Kind: StageShift, Share: share}); len(p.Stages) == MaxStages {
				break
			}
		}
		s = apply(s, StartRollout{Legs: []StartLeg{leg("web", "c")}, Policy: p})
		id := s.RolloutOf("web", "c").ID
		for i := range rapid.IntRange(1, len(p.Stages)).Draw(t, "stages") {
			s = apply(s, MoveRollout{ID: id, Seq: s.Rollouts[id].Seq, To: PhaseShifting, Stage: i})
		}
		switch rapid.SampledFrom([]string{"back", "judge", "abort", "history"}).Draw(t, "end") {
		case "back":
			s = apply(s, Rollback{Service: "web"})
		case "judge":
			s = apply(s, Rollback{Service: "web", Rollout: id})
		case "abort":
			s = apply(s, MoveRollout{ID: id, Seq: s.Rollouts[id].Seq, To: PhaseAborted})
		case "history":
			if r := s.Rollouts[id]; r.Stage == len(p.Stages)-1 {
				s = apply(s, MoveRollout{ID: id, Seq: r.Seq, To: PhasePromoted})
			}
			s = apply(s, Rollback{Service: "web"})
		}
		after := s.Services["web"].Weights()
		delete(after, "c")
		if !maps.Equal(after, before) {
			t.Fatalf("weights %v, before %v", after, before)
		}
		next, _, err := Apply(s, Rollback{Service: "web"}, Meta{By: "anna", At: now})
		if weights := next.Services["web"].Weights(); err == nil && (weights["c"] > 0 || weights["v1"] != 100) {
			t.Fatalf("a second rollback goes to %v", weights)
		}
	})
}
