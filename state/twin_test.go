package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// twin is a slow, plain model of one service whose versions never change: it
// keeps every session and every flip, and knows no epochs.
type twin struct {
	weights  map[string]int
	drains   map[string]Drain
	sessions []*session
	flips    []*twinFlip
}

type session struct {
	version string
	epoch   uint64 // what a proxy would have written into its pin
	void    bool
}

type twinFlip struct {
	before, after map[string]int
	undone        bool
}

func ratio(w map[string]int, version string) *big.Rat {
	if sum(w) == 0 {
		return new(big.Rat)
	}
	return big.NewRat(int64(w[version]), sum(w))
}

func (m *twin) same(a, b map[string]int) bool {
	for name := range m.weights {
		if ratio(a, name).Cmp(ratio(b, name)) != 0 {
			return false
		}
	}
	return true
}

func (m *twin) draining(name string, now time.Time) bool {
	d := m.drains[name]
	return m.weights[name] == 0 && d.On && (d.Until.IsZero() || now.Before(d.Until))
}

func (m *twin) holds(s *session, now time.Time) bool {
	return !s.void && (m.weights[s.version] > 0 || m.draining(s.version, now))
}

func (m *twin) void(version string) {
	for _, s := range m.sessions {
		s.void = s.void || s.version == version
	}
}

func (m *twin) flip(want map[string]int, pins Pins, now time.Time) {
	before := maps.Clone(m.weights)
	for name := range m.weights {
		falls := ratio(want, name).Cmp(ratio(before, name)) < 0
		wasDraining := m.draining(name, now)
		if pins.Mode == PinsMove && (falls || wasDraining && want[name] == 0) {
			m.void(name)
			m.drains[name] = Drain{}
		}
		if want[name] > 0 {
			m.drains[name] = Drain{}
		} else if before[name] > 0 {
			switch pins.Mode {
			case PinsMove:
				m.drains[name] = Drain{}
			case PinsDrain:
				m.drains[name] = Drain{On: true, Until: now.Add(pins.For)}
			case PinsKeep:
				m.drains[name] = Drain{On: true}
			}
		}
	}
	for name := range m.weights {
		m.weights[name] = want[name]
	}
}

func (m *twin) setWeights(want map[string]int, pins Pins, now time.Time) {
	before := maps.Clone(m.weights)
	m.flip(want, pins, now)
	if !maps.Equal(before, m.weights) {
		m.flips = append(m.flips, &twinFlip{before: before, after: maps.Clone(m.weights)})
	}
}

// rollback reports whether there was somewhere to go.
func (m *twin) rollback(to string, now time.Time) bool {
	from, want := -1, map[string]int{to: 100}
	for i := len(m.flips) - 1; i >= 0 && from < 0; i-- {
		f := m.flips[i]
		switch {
		case f.undone || sum(f.before) == 0:
		case to != "" && m.same(f.before, want):
			from = i
		case to == "" && !m.same(f.before, f.after) && !m.same(f.before, m.weights):
			from, want = i, f.before
		}
	}
	if to == "" && from < 0 {
		return false
	}
	changed := !maps.Equal(weighted(want), weighted(m.weights))
	m.flip(want, Pins{Mode: PinsMove}, now)
	for _, f := range m.flips[max(0, from):] {
		f.undone = f.undone || changed
	}
	return true
}

func TestAgainstTwin(t *testing.T) {
	names := []string{"v1", "v2", "v3", "v4"}
	rapid.Check(t, func(t *rapid.T) {
		now := day
		first := map[string]int{"v1": 100, "v2": 0, "v3": 0, "v4": 0}
		s, _, err := Apply(State{}, Declare{Services: web(first)}, Meta{By: "file", At: now})
		if err != nil {
			t.Fatal(err)
		}
		m := &twin{weights: maps.Clone(first), drains: map[string]Drain{}}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			m.admit(s.Services["web"])
			s = step(t, s, m, names, now)
			compare(t, s.Services["web"], m, now)
		}
	})
}

// admit lets a new session begin on each live version.
func (m *twin) admit(svc *Service) {
	for name, w := range m.weights {
		if w > 0 {
			m.sessions = append(m.sessions, &session{version: name, epoch: svc.Epoch})
		}
	}
}

