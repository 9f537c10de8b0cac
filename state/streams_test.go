package state

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// at applies a command to a state that must take it.
func mustApply(t *testing.T, s State, cmd Command) (State, []Event) {
	t.Helper()
	next, events, err := Apply(s, cmd, Meta{By: "test", At: time.Unix(1e9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return next, events
}

// TestFlipsTellWhatBecomesOfStreams: who knows the state before and after a
// flip knows whether it closes streams.
func TestFlipsTellWhatBecomesOfStreams(t *testing.T) {
	one := DeclaredVersion{Spec: Spec{Endpoints: []string{"127.0.0.1:1"}}}
	all := one
	all.Weight = 100
	s, _ := mustApply(t, State{}, Declare{Services: map[string]DeclaredService{"web": {Versions: map[string]DeclaredVersion{"v1": all, "v2": one}}}})
	start := s.Services["web"].Epoch
	for _, step := range []struct {
		cmd    Command
		closes bool
		detail string
	}{
		{SetWeights{Service: "web", Weights: map[string]int{"v1": 50, "v2": 50}}, false, "pins drain for 30m0s"},
		{Rollback{Service: "web", Streams: StreamsClose}, true, "pins move, streams close"},
		{SetWeights{Service: "web", Weights: map[string]int{"v2": 100}, Streams: StreamsFinish}, false, "pins drain for 30m0s"},
		{SetWeights{Service: "web", Weights: map[string]int{"v2": 100}, Streams: StreamsClose}, true, "weights stay v2=100, pins drain for 30m0s, streams close"},
	} {
		before := s.Services["web"]
		var events []Event
		s, events = mustApply(t, s, step.cmd)
		svc := s.Services["web"]
		if got := svc.ClosesStreams(before.Epoch); got != step.closes {
			t.Errorf("%+v closes streams: %v", step.cmd, got)
		}
		if len(events) != 1 || !strings.HasSuffix(events[0].Detail, step.detail) {
			t.Errorf("%+v: told %v", step.cmd, events)
		}
		if svc.Epoch != before.Epoch+1 || svc.ClosesStreams(svc.Epoch) {
			t.Errorf("%+v: epoch %d after %d", step.cmd, svc.Epoch, before.Epoch)
		}
	}
	if !s.Services["web"].ClosesStreams(start) {
		t.Error("a flip that was not the last is forgotten")
	}
	// A rollback that is in force already stays without effect.
	before := s
	if s, events := mustApply(t, s, Rollback{Service: "web", To: "v2", Streams: StreamsClose}); len(events) > 0 && s.Services["web"].ClosesStreams(before.Services["web"].Epoch) {
		t.Errorf("closed again: %v", events)
	}
	for _, cmd := range []Command{SetWeights{Service: "web", Weights: map[string]int{"v1": 1}, Streams: "cut"}, Rollback{Service: "web", To: "v1", Streams: "cut"}} {
		_, _, err := Apply(s, cmd, Meta{By: "test", At: time.Unix(1e9, 0)})
		var refusal *Refusal
		if !errors.As(err, &refusal) || !errors.Is(err, ErrInvalid) || refusal.Field != "streams" || refusal.Remedy == "" {
			t.Errorf("%+v: %v", cmd, err)
		}
	}
}
