package admin

import (
	"testing"

	"sluice/admin/api"
)

func TestShadow(t *testing.T) {
	s := newServer(t, Options{Shadows: func(service string) []api.Shadow {
		if service != "web" {
			return nil
		}
		return []api.Shadow{{Version: "v2", Decision: "hold"}, {Version: "v1", Decision: "pass"}}
	}})
	for path, n := range map[string]int{"/v1/services/web/shadow": 2, "/v1/services/web/shadow?version=v2": 1, "/v1/services/api/shadow": 0} {
		got := want[api.Shadows](t, ask(s, "GET", path, ""), 200)
		if len(got.Shadows) != n || got.Shadows == nil {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if p := wantProblem(t, ask(s, "GET", "/v1/services/wbe/shadow", ""), 404); p.Service != "wbe" {
		t.Errorf("%+v", p)
	}
	if p := wantProblem(t, ask(s, "GET", "/v1/services/web/shadow?version=v9", ""), 404); p.Version != "v9" {
		t.Errorf("%+v", p)
	}
	wantProblem(t, ask(newServer(t, Options{}), "GET", "/v1/services/web/shadow", ""), 501)
}
