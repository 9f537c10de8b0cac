package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/head"
	"sluice/state"
)

// shadowOf returns how requests are copied that a version of web answers; nil: they
// are not.
func (s *sluice) shadowOf(version string) *proxy.Shadow {
	s.t.Helper()
	table := s.proxy.Table()
	for _, v := range table.Routing.Service("web").Versions {
		if v.Name == version {
			return table.Targets[v.Slot].Shadow
		}
	}
	return nil
}

// copiedTo names the version that gets copies of what another answers; "": none
// does.
func (s *sluice) copiedTo(version string) string {
	s.t.Helper()
	shadow := s.shadowOf(version)
	if shadow == nil {
		return ""
	}
	for _, v := range s.proxy.Table().Routing.Service("web").Versions {
		if v.Slot == shadow.To {
			return v.Name
		}
	}
	s.t.Fatalf("copies go to slot %d, which nobody has", shadow.To)
	return ""
}

// reached reports whether a rollout has come to a phase, and the table knows.
func (s *sluice) reached(id string, phase state.Phase) bool {
	st := s.keeper.State()
	return st.Rollouts[id].Phase == phase && s.proxy.Table().Routing.Revision == st.Revision
}

// answered is an answer of JSON.
func answered(body string) proxy.ShadowAnswer {
	return proxy.ShadowAnswer{Status: 200, Fields: []head.Field{{Name: "Content-Type", Value: "application/json"}}, Body: []byte(body)}
}

// tell makes up n copies of requests that v1 has answered. The second answer of v1
// has another id, as the candidate's.
func (s *sluice) tell(n int, candidate string) {
	s.t.Helper()
	shadow := s.shadowOf("v1")
	if shadow == nil {
		s.t.Fatal("nothing of v1 is copied")
	}
	for i := range n {
		body := func(total string, id int) proxy.ShadowAnswer {
			return answered(fmt.Sprintf(`{"id":%d,"total":%s}`, id, total))
		}
		pair := &proxy.ShadowPair{Service: "web", Method: "GET", Path: fmt.Sprint("/carts/", i), Baseline: body("12", 3*i), Candidate: body(candidate, 3*i)}
		if shadow.Again {
			pair.Candidate = body(candidate, 3*i+1)
			again := body("12", 3*i+2)
			pair.Again = &again
		}
		shadow.Tell(pair)
	}
}

// report returns the one report of web's.
func (s *sluice) report() api.Shadow {
	s.t.Helper()
	got, err := s.admin.Shadows(s.t.Context(), "web", "")
	if err != nil || len(got.Shadows) != 1 {
		s.t.Fatalf("%+v %v", got, err)
	}
	return got.Shadows[0]
}

// What live versions answer is copied as the file says, and compared until one of
// them changes.
func TestShadowOfTheFile(t *testing.T) {
	text := web(t, 60, 40, "shadow: {to: dark, share: 2.5%, match: {path: /carts}, methods: [GET, PUT], max_body: 2KiB, timeout: 3s, least: 5}")
	s := run(t, text)
	sh := s.shadowOf("v1")
	if sh == nil || sh.Share != 0.025 || !sh.Again || sh.Match == nil || !slices.Equal(sh.Methods, []string{"GET", "PUT"}) ||
		sh.MaxBody != 2048 || sh.Timeout != 3*time.Second {
		t.Fatalf("%+v", sh)
	}
	if s.copiedTo("v1") != "dark" || s.copiedTo("v2") != "dark" || s.shadowOf("dark") != nil {
		t.Error("copies don't go from v1 and v2 to dark")
	}
	s.tell(4, "12")
	r := s.report()
	if r.Version != "dark" || !slices.Equal(r.Against, []string{"v1", "v2"}) || !r.Active || r.Share != 0.025 || r.Decision != "hold" || r.Comparisons != 4 || r.Least != 5 {
		t.Errorf("%+v", r)
	}
	s.tell(1, "12")
	if r = s.report(); r.Decision != "pass" {
		t.Errorf("%+v", r)
	}

	reload := func(old, new string) { rewriteFile(t, s, text, old, new); s.reload() }
	reload("2.5%", "3%")
	if r = s.report(); r.Comparisons != 5 || r.Share != 0.03 || s.shadowOf("v1").Share != 0.03 {
		t.Errorf("another share: %+v", r)
	}
	reload("least: 5", "least: 6")
	if r = s.report(); r.Comparisons != 0 || r.Least != 6 {
		t.Errorf("another way to compare: %+v", r)
	}
	s.tell(3, "12")
	s.flip("web", "move", map[string]int{"v1": 50, "v2": 50})
	if r = s.report(); r.Comparisons != 3 {
		t.Errorf("other weights of the same versions: %+v", r)
	}
	s.flip("web", "move", all("v1"))
	if r = s.report(); r.Comparisons != 0 || !slices.Equal(r.Against, []string{"v1"}) || s.shadowOf("v2") != nil {
		t.Errorf("others answer: %+v", r)
	}
	s.tell(3, "12")
	s.flip("web", "move", all("dark"))
	if r = s.report(); r.Active || r.Comparisons != 3 || s.shadowOf("v1") != nil || s.shadowOf("dark") != nil {
		t.Errorf("it answers itself: %+v", r)
	}
	reload("to: dark, ", "")
	if r = s.report(); r.Active {
		t.Errorf("nothing is copied: %+v", r)
	}
}

