package admin

import (
	"fmt"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

func TestServiceView(t *testing.T) {
	s := newServer(t, Options{Live: fakeLive{"web": {
		"v1": {Healthy: 1, Total: 1, Requests: 200, Errors: 2, RequestsLastMinute: 90, LiveSessions: 30,
			Latency: api.Latency{P99: api.Duration(12 * time.Millisecond)}},
		"v2": {Healthy: 1, Total: 1, RequestsLastMinute: 10, LiveSessions: 10},
	}}})
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":95,"v2":5}}`), 200)
	a := ask(s, "GET", "/v1/services/web", "")
	web := want[api.Service](t, a, 200)
	if a.header.Get("ETag") != etag(web.Revision) || web.Revision == 0 {
		t.Errorf("ETag %s of revision %d", a.header.Get("ETag"), web.Revision)
	}
	if len(web.Versions) != 2 || web.Versions[0].Name != "v1" {
		t.Fatalf("%+v", web.Versions)
	}
	v1, v2 := web.Versions[0], web.Versions[1]
	if v1.Shares != (api.Shares{NewSessions: 0.95, LiveSessions: 0.75, Requests: 0.9}) {
		t.Errorf("shares of v1: %+v", v1.Shares)
	}
	if v1.Live.ErrorRate != 0.01 || v2.Live.ErrorRate != 0 || time.Duration(v1.Live.Latency.P99) != 12*time.Millisecond {
		t.Errorf("numbers: %+v", v1.Live)
	}
	if v1.Mode != state.Live || v2.Mode != state.Live || v1.Origin != state.FromFile || v1.Tags["commit"] == "" {
		t.Errorf("%+v", v1)
	}
	if one := want[api.Service](t, ask(s, "GET", "/v1/services/api", ""), 200); one.Rollback.Possible || one.Rollback.Why == "" {
		t.Errorf("rollback: %+v", one.Rollback)
	}
	if !web.Rollback.Possible || web.Rollback.Weights["v1"] != 100 {
		t.Errorf("rollback: %+v", web.Rollback)
	}
	all := want[api.Services](t, ask(s, "GET", "/v1/services", ""), 200)
	if len(all.Services) != 2 || all.Services[0].Name != "api" || all.Services[0].Rollback != nil {
		t.Errorf("%+v", all)
	}
	if all.Services[0].Versions[0].Shares.NewSessions != 1 || all.Services[0].Versions[0].Shares.Requests != 0 {
		t.Errorf("%+v", all.Services[0].Versions[0].Shares)
	}
}

func TestDrainingVersionShowsUntilWhen(t *testing.T) {
	s := newServer(t, Options{})
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v2":1},"pins":"drain:10m"}`), 200)
	v1 := want[api.Service](t, ask(s, "GET", "/v1/services/web", ""), 200).Versions[0]
	if v1.Mode != state.Draining || !v1.DrainUntil.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("%s until %s", v1.Mode, v1.DrainUntil)
	}
}

func TestUnknownServiceNamesTheKnown(t *testing.T) {
	s := newServer(t, Options{})
	for _, path := range []string{"/v1/services/shop", "/v1/services/shop/history"} {
		p := wantProblem(t, ask(s, "GET", path, ""), 404, `no service "shop"`, "known services: api, web")
		if p.Service != "shop" {
			t.Errorf("service %q", p.Service)
		}
	}
}

func TestStats(t *testing.T) {
	s := newServer(t, Options{Live: fakeLive{"web": {"v2": {Requests: 4, Errors: 1}, "v1": {}}, "api": {"v7": {}}}})
	stats := want[api.Stats](t, ask(s, "GET", "/v1/stats", ""), 200)
	var names string
	for _, v := range stats.Versions {
		names += v.Service + "/" + v.Version + " "
	}
	if names != "api/v7 web/v1 web/v2 " || stats.Versions[2].Numbers.ErrorRate != 0.25 || stats.Totals.NoRoute != 3 || !stats.At.Equal(noon) {
		t.Errorf("%s %+v", names, stats)
	}
	if empty := want[api.Stats](t, ask(newServer(t, Options{}), "GET", "/v1/stats", ""), 200); len(empty.Versions) != 0 {
		t.Errorf("%+v", empty)
	}
}

func TestUnknownQueryParameterIsRefused(t *testing.T) {
	s := newServer(t, Options{})
	wantProblem(t, ask(s, "GET", "/v1/services?servce=web", ""), 422, "servce")
	wantProblem(t, ask(s, "GET", "/v1/events?servce=web", ""), 422, "servce")
}

func TestUnmatchedRequestsAreProblems(t *testing.T) {
	s := newServer(t, Options{})
	wantProblem(t, ask(s, "GET", "/v2/services", ""), 404, "/openapi.json")
	a := ask(s, "DELETE", "/v1/services/web/weights", "")
	wantProblem(t, a, 405, "use PUT")
	if a.header.Get("Allow") != "PUT" {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
}

func BenchmarkListServices(b *testing.B) {
	st := state.State{Services: map[string]*state.Service{}}
	for i := range 10_000 {
		name := fmt.Sprintf("s%d", i)
		st.Services[name] = &state.Service{Name: name, Versions: map[string]*state.Version{
			"v1": {Name: "v1", Weight: 95}, "v2": {Name: "v2", Weight: 5}}}
	}
	s := &Server{opts: Options{Control: &fixedControl{st: st}, Now: func() time.Time { return noon }}}
	b.ReportAllocs()
	for b.Loop() {
		s.services()
	}
}

// fixedControl has one state for ever.
type fixedControl struct {
	Control
	st state.State
}

func (f *fixedControl) State() state.State { return f.st }
