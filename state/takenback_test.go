package state

import "testing"

// What was taken back is told until it has weight again; what a successor has
// replaced is not, nor what never had any.
func TestTakenBack(t *testing.T) {
	s := start(t, web(map[string]int{"v1": 100, "v2": 0, "v3": 0}))
	want := func(version, kind string) Flip {
		t.Helper()
		f, ok := s.state.TakenBack("web", version)
		if ok != (kind != "") || ok && (f.Kind != kind || !f.At.Equal(s.now) || f.By != "anna") {
			t.Fatalf("%s: %+v, %v; want %q", version, f, ok, kind)
		}
		return f
	}
	want("v2", "")
	s.ok(flipTo("v1", 90, "v2", 10))
	s.ok(Rollback{Service: "web"})
	want("v2", "rollback")
	want("v1", "")
	s.ok(flipTo("v2", 100))
	want("v2", "")
	s.ok(flipTo("v3", 100))
	want("v2", "") // replaced
	s.ok(Rollback{Service: "web", To: "v1"})
	want("v3", "rollback")
	want("v2", "")
	for _, of := range [][2]string{{"web", "v9"}, {"none", "v1"}} {
		if f, ok := s.state.TakenBack(of[0], of[1]); ok {
			t.Errorf("%v: %+v", of, f)
		}
	}
}

// A rollout's end tells the rollout, whoever ended it; another build under the old
// name begins without a past.
func TestTakenBackByARollout(t *testing.T) {
	s := start(t, shop())
	for kind, end := range map[string]func(){
		"move_rollout": func() { s.move(PhaseAborted, 1) },
		"rollback":     func() { s.ok(Rollback{Service: "web"}) },
	} {
		s.ok(startWeb("v2"))
		s.move(PhaseProbing, 0)
		s.move(PhaseShifting, 1)
		end()
		id := s.rollout().ID
		if f, ok := s.state.TakenBack("web", "v2"); !ok || f.Kind != kind || f.Rollout != id {
			t.Errorf("%s: %+v, %v", kind, f, ok)
		}
		s.ok(RemoveVersion{Service: "web", Version: "v2"})
		s.ok(PutVersion{Service: "web", Version: "v2", Spec: spec("v2")})
		if f, ok := s.state.TakenBack("web", "v2"); ok {
			t.Errorf("another v2: %+v", f)
		}
		s.ok(RemoveVersion{Service: "web", Version: "v2"})
	}
}