// rewriteFile replaces something of the file that a server has.
func rewriteFile(t *testing.T, s *sluice, text, old, new string) {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %q in the file", old)
	}
	rewrite(t, s.path, plainListener, "state: {backend: memory}", strings.Replace(text, old, new, 1))
}

// shadowRollout starts a rollout of dark with a shadow stage before all sessions.
func (s *sluice) shadowRollout(stages ...state.Stage) string {
	s.t.Helper()
	stages = append(stages, state.Stage{Kind: state.StageShift, Share: 10_000, Hold: time.Hour})
	s.do(state.StartRollout{Legs: []state.StartLeg{{Service: "web", Version: "dark"}}, Policy: state.Policy{Name: "test", Stages: stages}})
	id := ""
	await(s.t, "the rollout", func() bool {
		for _, r := range s.keeper.State().Rollouts {
			if r.Phase == state.PhaseShadowing && s.shadowOf("v1") != nil && s.copiedTo("v1") == "dark" {
				id = r.ID
			}
		}
		return id != ""
	})
	return id
}

// shadowing is a stage that needs no time.
var shadowing = state.Stage{Kind: state.StageShadow, Share: 2500}

// A stage of a rollout copies to its candidate, whatever the file has copied, and
// ends by what is compared.
func TestShadowStage(t *testing.T) {
	s := run(t, web(t, 100, 0, "shadow: {to: v2, share: 1%, least: 20}"))
	if s.copiedTo("v1") != "v2" {
		t.Fatal("the file's shadow is missing")
	}
	id := s.shadowRollout(shadowing)
	if s.copiedTo("v1") != "dark" || s.shadowOf("v1").Share != 0.25 || s.shadowOf("v2") != nil {
		t.Fatalf("the stage's copies: %q %+v", s.copiedTo("v1"), s.shadowOf("v1"))
	}
	s.tell(19, "12")
	await(t, "the evidence", func() bool {
		ro, err := s.admin.Rollout(t.Context(), id)
		return err == nil && len(ro.Evidence) == 1 && ro.Evidence[0].Shadow != nil && ro.Evidence[0].Shadow.Whole == 19 &&
			strings.Contains(ro.Evidence[0].Text, "19 of 20 comparisons are made")
	})
	s.tell(1, "12")
	await(t, "the end of the stage", func() bool { return s.reached(id, state.PhaseShifting) })
	m := s.keeper.State().Rollouts[id].Moves
	last := m[len(m)-1]
	if last.By != "shadow" || !strings.Contains(last.Why, "like the baseline's: no field differed") || len(last.Evidence) != 1 || last.Evidence[0].Shadow.Whole != 20 {
		t.Errorf("%+v", last)
	}
	// The candidate answers all now; what the file says is in force again.
	if s.copiedTo("dark") != "v2" {
		t.Errorf("copies go to %q", s.copiedTo("dark"))
	}
}

// A candidate whose answers differ is rolled back, and the rollout says in what.
func TestShadowStageFails(t *testing.T) {
	s := run(t, web(t, 100, 0))
	id := s.shadowRollout(shadowing)
	s.tell(40, `"12"`)
	await(t, "the rollback", func() bool { return s.reached(id, state.PhaseRolledBack) })
	m := s.keeper.State().Rollouts[id].Moves
	last := m[len(m)-1]
	if last.By != "shadow" || len(last.Evidence) != 1 || last.Evidence[0].Decision != "roll_back" || last.Evidence[0].Shadow.Different != 1 {
		t.Fatalf("%+v", last)
	}
	// The driver decides as soon as the evidence is enough, which may be before the last is told.
	n := last.Evidence[0].Shadow.Comparisons
	why := fmt.Sprintf("its answers differ from the baseline's: GET /carts/{id}: $.total had another type in %d comparisons, and in 0 within the baseline", n)
	if n < 1 || n > 40 || last.Why != why {
		t.Errorf("%+v", last)
	}
	if s.shadowOf("v1") != nil {
		t.Error("copies are still sent")
	}
	r := s.report()
	if r.Active || r.Rollout != id || r.Decision != "fail" || r.Patterns[0].Fields[0].Examples[0].Candidate != `"12"` {
		t.Errorf("%+v", r)
	}
}

