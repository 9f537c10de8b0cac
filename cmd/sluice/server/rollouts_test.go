package server

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/configs"
	"sluice/rollout"
	"sluice/state"
	"sluice/stats/trial"
)

func parseFile(t *testing.T, text string) *configs.File {
	t.Helper()
	f, err := configs.Parse("sluice.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const leastServices = `
services: {web: {versions: {v1: {endpoints: ["127.0.0.1:9001"], weight: 1}}}}
`

// A policy of the file is the same policy in the state; what the file turns off
// stays off.
func TestPolicyOf(t *testing.T) {
	f := parseFile(t, leastServices+`
policies:
  ours:
    stages:
      - probe: {journeys: [checkout], passes: 5, every: 1s, deadline: 1m, gate: true}
      - shadow: {share: 2.5%, hold: 5m, deadline: 1h, gate: true}
      - shift: {share: 12.5%, hold: 1m, deadline: 2m, gate: true}
      - bake: {hold: 2h, deadline: 3h, gate: true}
    gate: true
    on_inconclusive: rollback
    on_promote: {pins: "drain:5m", streams: close}
    on_rollback: {pins: keep}
    queue: fifo
    guards: {alpha: 5%, margins: {100%: 2.5}, latency: 10%, ceiling: 1%, objective: 0%, failures_in_a_row: 0}
    hooks:
      - {url: "https://ci.example.com/", timeout: 1m}
      - {command: [announce], on: [promoted]}
journeys: {checkout: {steps: [{path: /}]}}
`)
	want := state.Policy{
		Name: "ours", Gate: true, OnInconclusive: state.InconclusiveRollback, Queue: state.QueueFIFO,
		Stages: []state.Stage{
			{Kind: state.StageProbe, Journeys: []string{"checkout"}, Passes: 5, Every: time.Second, Deadline: time.Minute, Gate: true},
			{Kind: state.StageShadow, Share: 250, Hold: 5 * time.Minute, Deadline: time.Hour, Gate: true},
			{Kind: state.StageShift, Share: 1250, Hold: time.Minute, Deadline: 2 * time.Minute, Gate: true},
			{Kind: state.StageBake, Hold: 2 * time.Hour, Deadline: 3 * time.Hour, Gate: true},
		},
		OnPromote:  state.Handling{Pins: state.Pins{Mode: state.PinsDrain, For: 5 * time.Minute}, Streams: state.StreamsClose},
		OnRollback: state.Handling{Pins: state.Pins{Mode: state.PinsKeep}, Streams: state.StreamsFinish},
		Guards: state.Guards{Alpha: 0.05, Margins: map[int]float64{10_000: 2.5}, Latency: 0.1, Ceiling: 0.01,
			Objective: -1, FailuresInARow: -1},
		Hooks: []state.Hook{
			{URL: "https://ci.example.com/", Timeout: time.Minute},
			{Command: []string{"announce"}, On: []state.Phase{state.PhasePromoted}, Timeout: 10 * time.Second},
		},
	}
	if got := policyOf("ours", f.Policies["ours"]); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The state names secrets, and the file in force has them.
func TestHookSecret(t *testing.T) {
	f := parseFile(t, leastServices)
	f.Policies = map[string]*configs.Policy{"ours": {Hooks: []configs.Hook{{URL: "https://ci.example.com/", SecretFile: "hook.key"}, {Command: []string{"a"}}}}}
	if got := policyOf("ours", f.Policies["ours"]); got.Hooks[0].Secret != "hook.key" || strings.Contains(got.Hooks[1].Secret, "key") {
		t.Errorf("the hooks are %+v", got.Hooks)
	}
	if _, ok := hookSecret(f, "hook.key"); !ok {
		t.Error("the secret is not found")
	}
	for _, name := range []string{"", "other.key"} {
		if _, ok := hookSecret(f, name); ok {
			t.Errorf("there is a secret %q", name)
		}
	}
}

// A policy is found in the file or among those built in; without a name it is the
// services' own.
func TestPolicy(t *testing.T) {
	f := parseFile(t, `
services:
  web: {versions: {v1: {endpoints: ["127.0.0.1:9001"], weight: 1}}, rollout: ours}
  api: {versions: {v1: {endpoints: ["127.0.0.1:9002"], weight: 1}}}
policies:
  ours: {stages: [{shift: {share: 50%}}]}
routes: [{service: web}]
`)
	for _, c := range []struct {
		name     string
		services []string
		want     string
	}{
		{"", []string{"web"}, "ours"}, {"", []string{"api"}, "standard"}, {"", []string{"none"}, "standard"},
		{"manual", []string{"web"}, "manual"}, {"ours", []string{"api"}, "ours"}, {"cautious", []string{"web", "api"}, "cautious"},
	} {
		if p, err := policy(f, c.name, c.services); err != nil || p.Name != c.want || len(p.Stages) == 0 {
			t.Errorf("%q for %v: got %q, %v", c.name, c.services, p.Name, err)
		}
	}
	for name, want := range map[string]string{
		"":      "the services have the policies ours, standard, and a release set has one; name the one that is meant",
		"other": `there is no policy "other"; known policies: standard, cautious, blue-green, manual, ours`,
	} {
		if _, err := policy(f, name, []string{"web", "api"}); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", name, err, want)
		}
	}
}

// The file knows the policies that are built in, and every one passes its rules.
func TestBuiltinPolicies(t *testing.T) {
	var names []string
	for _, p := range rollout.Policies() {
		names = append(names, p.Name)
	}
	if !reflect.DeepEqual(names, configs.BuiltinPolicies()) {
		t.Errorf("got %q, the file knows %q", names, configs.BuiltinPolicies())
	}
}

func TestBadOf(t *testing.T) {
	b := configs.DefaultBad()
	if got := badOf(&b); !reflect.DeepEqual(got, trial.DefaultBad()) {
		t.Errorf("got %+v, want %+v", got, trial.DefaultBad())
	}
	b = configs.Bad{Statuses: []configs.Statuses{{From: 400, To: 499}}, Except: []configs.Statuses{{From: 404, To: 404}},
		Header: map[string]string{"x-b": "*", "X-A": "1"}, Latency: time.Second}
	want := trial.Bad{Statuses: []trial.Statuses{{From: 400, To: 499}}, Except: []trial.Statuses{{From: 404, To: 404}},
		Headers: []trial.Header{{Name: "X-A", Value: "1"}, {Name: "x-b", Value: "*"}}, Latency: time.Second}
	if got := badOf(&b); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Whatever policy the file takes, and every one that is built in, the state takes
// too: nobody learns at a rollout that the policy was wrong.
func TestPoliciesAreTaken(t *testing.T) {
	data, err := configs.Example("edge")
	if err != nil {
		t.Fatal(err)
	}
	f := parseFile(t, string(data))
	extremes := parseFile(t, leastServices+`
policies:
  least: {stages: [{bake: {hold: 0s}}], guards: {alpha: 0.01%, ceiling: 0.0001%, objective: 100%, failures_in_a_row: 1000000}}
  most:
    stages:
      - probe: {passes: 1000, every: 100ms, deadline: 720h}
      - shadow: {share: 100%, hold: 720h, deadline: 720h}
      - shadow: {share: 0.01%}
      - shift: {share: 0.01%, hold: 720h, deadline: 720h}
      - shift: {share: 100%}
    guards: {alpha: 20%, margins: {0.01%: 100, 100%: 1.1}, latency: 1000%, ceiling: 50%}
    on_promote: {pins: "drain:720h"}
    on_rollback: {pins: "drain:1s"}
    hooks: [{command: [a], timeout: 100ms}, {url: "http://[::1]:80/a?b=c", timeout: 5m, on: [queued, rolling_back]}]
`)
	all := rollout.Policies()
	for _, file := range []*configs.File{f, extremes} {
		for name, p := range file.Policies {
			all = append(all, policyOf(name, p))
		}
	}
	st, _, err := state.Apply(state.State{}, declare(f), state.Meta{By: "file", At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		start := state.StartRollout{Legs: []state.StartLeg{{Service: "web", Version: "v2"}}, Policy: p}
		if _, _, err := state.Apply(st, start, state.Meta{By: "ci", At: time.Now()}); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

// When one that waits begins is guessed by the traffic of the service, whether or
// not a version declares its capacity.
func TestGuessWhenARolloutBegins(t *testing.T) {
	s := run(t, fmt.Sprintf(oneVersion, backend(t, "v1")))
	policy := state.Policy{Name: "shift", Stages: []state.Stage{{Kind: state.StageShift, Share: 5000, Hold: time.Minute}}}
	first := s.roll(policy, backend(t, "v2"))
	s.awaitPhase(first, state.PhaseShifting, 0)
	st := s.do(state.StartRollout{Policy: policy, Legs: []state.StartLeg{{Service: "web", Version: "v3", Spec: &state.Spec{Endpoints: []string{"127.0.0.1:1"}}}}})
	second := st.RolloutOf("web", "v3").ID
	if line := (rollouts{s.Server}).Line(second); line.Place != 1 || !line.Expected.IsZero() {
		t.Errorf("without traffic: %+v", line)
	}
	v := stranger(t)
	await(t, "a guess", func() bool {
		v.try(s.url("", "/"))
		return !(rollouts{s.Server}).Line(second).Expected.IsZero()
	})
}
