package state

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// try applies a command with facts and keeps the outcome.
func (s *steps) try(cmd Command, facts *Facts) ([]Event, *Refusal) {
	s.now = s.now.Add(time.Minute)
	next, events, err := Apply(s.state, cmd, Meta{By: "anna", At: s.now, Facts: facts})
	var r *Refusal
	if errors.As(err, &r) {
		return nil, r
	}
	s.state = next
	return events, nil
}

// A dark version gets no weight while journeys stand against it, by whichever way;
// force passes over them and a rollback warns.
func TestJourneys(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0, "v3": 0}))
	facts := &Facts{Failing: map[string]map[string][]string{"web": {"v1": {"checkout fails"}, "v2": {"checkout fails at step cart: status 500", "login has not been run yet"}}}}
	_, r := s.try(flipTo("v1", 99, "v2", 1), facts)
	const want = `version "v2" of service "web" is dark and has not passed its journeys: checkout fails at step cart: status 500; login has not been run yet; ` +
		`sluice probe run web v2 runs them now, sluice matrix web v2 tells what they did; force passes over them`
	if r == nil || r.Rule != RuleJourneys || r.Service != "web" || r.Version != "v2" || r.Field != "weights.v2" || r.Error() != want || !errors.Is(r, ErrRefused) {
		t.Fatalf("refusal %v", r)
	}
	// Others may have weight, what is live may fail, and what stays dark too.
	if _, r = s.try(flipTo("v1", 50, "v3", 50), facts); r != nil {
		t.Fatal(r)
	}
	if _, r = s.try(flipTo("v1", 100), facts); r != nil { // v3 drains
		t.Fatal(r)
	}
	facts.Failing["web"]["v3"] = []string{"checkout fails"}
	if _, r = s.try(flipTo("v1", 50, "v3", 50), facts); r != nil {
		t.Fatal("one that drains is not dark: ", r)
	}
	// Without facts nothing is known; another service's are not its own.
	for _, other := range []*Facts{nil, {}, {Failing: map[string]map[string][]string{"api": {"v2": {"checkout fails"}}}}} {
		before := s.state
		if _, r = s.try(flipTo("v1", 99, "v2", 1), other); r != nil {
			t.Fatal(r)
		}
		s.state = before
	}
	forced := flipTo("v1", 99, "v2", 1)
	forced.Force = true
	events, r := s.try(forced, facts)
	if r != nil || !reflect.DeepEqual(events[0].Forced, []Rule{RuleJourneys}) || !strings.HasPrefix(events[0].Warnings[0], `forced: version "v2"`) {
		t.Fatalf("refusal %v, events %+v", r, events)
	}
	// Once it has weight it may have more.
	if _, r = s.try(flipTo("v2", 1), facts); r != nil {
		t.Fatal(r)
	}
	if _, r = s.try(withPins(flipTo("v3", 1), move), facts); r != nil {
		t.Fatal(r)
	}
	if events, r = s.try(Rollback{Service: "web", To: "v1"}, facts); r != nil || len(events[0].Warnings) != 1 ||
		!strings.Contains(events[0].Warnings[0], "has not passed its journeys: checkout fails") {
		t.Fatalf("refusal %v, events %+v", r, events)
	}
}

func TestManyJourneys(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	_, r := s.try(flipTo("v2", 1), &Facts{Failing: map[string]map[string][]string{"web": {"v2": {"a fails", "b fails", "c fails", "d fails", "e fails"}}}})
	if r == nil || !strings.Contains(r.Message, ": a fails; b fails; c fails; and 2 more") {
		t.Fatal(r)
	}
}

// The file's weights are held to them too: a version that it brings along live is
// taken, since nobody could look at it before.
func TestJourneysAndTheFile(t *testing.T) {
	facts := &Facts{Failing: map[string]map[string][]string{"web": {"v2": {"checkout fails"}, "v3": {"checkout fails"}}}}
	s := start(t, web(map[string]int{"v1": 100, "v2": 0}))
	if _, r := s.try(Declare{Services: web(map[string]int{"v1": 50, "v2": 50})}, facts); r == nil || r.Rule != RuleJourneys || r.Field != "weights.v2" {
		t.Fatal(r)
	}
	if _, r := s.try(Declare{Services: web(map[string]int{"v1": 50, "v2": 0, "v3": 50})}, facts); r != nil {
		t.Fatal(r)
	}
	if _, r := s.try(Declare{Services: web(map[string]int{"v1": 50, "v2": 0, "v3": 50})}, facts); r != nil { // unchanged
		t.Fatal(r)
	}
}

// Whatever is commanded by whomever: a version that was dark and against which a
// journey stands has weight afterwards only by force, by a rollback, or because it
// was not known before; and nothing else is refused for it.
func TestJourneysIsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, now := State{}, day
		for range rapid.IntRange(1, 15).Draw(t, "commands") {
			now = now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "minutes")) * time.Minute)
			facts := &Facts{Failing: map[string]map[string][]string{"web": {}, "api": {}}}
			for _, service := range []string{"web", "api"} {
				for _, version := range []string{"v1", "v2", "v3", "ci"} {
					if rapid.IntRange(0, 2).Draw(t, "fails") == 0 {
						facts.Failing[service][version] = []string{"checkout fails"}
					}
				}
			}
			cmd := ruledCommand(t, now)
			meta := Meta{By: "anna", At: now, Facts: facts}
			next, events, err := Apply(s, cmd, meta)
			meta.Facts = nil
			freely, _, errFreely := Apply(s, cmd, meta)
			_, back := cmd.(Rollback)
			forced := len(events) > 0 && len(events[0].Forced) > 0
			stands := false
			for name, svc := range freely.Services {
				for version, v := range svc.Versions {
					old := s.Services[name]
					if old != nil && old.Versions[version] != nil && old.Versions[version].Mode(now) == Dark && v.Weight > 0 && len(facts.Failing[name][version]) > 0 {
						stands = true
					}
				}
			}
			var r *Refusal
			refused := errors.As(err, &r) && r.Rule == RuleJourneys
			if errFreely == nil && refused != (stands && !back && !forced) {
				t.Fatalf("%+v with %v: %v, it stands against it: %t", cmd, facts.Failing, err, stands)
			}
			if errFreely != nil && err == nil {
				t.Fatalf("%+v: journeys let pass what is refused: %v", cmd, errFreely)
			}
			s = next
		}
	})
}