// step applies one random command to the state and to its twin.
func step(t *rapid.T, s State, m *twin, names []string, now time.Time) State {
	version := rapid.SampledFrom(names).Draw(t, "version")
	var cmd Command
	wantErr := false
	switch rapid.SampledFrom([]string{"flip", "flip", "flip", "back", "back", "to", "void", "drain"}).Draw(t, "kind") {
	case "flip":
		w := map[string]int{}
		for _, name := range names {
			w[name] = rapid.SampledFrom([]int{0, 0, 1, 2, 50, 100}).Draw(t, name)
		}
		w[version]++
		pins := rapid.SampledFrom([]Pins{{Mode: PinsMove}, {Mode: PinsKeep}, {Mode: PinsDrain, For: 30 * time.Minute}, {Mode: PinsDrain, For: time.Hour}}).Draw(t, "pins")
		cmd = SetWeights{Service: "web", Weights: w, Pins: pins}
		m.setWeights(w, pins, now)
	case "back":
		cmd = Rollback{Service: "web"}
		wantErr = !m.rollback("", now)
	case "to":
		cmd = Rollback{Service: "web", To: version}
		m.rollback(version, now)
	case "void":
		cmd = VoidPins{Service: "web", Version: version}
		m.void(version)
	case "drain":
		d := rapid.SampledFrom([]Drain{{}, {On: true}, {On: true, Until: now.Add(time.Hour)}}).Draw(t, "drain")
		cmd = SetDrain{Service: "web", Version: version, Drain: d}
		if wantErr = m.weights[version] > 0; !wantErr {
			m.drains[version] = d
		}
	}
	next, _, err := Apply(s, cmd, Meta{By: "anna", At: now})
	if (err != nil) != wantErr {
		t.Fatalf("%s %+v: error %v, the twin wants one: %v", cmd.Kind(), cmd, err, wantErr)
	}
	return next
}

func compare(t *rapid.T, svc *Service, m *twin, now time.Time) {
	if got := svc.Weights(); !maps.Equal(got, m.weights) {
		t.Fatalf("weights %v, the twin has %v", got, m.weights)
	}
	for name, v := range svc.Versions {
		if (v.Mode(now) == Draining) != m.draining(name, now) {
			t.Fatalf("%s is %s, drain %v; the twin has %v", name, v.Mode(now), v.Drain, m.drains[name])
		}
	}
	for _, ses := range m.sessions {
		v := svc.Versions[ses.version]
		got := v.Mode(now) != Dark && ses.epoch >= v.LeastEpoch
		if want := m.holds(ses, now); got != want {
			t.Fatalf("pin to %s of epoch %d holds: %v, the twin says %v; %+v", ses.version, ses.epoch, got, want, v)
		}
	}
}

// TestNoCommandBreaksAnInvariant throws any commands at a state of several
// services: sound ones, nonsense, and files that come and go.
func TestNoCommandBreaksAnInvariant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		now := day
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "minutes")) * time.Minute)
			cmd := anyCommand(t, now)
			if len(s.Services) > 0 && rapid.IntRange(0, 2).Draw(t, "of rollouts") > 0 {
				cmd = anyRolloutCommand(t, s)
			}
			meta := Meta{By: "anna", At: now, Facts: rapid.SampledFrom([]*Facts{nil, {Named: map[string][]string{"web": {"v3"}, "api": nil}}}).Draw(t, "facts")}
			before := deepCopy(t, s)
			next, events, err := Apply(s, cmd, meta)
			again, eventsAgain, errAgain := Apply(s, cmd, meta)
			if !reflect.DeepEqual(deepCopy(t, s), before) {
				t.Fatalf("%s %+v changed its input", cmd.Kind(), cmd)
			}
			if !reflect.DeepEqual(next, again) || !reflect.DeepEqual(events, eventsAgain) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
				t.Fatalf("%s %+v: two results", cmd.Kind(), cmd)
			}
			checkStep(t, s, next, events, err)
			s = next
		}
	})
}

