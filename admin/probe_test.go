package admin

import (
	"context"
	"fmt"
	"testing"

	"sluice/admin/api"
)

func TestProbe(t *testing.T) {
	s := newServer(t, Options{Probe: func(_ context.Context, service, version string, journeys []string) (api.Probe, error) {
		if len(journeys) > 1 {
			return api.Probe{}, &api.Problem{Status: 429, Detail: "too many", Remedy: "later"}
		}
		return api.Probe{Service: service, Version: version, Passed: true, Runs: []api.JourneyRun{{Journey: fmt.Sprint(journeys)}}}, nil
	}})
	p := want[api.Probe](t, ask(s, "POST", "/v1/services/web/versions/v2/probe", `{"journeys":["checkout"]}`), 200)
	if !p.Passed || p.Service != "web" || p.Version != "v2" || p.Runs[0].Journey != "[checkout]" {
		t.Errorf("%+v", p)
	}
	want[api.Probe](t, ask(s, "POST", "/v1/services/web/versions/v2/probe", `{}`), 200)
	wantProblem(t, ask(s, "POST", "/v1/services/web/versions/v2/probe", `{"journeys":["a","b"]}`), 429)
	if p := wantProblem(t, ask(s, "POST", "/v1/services/wbe/versions/v2/probe", `{}`), 404); p.Service != "wbe" {
		t.Errorf("%+v", p)
	}
	if p := wantProblem(t, ask(s, "POST", "/v1/services/web/versions/v9/probe", `{}`), 404); p.Version != "v9" {
		t.Errorf("%+v", p)
	}
	wantProblem(t, ask(newServer(t, Options{}), "POST", "/v1/services/web/versions/v2/probe", `{}`), 501)
}
