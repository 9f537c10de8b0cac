package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/state"
)

// witness answers all requests, and keeps what they were.
type witness struct {
	address string
	mu      sync.Mutex
	seen    []*http.Request
}

func watched(t testing.TB, answer string) *witness {
	w := &witness{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, r.Clone(context.Background()))
		w.mu.Unlock()
		io.WriteString(rw, answer)
	}))
	t.Cleanup(server.Close)
	w.address = strings.TrimPrefix(server.URL, "http://")
	return w
}

// take returns what was seen since the last call.
func (w *witness) take() []*http.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// why runs journeys on demand and returns why the last of the runs failed.
func (s *sluice) why(version string, names ...string) string {
	s.t.Helper()
	p, err := s.admin.Probe(s.t.Context(), "web", version, names)
	if err != nil || len(p.Runs) == 0 {
		s.t.Fatalf("%v: %v, %+v", names, err, p)
	}
	return lastOf(lastOf(p.Runs).Steps).Failure
}

// uncounted fails if a figure of customers has moved.
func (s *sluice) uncounted() {
	s.t.Helper()
	for service, versions := range (live{s.Server}).Numbers("") {
		for version, n := range versions {
			if n.Requests+n.LiveSessions+n.PinsMade+n.Retries+n.BytesOut > 0 || n.InFlight > 0 || len(n.ByReason) > 0 {
				s.t.Errorf("%s %s: %+v", service, version, n)
			}
		}
	}
	totals := (live{s.Server}).Totals()
	if totals.NoRoute > 0 || len(totals.Refused) > 0 || len(totals.OverridesIgnored) > 0 {
		s.t.Errorf("%+v", totals)
	}
}

