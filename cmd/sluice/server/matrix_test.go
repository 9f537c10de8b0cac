package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/admin/api"
	"sluice/state"
	"sluice/synthetic/matrix"
)

// drawn returns the matrix of web as a line for each journey: "checkout v1+ v2x@cart".
func (s *sluice) drawn() string {
	s.t.Helper()
	m, err := s.admin.Matrix(s.t.Context(), "web", "")
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for _, service := range m.Services {
		for _, journey := range service.Journeys {
			line := journey
			for _, c := range service.Cells {
				if c.Journey == journey {
					line += " " + c.Version + drawnCell(&c)
				}
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

func drawnCell(c *api.MatrixCell) string {
	switch c.State {
	case api.CellPassed:
		return "+"
	case api.CellNever:
		return "?"
	}
	return "x@" + c.Newest.Step
}

// draws waits for a matrix.
func (s *sluice) draws(want string) {
	s.t.Helper()
	got := ""
	defer func() {
		if got != want {
			s.t.Errorf("the matrix is\n%s\nand not\n%s", got, want)
		}
	}()
	await(s.t, "the matrix", func() bool { got = s.drawn(); return got == want })
}

// shopJourneys are two journeys of one shop.
const shopJourneys = checkoutJourney + "  login: {steps: [{name: login, method: POST, path: /login}]}\n"

// shops declares a version of web for each step that is broken in it, the first
// live, all others dark.
func shops(t *testing.T, more string, broken ...string) (string, []*store) {
	var all []*store
	declared := ""
	for i, step := range broken {
		s := serveStore(t, step)
		all = append(all, s)
		declared += fmt.Sprintf("v%d: {endpoints: [%q], weight: %d}, ", i, s.address, 1-min(i, 1))
	}
	return "services: {web: {journeys: [login, checkout], " + more + "versions: {" + declared + "}}}", all
}

// Versions that break a step each are found by themselves, live and dark alike: the
// matrix shows exactly these cells.
func TestMatrixFindsWhatIsBroken(t *testing.T) {
	services, shops := shops(t, "", "none", "login", "cart", "checkout")
	s := run(t, services, shopJourneys)
	s.draws("login v0+ v1x@login v2+ v3+\ncheckout v0+ v1x@login v2x@cart v3x@checkout")
	h, err := s.admin.Cell(t.Context(), "web", "v2", "checkout")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := s.admin.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`sluice_probe_success{journey="checkout",service="web",version="v0"} 1`, `sluice_probe_success{journey="checkout",service="web",version="v2"} 0`,
		`sluice_probe_runs_total{journey="login",outcome="passed",service="web",version="v0"} 1`, `sluice_probe_skipped_total{service="web",version="v3"} 0`} {
		if !strings.Contains(string(metrics), line) {
			t.Errorf("no %s in %s", line, metrics)
		}
	}
	run := h.Runs[len(h.Runs)-1]
	if run.Cause != "registration" || run.Failure != "status 500, not 200-299 or 300-399" || run.Endpoint != shops[2].address || run.Asked != 1 || run.Failed != 1 ||
		len(run.Steps) != 2 || run.Steps[0].Request != "" || !strings.HasPrefix(run.Steps[1].Request, "GET /cart\n") || !strings.HasPrefix(run.Steps[1].Response, "500 ") {
		t.Errorf("%+v", run)
	}
	if strings.Contains(fmt.Sprint(h), "tok-4711") {
		t.Errorf("a captured token is shown: %+v", h)
	}
}

// The matrix follows the state: a version that is registered is run at once, and
// one that goes leaves nothing behind.
func TestMatrixFollowsVersions(t *testing.T) {
	services, _ := shops(t, "probe: {every: 1h}, ", "none")
	s := run(t, services, shopJourneys)
	s.draws("login v0+\ncheckout v0+")
	put := func(address string) {
		t.Helper()
		if _, err := s.admin.PutVersion(t.Context(), "web", "v9", api.VersionSpec{Endpoints: []string{address}}); err != nil {
			t.Fatal(err)
		}
	}
	put(serveStore(t, "cart").address)
	s.draws("login v0+ v9+\ncheckout v0+ v9x@cart")
	put(serveStore(t, "login").address) // another build of the same name
	s.draws("login v0+ v9x@login\ncheckout v0+ v9x@login")
	if h, _ := s.admin.Cell(t.Context(), "web", "v9", "checkout"); h != nil && strings.Contains(fmt.Sprint(h.Runs), "cart") {
		t.Errorf("what an earlier build of the name did is kept: %+v", h.Runs)
	}
	put(dead(t)) // no endpoint, once the health checks have found out
	s.draws("login v0+ v9x@login\ncheckout v0+ v9x@login")
	if _, err := s.admin.RemoveVersion(t.Context(), "web", "v9", ""); err != nil {
		t.Fatal(err)
	}
	s.draws("login v0+\ncheckout v0+")
	if _, has := s.scheduler.Skipped()[place("web", "v9")]; has || len(s.history.Cells("", 99)) != 2 {
		t.Errorf("%+v", s.history.Cells("", 99))
	}
}

// A new file's journeys are run at once; those that changed are known anew, and
// those that are gone no more.
func TestMatrixFollowsTheFile(t *testing.T) {
	services, _ := shops(t, "probe: {every: 1h}, ", "cart")
	s := run(t, services, shopJourneys)
	s.draws("login v0+\ncheckout v0x@cart")
	began := s.history.Cells("web", 99)[1].Runs[0].Began

	rewrite(t, s.path, plainListener, services, strings.Replace(shopJourneys, "path: /cart", "path: /nothing", 1))
	s.reload()
	await(t, "the changed journey's run", func() bool {
		h, err := s.admin.Cell(t.Context(), "web", "v0", "checkout")
		return err == nil && h.State == api.CellFailed && strings.HasPrefix(h.Runs[0].Failure, "status 404")
	})
	if h, _ := s.admin.Cell(t.Context(), "web", "v0", "checkout"); strings.Contains(fmt.Sprint(h.Runs), "status 500") {
		t.Errorf("%+v", h.Runs)
	}
	if runs := s.history.Cells("web", 99)[1].Runs; !runs[len(runs)-1].Began.Equal(began) {
		t.Error("the runs of a journey that stays the same are forgotten")
	}

	rewrite(t, s.path, plainListener, strings.Replace(services, "login, checkout", "login", 1), shopJourneys)
	s.reload()
	s.draws("login v0+")
	rewrite(t, s.path, plainListener, strings.Replace(services, "journeys: [login, checkout], probe: {every: 1h}, ", "", 1))
	s.reload()
	s.draws("")
	if len(s.history.Cells("", 99)) != 0 || len(s.scheduler.Skipped()) != 0 {
		t.Errorf("%+v", s.history.Cells("", 99))
	}
}

// With every: 0s nothing is run that nobody asks for.
func TestMatrixOnDemand(t *testing.T) {
	services, _ := shops(t, "probe: {every: 0s}, ", "none", "cart")
	s := run(t, services, shopJourneys+"  other: {steps: [{path: /cart}]}\n")
	if len(s.scheduler.Skipped()) != 0 {
		t.Error("it is scheduled")
	}
	s.draws("login v0? v1?\ncheckout v0? v1?")
	for _, journeys := range [][]string{nil, {"other"}} {
		if _, err := s.admin.Probe(t.Context(), "web", "v1", journeys); err != nil {
			t.Fatal(err)
		}
	}
	s.draws("login v0? v1+\ncheckout v0? v1x@cart\nother v1x@step-1")
	if h, _ := s.admin.Cell(t.Context(), "web", "v1", "checkout"); h.Runs[0].Cause != "demand" {
		t.Errorf("%+v", h.Runs)
	}
	if h, err := s.admin.Cell(t.Context(), "web", "v0", "checkout"); err != nil || h.State != api.CellNever {
		t.Errorf("%+v %v", h, err)
	}
}

func place(service, version string) matrix.Place {
	return matrix.Place{Service: service, Version: version}
}

// shift asks for a tenth of web's sessions for a version.
func (s *sluice) shift(version string, force bool) error {
	_, err := s.admin.SetWeights(s.t.Context(), "web", api.Weights{Weights: map[string]int{"v0": 9, version: 1}, Force: force}, 0)
	return err
}

// A dark version that fails a journey gets no weight, and is told at which step,
// until it passes or somebody insists. What is live is never taken away.
func TestJourneysGateWeight(t *testing.T) {
	services, shops := shops(t, "probe: {every: 1h}, ", "checkout", "cart", "none")
	s := run(t, services, shopJourneys)
	s.draws("login v0+ v1+ v2+\ncheckout v0x@checkout v1x@cart v2+")
	var p *api.Problem
	if err := s.shift("v1", false); !errors.As(err, &p) || p.Rule != state.RuleJourneys || p.Version != "v1" || p.Status != 409 && p.Status != 422 ||
		!strings.Contains(p.Detail, "checkout fails at step cart: status 500, not 200-299 or 300-399") || !strings.Contains(p.Remedy, "sluice probe run web v1") {
		t.Fatalf("%+v", err)
	}
	if err := s.shift("v2", false); err != nil {
		t.Error(err)
	}
	if err := s.shift("v1", true); err != nil {
		t.Error(err)
	}
	// A rollback is warned and not refused.
	s.flip("web", "move", map[string]int{"v2": 1})
	change, err := s.admin.Rollback(t.Context(), "web", api.Rollback{To: "v1"})
	if err != nil || !strings.Contains(fmt.Sprint(change.Warnings), "has not passed its journeys: checkout fails at step cart") {
		t.Errorf("%+v %v", change, err)
	}
	s.flip("web", "move", map[string]int{"v2": 1})
	none := "none"
	for i, version := range []string{"v0", "v1"} {
		shops[i].broken.Store(&none)
		if _, err := s.admin.Probe(t.Context(), "web", version, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.shift("v1", false); err != nil {
		t.Errorf("after it has passed: %v", err)
	}
}

// What was not run yet has not passed; where nothing is run by itself, only a
// failure that was seen counts.
func TestJourneysNotRunYet(t *testing.T) {
	hung := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer slow.Close()
	defer close(hung)
	services, _ := shops(t, "", "none")
	s := run(t, strings.Replace(services, "versions: {", fmt.Sprintf("versions: {slow: {endpoints: [%q]}, ", strings.TrimPrefix(slow.URL, "http://")), 1), shopJourneys)
	if err := s.shift("slow", false); err == nil || !strings.Contains(err.Error(), "login has not been run against it yet; checkout has not been run against it yet") {
		t.Error(err)
	}

	services, _ = shops(t, "probe: {every: 0s}, ", "none", "cart", "cart")
	s = run(t, services, shopJourneys)
	if err := s.shift("v1", false); err != nil {
		t.Error(err)
	}
	if _, err := s.admin.Probe(t.Context(), "web", "v2", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.shift("v2", false); err == nil || !strings.Contains(err.Error(), "checkout fails at step cart") {
		t.Error(err)
	}
}

// The file is held to it too, with the line; what it brings along live is taken.
func TestJourneysGateTheFile(t *testing.T) {
	services, all := shops(t, "probe: {every: 1h}, ", "none", "cart")
	s := run(t, services, shopJourneys)
	s.draws("login v0+ v1+\ncheckout v0+ v1x@cart")
	rewrite(t, s.path, plainListener, strings.Replace(services, "weight: 0", "weight: 1", 1), shopJourneys)
	if err := s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "services.web.versions.v1.weight: ") || !strings.Contains(err.Error(), "checkout fails at step cart") {
		t.Error(err)
	}
	rewrite(t, s.path, plainListener, strings.Replace(services, "v1: {", fmt.Sprintf("v2: {endpoints: [%q], weight: 1}, v1: {", all[1].address), 1), shopJourneys)
	if err := s.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	// Journeys that come with the weights have not been looked at: they stand in the
	// way of later changes.
	services, _ = shops(t, "", "none", "cart")
	s = run(t, strings.Replace(services, "journeys: [login, checkout], ", "", 1), shopJourneys)
	rewrite(t, s.path, plainListener, strings.Replace(services, "weight: 0", "weight: 1", 1), shopJourneys)
	if err := s.Reload(t.Context()); err != nil {
		t.Error(err)
	}
}

// A rollout waits for the journeys of its candidate, and says so; then it goes on.
func TestRolloutWaitsForJourneys(t *testing.T) {
	services, _ := shops(t, "probe: {every: 1h}, ", "none")
	s := run(t, services, shopJourneys)
	s.draws("login v0+\ncheckout v0+")
	candidate := serveStore(t, "cart")
	p := swift()
	p.Stages = p.Stages[1:]
	id := s.roll(p, candidate.address)
	await(t, "the reason", func() bool {
		r, err := s.admin.Rollout(t.Context(), id)
		return err == nil && r.Phase == state.PhaseQueued && strings.Contains(r.Text, `it does not move: version "v2" of service "web" has not passed its journeys: checkout fails at step cart`)
	})
	none := "none"
	candidate.broken.Store(&none)
	if _, err := s.admin.Probe(t.Context(), "web", "v2", nil); err != nil {
		t.Fatal(err)
	}
	s.awaitPhase(id, state.PhaseShifting, -1)
	if why := s.unproven(id); why != "" {
		t.Error(why)
	}
}