// A pause sends no copies and keeps what was compared; another stage begins anew.
func TestShadowStagePaused(t *testing.T) {
	s := run(t, web(t, 100, 0, "shadow: {least: 10, again: false}"))
	if s.shadowOf("v1") != nil {
		t.Fatal("copies without a version to get them")
	}
	id := s.shadowRollout(shadowing, shadowing)
	s.tell(9, "12")
	steer := func(a state.Action, phase state.Phase) {
		t.Helper()
		s.do(state.SteerRollout{ID: id, Action: a})
		await(t, string(phase), func() bool {
			return s.reached(id, phase) && s.keeper.State().Rollouts[id].Order == nil
		})
	}
	steer(state.ActionPause, state.PhasePaused)
	if s.shadowOf("v1") != nil {
		t.Error("copies in a pause")
	}
	steer(state.ActionResume, state.PhaseShadowing)
	if r := s.report(); r.Comparisons != 9 || !r.Active || s.shadowOf("v1").Again {
		t.Errorf("after the pause: %+v", r)
	}
	steer(state.ActionPromote, state.PhaseShadowing)
	if r := s.report(); r.Comparisons != 0 || !r.Active {
		t.Errorf("another stage: %+v", r)
	}
	steer(state.ActionAbort, state.PhaseAborted)
	if s.shadowOf("v1") != nil {
		t.Error("copies after the end")
	}
}

// Comparisons go with their versions, and only a few are kept.
func TestComparisonsAreBounded(t *testing.T) {
	f := fleet{copied: newCopied()}
	f.begun = 7
	for i := range 6 {
		f.comparison("web", subject{to: fmt.Sprint("v", i), from: []string{"v"}})
	}
	all := f.compared["web"]
	of := func(version string) *comparison { return all[occasion{to: version}] }
	if len(all) != maxCompared || of("v5") == nil || of("v2") == nil || of("v1") != nil {
		t.Errorf("%v", all)
	}
	if again := f.comparison("web", subject{to: "v3", from: []string{"v"}}); again != of("v3") || !again.active || of("v5").active {
		t.Error("another comparison of the same")
	}
	f.comparison("web", subject{to: "v3", from: []string{"v"}, rollout: "r1"})
	if newest := all.newest(); len(all) != maxCompared || newest["v3"].rollout != "r1" || of("v3") == nil || of("v2") != nil {
		t.Errorf("%v", all)
	}
	all.retire(&state.Service{Versions: map[string]*state.Version{"v3": {}}})
	if len(all) != 2 {
		t.Errorf("%v", all)
	}
}

// What breaks off counts as no answer, and requests that clients got no answer to
// are not compared.
func TestShadowFailures(t *testing.T) {
	c := newComparison(subject{config: compareConfig(new(configs.DefaultShadow()))}, 1, time.Now(), make(chan struct{}, 1))
	broken := proxy.ShadowAnswer{Status: 200, Failure: "the connection was reset"}
	c.tell(&proxy.ShadowPair{Method: "GET", Path: "/", Baseline: broken, Candidate: answered("{}")})
	if n := c.Report().Comparisons; n != 0 {
		t.Errorf("%d comparisons", n)
	}
	same := answered("{}")
	c.tell(&proxy.ShadowPair{Method: "GET", Path: "/", Baseline: answered("{}"), Candidate: broken, Again: &same})
	r := c.Report()
	if f := r.Patterns[0].Fields[0]; f.Name != "status" || f.Examples[0].Candidate != "no answer" {
		t.Errorf("%+v", f)
	}
}

// What a client holds of the baseline is no difference of the candidate, whose
// failures are told all the same.
func TestConditionalRequests(t *testing.T) {
	answer := func(status int, body string) proxy.ShadowAnswer {
		a := answered(body)
		a.Status = status
		return a
	}
	for _, c := range []struct {
		baseline, candidate, again proxy.ShadowAnswer
		compared                   int64
		differs                    string
	}{
		{answer(304, ""), answer(200, "a"), answer(304, ""), 0, ""},
		{answer(304, ""), answer(304, ""), answer(200, "b"), 0, ""},
		{answer(304, ""), answer(500, "a"), answer(304, ""), 1, "status"},
		{answer(304, ""), answer(404, "a"), answer(200, "b"), 1, "status"},
		{answer(206, "a"), answer(206, "b"), answer(206, "a"), 1, "body"},
		{answer(206, "a"), answer(200, "ab"), answer(206, "a"), 1, ""},
		{answer(206, "a"), answer(404, ""), answer(206, "a"), 1, "status"},
		{answer(200, "a"), answer(304, ""), answer(200, "a"), 1, "status"},
	} {
		c2 := newComparison(subject{config: compareConfig(new(configs.DefaultShadow()))}, 1, time.Now(), make(chan struct{}, 1))
		c2.tell(&proxy.ShadowPair{Method: "GET", Path: "/", Baseline: c.baseline, Candidate: c.candidate, Again: &c.again})
		r, differs := c2.Report(), ""
		if len(r.Patterns) > 0 {
			differs = r.Patterns[0].Fields[0].Name
		}
		if r.Comparisons != c.compared || differs != c.differs {
			t.Errorf("%d, %d, %d: %d compared, %q differs", c.baseline.Status, c.candidate.Status, c.again.Status, r.Comparisons, differs)
		}
	}
}
