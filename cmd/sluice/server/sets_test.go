package server

import (
	"fmt"
	"slices"
	"testing"

	"sluice/state"
)

// shop is two services that are released together, on one host.
func shop(t *testing.T) *sluice {
	t.Helper()
	return run(t, fmt.Sprintf(`routes:
  - {paths: ["/api"], service: api}
  - {paths: ["/"], service: web}
services:
  web: {versions: {v1: {endpoints: [%q], weight: 100}, v2: {endpoints: [%q]}}}
  api: {versions: {v7: {endpoints: [%q], weight: 10}, v8: {endpoints: [%q]}}}`,
		backend(t, "v1"), backend(t, "v2"), backend(t, "v7"), backend(t, "v8")))
}

// Sessions get both candidates of a release set, or neither, whichever service
// they ask first: while it is rolled out, while the old versions drain, and after
// a rollback.
func TestAReleaseSetMovesBySession(t *testing.T) {
	for _, end := range []state.Phase{state.PhasePromoted, state.PhaseRolledBack} {
		t.Run(string(end), func(t *testing.T) {
			s := shop(t)
			var visitors []*visitor
			seen := map[string]int{}
			visit := func(stage string) {
				clear(seen)
				for range 15 {
					visitors = append(visitors, stranger(t).browser())
				}
				for i, v := range visitors {
					paths := []string{"/", "/api"}
					if i%2 == 1 {
						slices.Reverse(paths)
					}
					got := []string{v.get(s.url("", paths[0])).body, v.get(s.url("", paths[1])).body}
					slices.Sort(got)
					seen[fmt.Sprint(got)]++
				}
				if seen["[v1 v7]"]+seen["[v2 v8]"] != len(visitors) {
					t.Fatalf("%s: %v", stage, seen)
				}
			}
			visit("before")
			r := s.rollout(5000, map[string]string{"web": "v2", "api": "v8"})
			visit("at half")
			if seen["[v2 v8]"] == 0 || seen["[v1 v7]"] <= 15 {
				t.Errorf("at half: %v", seen)
			}
			r = s.move(r, state.PhaseBaking, 1)
			visit("at all")
			s.move(r, end, 1)
			visit("at the end")
			if end == state.PhaseRolledBack && seen["[v2 v8]"] > 0 {
				t.Errorf("after the rollback: %v", seen)
			}
		})
	}
}

// Sessions that come to one service of a set from another, as pages and what they
// ask for do, count in the trials of both.
func TestSessionsOfASetCountInAllOfItsServices(t *testing.T) {
	s := shop(t)
	r := s.rollout(5000, map[string]string{"web": "v2", "api": "v8"})
	const sessions = 60
	for range sessions {
		v := stranger(t).browser()
		for _, path := range []string{"/", "/api", "/api"} {
			v.get(s.url("", path))
		}
	}
	web, webBaseline := awaitTrial(t, s.trialOf(r.ID, "web"), sessions)
	api, apiBaseline := awaitTrial(t, s.trialOf(r.ID, "api"), 2*sessions)
	if web.Sessions == 0 || web.Sessions+webBaseline.Sessions != sessions || api.Sessions != web.Sessions || apiBaseline.Sessions != webBaseline.Sessions {
		t.Errorf("web counts %d and %d sessions, api %d and %d", web.Sessions, webBaseline.Sessions, api.Sessions, apiBaseline.Sessions)
	}
}

// A set ends for a service that another rollout shifts.
func TestASetEndsWithTheNextRollout(t *testing.T) {
	s := shop(t)
	r := s.rollout(5000, map[string]string{"web": "v2", "api": "v8"})
	if all := sets(s.file, s.keeper.State()); len(all) != 2 || all["web"] != all["api"] || all["web"].over {
		t.Errorf("under way: %+v", all)
	}
	s.move(s.move(r, state.PhaseBaking, 1), state.PhasePromoted, 1)
	if all := sets(s.file, s.keeper.State()); len(all) != 2 || !all["web"].over {
		t.Errorf("while the old versions drain: %+v", all)
	}
	s.rollout(5000, map[string]string{"web": "v1"})
	if all := sets(s.file, s.keeper.State()); len(all) != 0 {
		t.Errorf("after another rollout: %+v", all)
	}
}
