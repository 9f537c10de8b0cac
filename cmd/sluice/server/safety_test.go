package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sluice/state"
)

// mixed declares versions of which v1 can't read what v2 writes, and an api that
// v3 requires something of.
func mixed(t *testing.T, v1, v2, v3, v7 int) string {
	return fmt.Sprintf(`services:
  web:
    versions:
      v1: {endpoints: [%q], weight: %d, shape: {writes: "11", reads: ["11"]}}
      v2: {endpoints: [%q], weight: %d, shape: {writes: "12", reads: ["11", "12"]}}
      v3: {endpoints: [%q], weight: %d, requires: {api: [orders-v2]}}
    health: {interval: 20ms, timeout: 1s, fall: 1, rise: 1}
  api:
    versions:
      v7: {endpoints: [%q], weight: %d}
      v8: {endpoints: [%q], weight: 1, provides: [orders-v2]}
routes: [{service: web}]
`, backend(t, "v1"), v1, backend(t, "v2"), v2, backend(t, "v3"), v3, backend(t, "v7"), v7, backend(t, "v8"))
}

func TestAStartIsRefusedWithTheLineThatBreaksARule(t *testing.T) {
	for want, text := range map[string]string{
		`line 9: services.web.versions.v2.weight: versions "v1" (writes 11, reads 11) and "v2"`: mixed(t, 1, 1, 0, 0),
		`line 10: services.web.versions.v3.weight: version "v3" of service "web" requires`:      mixed(t, 1, 0, 1, 1),
	} {
		path := t.TempDir() + "/sluice.yaml"
		rewrite(t, path, plainListener, "state: {backend: memory}", text)
		s, err := startFile(t, path, Options{})
		if err == nil {
			_ = s.Stop()
			t.Fatal("it started")
		}
		var r *state.Refusal
		if !strings.Contains(err.Error(), want) || !errors.As(err, &r) || r.Rule == "" {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAReloadIsRefusedWithTheLineThatBreaksARule(t *testing.T) {
	s := run(t, mixed(t, 1, 0, 0, 1))
	rewrite(t, s.path, plainListener, "state: {backend: memory}", mixed(t, 1, 0, 1, 1))
	err := s.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "services.web.versions.v3.weight: ") {
		t.Errorf("got %v", err)
	}
	stranger(t).get(s.url("", "/")).served(t, "v1")
}

func TestAVersionWithoutHealthyEndpointGetsNoShare(t *testing.T) {
	s := run(t, fmt.Sprintf(`services:
  web:
    versions:
      v1: {endpoints: [%q], weight: 1}
      v2: {endpoints: [%q]}
    health: {interval: 20ms, timeout: 1s, fall: 1, rise: 1}
`, backend(t, "v1"), dead(t)))
	await(t, "the fall of v2", func() bool { return s.numbersOf("web", "v2").Healthy == 0 })
	_, err := s.keeper.Do(t.Context(), state.SetWeights{Service: "web", Weights: map[string]int{"v1": 1, "v2": 1}}, state.Meta{By: "anna"})
	var r *state.Refusal
	if !errors.As(err, &r) || r.Rule != state.RuleCapacity || r.Version != "v2" {
		t.Fatalf("got %v", err)
	}
	result, err := s.keeper.Do(t.Context(), state.Rollback{Service: "web", To: "v2"}, state.Meta{By: "anna"})
	if err != nil || len(result.Events) != 1 || len(result.Events[0].Warnings) != 1 {
		t.Fatalf("got %+v, %v", result.Events, err)
	}
}

func TestAShareIsHeldToTheDeclaredCapacity(t *testing.T) {
	s := run(t, fmt.Sprintf(`services:
  web:
    pin: {by: none}
    versions:
      v1: {endpoints: [%q], weight: 1}
      v2: {endpoints: [%q], capacity: 1}
    rules:
      - {name: staff, match: {header: {X-Staff: "yes"}}, version: v2, dark: true}
      - {name: by-tenant, match: {header: {X-Tenant: "*"}}, split: {by: "header:X-Tenant", weights: {v1: 1}}}
`, backend(t, "v1"), backend(t, "v2")))
	c := stranger(t)
	for range 120 { // two a second, over the last minute
		c.get(s.url("", "/")).served(t, "v1")
	}
	await(t, "the count", func() bool { return s.numbersOf("web", "v1").RequestsLastMinute == 120 })
	flip := func(v1, v2 int) error {
		_, err := s.keeper.Do(t.Context(), state.SetWeights{Service: "web", Weights: map[string]int{"v1": v1, "v2": v2}}, state.Meta{By: "anna"})
		return err
	}
	var r *state.Refusal
	if err := flip(1, 9); !errors.As(err, &r) || r.Rule != state.RuleCapacity || !strings.Contains(r.Remedy, "give it at most 50%") {
		t.Fatalf("got %v", err)
	}
	if err := flip(6, 4); err != nil {
		t.Fatal(err)
	}
	if got := s.facts(nil).Named["web"]; fmt.Sprint(got) != "[v2 v1]" {
		t.Errorf("named %v", got)
	}
}