// A journey takes the way of customers to a dark version, over the listener that
// speaks TLS, past rules and through its service's host; a direct one asks each
// endpoint. Neither counts.
func TestJourneysTakeTheWayOfCustomers(t *testing.T) {
	dark, other, old := watched(t, "dark"), watched(t, "dark"), watched(t, "old")
	dir := t.TempDir()
	certificate(t, dir, "web")
	s := start(t, write(t, dir, `listeners:
  - {name: edge, address: "127.0.0.1:0", redirect_https: 8443}
  - {name: secure, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}]}}
state: {backend: memory}
log: {access: {mode: all}}
routes: [{hosts: ["*.test", shop.test], service: web}]`, fmt.Sprintf(`services:
  web:
    rules: [{name: all, match: {path: /}, version: v1}]
    versions: {v1: {endpoints: [%q], weight: 1}, v2: {endpoints: [%q, %q], shape: {writes: "12", reads: ["12"]}}}
journeys:
  look: {steps: [{path: "/cart?a=b", expect: {contains: [dark], status: [200]}}]}
  each: {direct: true, steps: [{path: /each, expect: {contains: [dark]}}]}
  cert: {steps: [tls: {server_name: web.test, ca: web.pem, names: [web.test], alpn: h2}]}`, old.address, dark.address, other.address)), Options{})
	if why := s.why("v2", "look"); why != "" {
		t.Error(why)
	}
	seen := append(dark.take(), other.take()...)
	if len(seen) != 1 {
		t.Fatalf("%d requests", len(seen))
	}
	for name, want := range map[string]string{
		"Sluice-Version": "v2", "Sluice-Shape": "12", "Sluice-Synthetic": "look", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.test",
		"Sluice-Override": "web=v2", "Via": "1.1 sluice", "User-Agent": "Sluice-Probe", "Sluice-Token": "",
	} {
		if got := seen[0].Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if seen[0].Host != "shop.test" || seen[0].RequestURI != "/cart?a=b" {
		t.Errorf("%s %s", seen[0].Host, seen[0].RequestURI)
	}
	if why := s.why("v2", "each"); why != "" {
		t.Error(why)
	}
	for _, w := range []*witness{dark, other} {
		if seen := w.take(); len(seen) != 1 || seen[0].Header.Get("Sluice-Version") != "" || seen[0].Header.Get("Sluice-Synthetic") != "each" {
			t.Errorf("%v", seen)
		}
	}
	if why := s.why("v1", "look"); why != `the body does not contain "dark"` {
		t.Error(why)
	}
	if why := s.why("v2", "cert"); why != "" {
		t.Error(why)
	}
	await(t, "a line of the log", func() bool { return strings.Contains(s.requests.String(), `"synthetic":"look"`) })
	s.uncounted()
}

// A journey whose requests lead elsewhere has shown nothing of the version, and
// says so whether it passed or not.
func TestJourneysThatLeadElsewhere(t *testing.T) {
	s := run(t, fmt.Sprintf(`routes: [{hosts: [shop.test], service: web}, {hosts: [shop.test], paths: [/api], service: api}, {hosts: ["*.deep.test"], service: deep}]
services:
  web: {versions: {v1: {endpoints: [%q], weight: 1}, v2: {endpoints: [%q]}}}
  api: {versions: {v1: {endpoints: [%q], weight: 1}}}
  deep: {versions: {v1: {endpoints: [%q], weight: 1}}}
journeys:
  both: {steps: [{path: /api/a}, {path: /}]}
  api: {steps: [{path: /api/a}]}
  nowhere: {host: other.test, steps: [{path: /}]}
  any: {steps: [{path: /}]}`, backend(t, "v1"), backend(t, "v2"), backend(t, "api"), backend(t, "deep")))
	const elsewhere = `no request of the journey came to service "web": `
	for name, want := range map[string]string{
		"both":    "",
		"api":     elsewhere + "shop.test leads to api; give the journey a host and paths that lead to it, or direct: true",
		"nowhere": "status 404, not 200-299 or 300-399; " + elsewhere + "other.test leads to no service; give the journey a host and paths that lead to it, or direct: true",
	} {
		if got := s.why("v2", name); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	p, err := s.admin.Probe(t.Context(), "deep", "v1", []string{"any"})
	if err != nil || p.Runs[0].Steps[0].Failure != `no route of "deep" has an exact host to ask for; give the journey a host, or direct: true` {
		t.Errorf("%v, %+v", err, p)
	}
	s.uncounted()
}

// Where any host leads to the service, journeys without one have that of its
// health checks, or localhost.
func TestJourneysWithoutAHost(t *testing.T) {
	for health, want := range map[string]string{"": "localhost", "health: {host: shop.test}, ": "shop.test"} {
		w := watched(t, "v1")
		s := run(t, fmt.Sprintf("services: {web: {%sversions: {v1: {endpoints: [%q], weight: 1}}}}\njourneys: {look: {steps: [{path: /look}]}}", health, w.address))
		if why := s.why("v1", "look"); why != "" {
			t.Error(why)
		}
		for _, r := range w.take() {
			if r.URL.Path == "/look" && r.Host != want {
				t.Errorf("asked as %s, not %s", r.Host, want)
			}
		}
	}
}

// A journey of a set's candidate meets the other candidates, without which it may
// not work; others meet what customers meet.
func TestJourneysOfAReleaseSet(t *testing.T) {
	s := shop(t)
	id := s.rollout(5000, map[string]string{"web": "v2", "api": "v8"}).ID
	st := s.keeper.State()
	for version, want := range map[string]string{"v1": `web="v1"`, "v2": `api="v8", web="v2"`} {
		if got := overrideOf(together(st, "web", version)); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
	s.move(st.Rollouts[id], state.PhaseRolledBack, 1)
	if got := overrideOf(together(s.keeper.State(), "web", "v2")); got != `web="v2"` {
		t.Errorf("after it: %s", got)
	}
}

// A version that goes while a journey asks for it does not lend its name to the
// one that answers then.
func TestAVersionThatGoesInMidJourney(t *testing.T) {
	s := run(t, web(t, 1, 0), "journeys: {look: {steps: [{path: /}, {path: /}]}}")
	r := s.routedTo("web", "gone")
	defer r.close()
	journeys, err := journeysOf(s.file, "web", []string{"look"})
	if err != nil {
		t.Fatal(err)
	}
	res := journeys[0].Run(t.Context(), r.target())
	if want := `journey look, step step-1: "web" has no version "gone" any more; "v1" answered`; res.Err == nil || res.Err.Error() != want {
		t.Errorf("%v, want %s", res.Err, want)
	}
	if _, err := s.runJourney(t.Context(), "web", "gone", journeys[0]); err == nil || err.Error() != `version "gone" of service "web" is not served here` {
		t.Error(err)
	}
}

// Whoever ends a journey in the middle, or the server, leaves nothing behind.
func TestJourneysAreCut(t *testing.T) {
	for _, stop := range []bool{false, true} {
		asked := make(chan struct{}, 2)
		hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
		}))
		t.Cleanup(hangs.Close)
		s := start(t, write(t, t.TempDir(), plainListener, "state: {backend: memory}", "graceful_stop: 1s",
			fmt.Sprintf("services: {web: {health: {interval: 1h}, versions: {v1: {endpoints: [%q], weight: 1}}}}", strings.TrimPrefix(hangs.URL, "http://")),
			"journeys: {look: {steps: [{path: /}]}}"), Options{})
		journeys, err := journeysOf(s.file, "web", []string{"look"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() {
			trips, _ := s.runJourney(ctx, "web", "v1", journeys[0])
			ended <- trips[0].Err
		}()
		<-asked
		if stop {
			if err := s.Stop(); err == nil {
				t.Error("nothing was cut off")
			}
		} else {
			cancel()
		}
		select {
		case err := <-ended:
			if err == nil || !stop && !strings.Contains(err.Error(), "the run was ended") {
				t.Errorf("stop %t: %v", stop, err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("it goes on")
		}
	}
}

// An answer that doesn't end costs a run what it reads of it, and no more.
func TestJourneysOfEndlessAnswers(t *testing.T) {
	left := make(chan struct{}, 1)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		page := strings.Repeat("x", 64<<10)
		for {
			if _, err := io.WriteString(w, page); err != nil {
				left <- struct{}{}
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	s := run(t, fmt.Sprintf("services: {web: {versions: {v1: {endpoints: [%q], weight: 1}}}}", strings.TrimPrefix(endless.URL, "http://")),
		"journeys: {look: {steps: [{path: /, expect: {contains: [y]}}]}, head: {steps: [{path: /}]}}")
	for name, want := range map[string]string{"look": "1048576 bytes", "head": ""} {
		if why := s.why("v1", name); !strings.Contains(why, want) || (why == "") != (want == "") {
			t.Errorf("%s: %s", name, why)
		}
		select {
		case <-left:
		case <-time.After(30 * time.Second):
			t.Fatal("it is still sent")
		}
	}
	s.uncounted()
}

// An edge's journey counts for no customer of the sidecar behind it either, which
// trusts the edge; whoever else says that it is one is a customer.
func TestJourneysPassASidecar(t *testing.T) {
	w := watched(t, "cart")
	sidecar := run(t, fmt.Sprintf("services: {cart: {versions: {v1: {endpoints: [%q], weight: 1}}}}", w.address))
	rewrite(t, sidecar.path, `listeners: [{name: edge, address: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]}]`, "state: {backend: memory}",
		fmt.Sprintf("services: {cart: {versions: {v1: {endpoints: [%q], weight: 1}}}}", w.address))
	sidecar.reload()
	edge := run(t, fmt.Sprintf("services: {web: {versions: {v1: {endpoints: [%q], weight: 1}, v2: {endpoints: [%q]}}}}", dead(t), strings.TrimPrefix(sidecar.url("", ""), "http://")),
		"journeys: {look: {steps: [{path: /}]}}")
	if why := edge.why("v2", "look"); why != "" {
		t.Error(why)
	}
	seen := w.take()
	if len(seen) != 1 || seen[0].Header.Get("Sluice-Synthetic") != "look" || seen[0].Header.Get("Sluice-Version") != "v1" {
		t.Errorf("%v", seen)
	}
	edge.uncounted()
	sidecar.uncounted()
}

// An upgrade's predecessor, whose listeners are gone, asks nobody any more.
func TestJourneysWithoutListeners(t *testing.T) {
	s := run(t, web(t, 1, 0), "journeys: {look: {steps: [{path: /}]}}")
	s.proxy.Release()
	if why := s.why("v1", "look"); !strings.Contains(why, "no listener is open") {
		t.Error(why)
	}
}
