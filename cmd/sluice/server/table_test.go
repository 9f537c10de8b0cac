package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/configs"
	"sluice/routing"
	"sluice/state"
	"sluice/state/memory"
)

func TestAFlipCompilesItsServiceAlone(t *testing.T) {
	s := unserved(t, 3, memory.New())
	before := s.proxy.Table()
	if _, err := s.keeper.Do(t.Context(), state.SetWeights{Service: "s1", Weights: all("v2")}, s.fileMeta()); err != nil {
		t.Fatal(err)
	}
	after := s.proxy.Table()
	for name, changed := range map[string]bool{"s0": false, "s1": true, "s2": false} {
		if same := before.Routing.Service(name) == after.Routing.Service(name); same == changed {
			t.Errorf("%s compiled anew: %v, want %v", name, !same, changed)
		}
	}
	if after.Routing.Revision != s.keeper.State().Revision {
		t.Errorf("the table is of revision %d", after.Routing.Revision)
	}
}

// However commands and files follow one another, the table that came about part
// by part says what one built whole would say, and every version has a slot of
// its own that leads to its own endpoints.
func TestTheTableIsAlwaysThatOfFileAndState(t *testing.T) {
	files := []*configs.File{manyFile(t, 2), manyFile(t, 3), manyFile(t, 3)}
	delete(files[2].Services["s1"].Versions, "v2")
	rapid.Check(t, func(rt *rapid.T) {
		s := unserved(t, 3, memory.New())
		defer s.fleet.close()
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			if rapid.IntRange(0, 5).Draw(rt, "kind") == 0 {
				old := s.swapFile(rapid.SampledFrom(files).Draw(rt, "file"))
				if _, err := s.keeper.Do(t.Context(), declare(s.file), s.fileMeta()); err != nil {
					s.swapFile(old)
				}
				if err := s.applyFile(); err != nil {
					rt.Fatal(err)
				}
			} else {
				cmd := drawCommand(rt)
				_, _ = s.keeper.Do(t.Context(), cmd, s.fileMeta()) // refusals change nothing
			}
			checkTable(rt, s)
		}
	})
}

func drawCommand(t *rapid.T) state.Command {
	service := rapid.SampledFrom([]string{"s0", "s1", "s2"}).Draw(t, "service")
	version := rapid.SampledFrom([]string{"v1", "v2", "v3", "v4"}).Draw(t, "version")
	switch rapid.IntRange(0, 5).Draw(t, "command") {
	case 0, 1:
		port := rapid.SampledFrom([]string{"3", "4"}).Draw(t, "port")
		return state.PutVersion{Service: service, Version: version, Spec: state.Spec{Endpoints: []string{"127.0.0.1:" + port}}}
	case 2:
		return state.RemoveVersion{Service: service, Version: version}
	case 3:
		return state.VoidPins{Service: service, Version: version}
	case 4:
		return state.Rollback{Service: service}
	}
	mode := rapid.SampledFrom([]state.PinMode{state.PinsMove, state.PinsKeep}).Draw(t, "pins")
	return state.SetWeights{Service: service, Weights: map[string]int{version: 5, "v1": 1}, Pins: state.Pins{Mode: mode}}
}

// checkTable holds the table in force against file and state.
func checkTable(t *rapid.T, s *Server) {
	table, st := s.proxy.Table(), s.keeper.State()
	owner := map[int]string{}
	versions := 0
	for _, name := range (&sources{s.file, st}).services() {
		svc := table.Routing.Service(name)
		if svc == nil {
			t.Fatalf("%s is not in the table", name)
		}
		want := serviceConfig(name, s.file.Services[name], st.Services[name])
		if svc.Epoch != want.Epoch || len(svc.Versions) != len(want.Versions) {
			t.Fatalf("%s: epoch %d with %d versions, want %d with %d", name, svc.Epoch, len(svc.Versions), want.Epoch, len(want.Versions))
		}
		for i, v := range svc.Versions {
			versions++
			got := routing.VersionConfig{Name: v.Name, Weight: v.Weight, Draining: v.Draining, DrainUntil: v.DrainUntil, LeastEpoch: v.LeastEpoch}
			if fmt.Sprint(got) != fmt.Sprint(want.Versions[i]) {
				t.Fatalf("%s: got %+v, want %+v", name, got, want.Versions[i])
			}
			if other, taken := owner[v.Slot]; taken {
				t.Fatalf("%s/%s has the slot of %s", name, v.Name, other)
			}
			owner[v.Slot] = name + "/" + v.Name
			m := s.fleet.members[name][v.Name]
			if m == nil || m.slot != v.Slot || table.Targets[v.Slot].Cluster != m.cluster || table.Targets[v.Slot].Stats != m.stats {
				t.Fatalf("%s/%s: its slot leads elsewhere", name, v.Name)
			}
			if !slices.Equal(m.config.Endpoints, st.Services[name].Versions[v.Name].Spec.Endpoints) {
				t.Fatalf("%s/%s is reached by %v", name, v.Name, m.config.Endpoints)
			}
		}
	}
	if members := s.fleet.size - len(s.fleet.free); members != versions {
		t.Fatalf("%d members for %d versions", members, versions)
	}
}

func TestRetiredClustersAreClosedInTheEnd(t *testing.T) {
	s := unserved(t, 1, memory.New())
	var r retired
	c := s.fleet.cluster("s0", "v1")
	r.add(c)
	if !c.Usable() {
		t.Error("it was closed at once")
	}
	r.open[c].Reset(time.Millisecond)
	await(t, "its end", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.open) == 0 && !c.Usable()
	})
	r.close()
}