// checkStep holds a result against what Apply promises.
func checkStep(t *rapid.T, s, next State, events []Event, err error) {
	var r *Refusal
	if err != nil && (!errors.As(err, &r) || r.Message == "" || r.Reason == nil) {
		t.Fatalf("error %v is no full refusal", err)
	}
	if len(events) == 0 {
		if !reflect.DeepEqual(s, next) {
			t.Fatalf("changed without an event")
		}
		return
	}
	if err != nil || next.Revision != s.Revision+1 {
		t.Fatalf("error %v, revision %d after %d", err, next.Revision, s.Revision)
	}
	if err := next.Validate(); err != nil {
		t.Fatal(err)
	}
	changed, told := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		if e.Revision != next.Revision || changed[e.Service] && e.Rollout == "" {
			t.Fatalf("event %+v", e)
		}
		if e.Rollout != "" && s.Rollouts[e.Rollout] == next.Rollouts[e.Rollout] {
			t.Fatalf("event %+v of a rollout that stays as it was", e)
		}
		changed[e.Service] = changed[e.Service] || e.Rollout == ""
		told[e.Service] = true
	}
	checkRollouts(t, s, next)
	for name, svc := range next.Services {
		old := s.Services[name]
		if changed[name] && svc == old || !told[name] && svc != old || (svc != old) != (svc.Revision == next.Revision) {
			t.Fatalf("%s: touched %v, event %v, revision %d", name, svc != old, changed[name], svc.Revision)
		}
		if old != nil {
			checkAgainstBefore(t, old, svc)
		}
	}
	if read := deepCopy(t, next); !reflect.DeepEqual(read, next) {
		t.Fatalf("the state does not survive JSON:\n%+v\n%+v", read, next)
	}
}

func checkAgainstBefore(t *rapid.T, old, svc *Service) {
	if svc.Epoch < old.Epoch {
		t.Fatalf("epoch fell from %d to %d", old.Epoch, svc.Epoch)
	}
	for name, v := range svc.Versions {
		if o := old.Versions[name]; o != nil && v.LeastEpoch < o.LeastEpoch {
			t.Fatalf("least epoch of %s fell from %d to %d", name, o.LeastEpoch, v.LeastEpoch)
		}
	}
	if sum(old.Weights()) > 0 && sum(svc.Weights()) == 0 {
		t.Fatal("the last live version went")
	}
}

func deepCopy(t *rapid.T, s State) State {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var c State
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func anyCommand(t *rapid.T, now time.Time) Command {
	service := rapid.SampledFrom([]string{"web", "api", "nope"}).Draw(t, "service")
	version := rapid.SampledFrom([]string{"v1", "v2", "v3", "bad name"}).Draw(t, "version")
	weight := rapid.SampledFrom([]int{0, 0, 1, 5, 100, MaxWeight, -1})
	pins := rapid.SampledFrom([]Pins{{}, {Mode: PinsMove}, {Mode: PinsKeep}, {Mode: PinsDrain, For: time.Minute}, {Mode: "x"}}).Draw(t, "pins")
	anySpec := rapid.SampledFrom([]Spec{{}, spec("a"), spec("b"), {Endpoints: []string{"a:1"}, Shape: &Shape{Writes: "2"}}, {Endpoints: []string{}, Tags: map[string]string{}}})
	weights := func() map[string]int {
		w := map[string]int{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"v1", "v2", "v3"}), 0, 3, rapid.ID[string]).Draw(t, "names") {
			w[name] = weight.Draw(t, name)
		}
		return w
	}
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0, 1:
		d := Declare{Services: map[string]DeclaredService{}}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"web", "api"}), 0, 2, rapid.ID[string]).Draw(t, "services") {
			versions := map[string]DeclaredVersion{}
			w := weights()
			for _, version := range slices.Sorted(maps.Keys(w)) {
				versions[version] = DeclaredVersion{Spec: anySpec.Draw(t, "spec"), Weight: w[version]}
			}
			d.Services[name] = DeclaredService{Versions: versions}
		}
		return d
	case 2:
		return PutVersion{Service: service, Version: version, Spec: anySpec.Draw(t, "spec")}
	case 3:
		return RemoveVersion{Service: service, Version: version}
	case 4:
		return SetWeights{Service: service, Weights: weights(), Pins: pins}
	case 5:
		return Rollback{Service: service, To: rapid.SampledFrom([]string{"", version}).Draw(t, "to"), Pins: pins}
	case 6:
		return VoidPins{Service: service, Version: version}
	}
	return SetDrain{Service: service, Version: version, Drain: rapid.SampledFrom([]Drain{{}, {On: true}, {On: true, Until: now.Add(time.Hour)}, {Until: now}}).Draw(t, "drain")}
}
