package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/state"
)

// store serves a login, a cart and a checkout, one of which may be broken.
type store struct {
	address string
	broken  atomic.Pointer[string]
	asked   atomic.Pointer[string] // the last Host
}

func serveStore(t testing.TB, broken string) *store {
	s := &store{}
	s.broken.Store(&broken)
	pages := map[string]string{"/login": `{"token": "tok-4711"}`, "/cart": `{"items": [1, 2]}`, "/checkout": "thank you"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Store(&r.Host)
		page, known := pages[r.URL.Path]
		switch {
		case !known:
			w.WriteHeader(404)
		case "/"+*s.broken.Load() == r.URL.Path:
			w.WriteHeader(500)
		case r.URL.Path != "/login" && r.Header.Get("Authorization") != "Bearer tok-4711":
			w.WriteHeader(403)
		default:
			io.WriteString(w, page)
		}
	}))
	t.Cleanup(server.Close)
	s.address = strings.TrimPrefix(server.URL, "http://")
	return s
}

const checkoutJourney = `journeys:
  checkout:
    steps:
      - {name: login, method: POST, path: /login, body: {form: {user: ada}}, capture: {token: {json: $.token}}}
      - {name: cart, path: /cart, headers: {Authorization: "Bearer {{token}}"}, expect: {json: {"$.items[1]": 2}}}
      - {name: checkout, method: POST, path: /checkout, headers: {Authorization: "Bearer {{token}}"}, expect: {status: [200], contains: [thank]}}
`

// A rollout doesn't leave its probe stage while the candidate fails a journey of
// the service, and says at which step; then it goes on.
func TestJourneysGateARollout(t *testing.T) {
	for _, named := range []bool{false, true} {
		for _, broken := range []string{"login", "cart", "checkout"} {
			t.Run(fmt.Sprintf("%s,named=%t", broken, named), func(t *testing.T) {
				candidate := serveStore(t, broken)
				p, services := swift(), fmt.Sprintf(oneVersion, backend(t, "v1"))
				if named {
					p.Stages[0].Journeys = []string{"checkout"}
				} else {
					services = strings.Replace(services, "web: {", "web: {journeys: [checkout], ", 1)
				}
				s := run(t, services, "routes: [{hosts: [\"*.test\", shop.test], service: web}]", checkoutJourney)
				id := s.roll(p, candidate.address)
				want := fmt.Sprintf("a probe of web failed: endpoint %s: journey checkout, step %s: status 500, not 200", candidate.address, broken)
				await(t, want, func() bool { return strings.HasPrefix(s.driver.Trouble(id), want) })
				if r := s.rolloutOf(id); r.Phase != state.PhaseProbing {
					t.Fatalf("it is %s", r.Phase)
				}
				none := "nothing"
				candidate.broken.Store(&none)
				s.awaitPhase(id, state.PhaseShifting, -1)
				if host := *candidate.asked.Load(); host != "shop.test" {
					t.Errorf("asked as %s", host)
				}
			})
		}
	}
}

// A journey that the file no longer has passes nobody.
func TestJourneyThatIsGone(t *testing.T) {
	s := run(t, fmt.Sprintf(oneVersion, backend(t, "v1")))
	stage := state.Stage{Kind: state.StageProbe, Journeys: []string{"checkout"}, Every: time.Second}
	if err := s.probe(t.Context(), "web", "v1", stage); err == nil || err.Error() != `the file has no journey "checkout"` {
		t.Error(err)
	}
}

// Versions that break a step each fail at that step: journeys by versions.
func TestProbeNow(t *testing.T) {
	versions, declared := []string{"", "login", "cart", "checkout"}, ""
	for i, broken := range versions {
		declared += fmt.Sprintf("v%d: {endpoints: [%q], weight: %d}, ", i, serveStore(t, broken).address, 1-min(i, 1))
	}
	s := run(t, "services: {web: {journeys: [login, checkout], versions: {"+declared+"none: {endpoints: [\""+dead(t)+"\"]}}}}",
		checkoutJourney+"  login: {steps: [{name: login, method: POST, path: /login}]}")
	got := ""
	for i := range versions {
		p, err := s.admin.Probe(t.Context(), "web", fmt.Sprintf("v%d", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Runs {
			last := r.Steps[len(r.Steps)-1]
			got += fmt.Sprintf("v%d %s %t %s; ", i, r.Journey, r.Passed, last.Name)
			if r.Passed != (last.Failure == "") || r.Passed != (last.Response == "") {
				t.Errorf("%+v", r)
			}
		}
	}
	const want = "v0 login true login; v0 checkout true checkout; v1 login false login; v1 checkout false login; " +
		"v2 login true login; v2 checkout false cart; v3 login true login; v3 checkout false checkout; "
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if p, err := s.admin.Probe(t.Context(), "web", "v0", []string{"nothing"}); err == nil || !strings.Contains(err.Error(), `the file has no journey "nothing"`) {
		t.Error(p, err)
	}
	for range maxDemanded {
		s.probing <- struct{}{}
	}
	if p, err := s.admin.Probe(t.Context(), "web", "v0", nil); err == nil || !strings.Contains(err.Error(), "4 probes are under way") {
		t.Error(p, err)
	}
}
