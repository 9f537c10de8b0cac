package admin

import (
	"slices"
	"strings"
	"testing"

	"sluice/admin/api"
	"sluice/state"
)

// shapedServer serves web with v1 (11), which has all weight, and v2 (12), which
// reads what v1 writes; tokens are those of tokenFile.
func shapedServer(t *testing.T, opts Options) (s *Server, tokens map[string]string) {
	t.Helper()
	k := newKeeper(t)
	put := func(version, writes string, reads ...string) {
		spec := state.Spec{Endpoints: []string{"127.0.0.1:1"}, Shape: &state.Shape{Writes: writes, Reads: reads}, Capacity: 500}
		if _, err := k.Do(t.Context(), state.PutVersion{Service: "web", Version: version, Spec: spec}, state.Meta{By: "ci"}); err != nil {
			t.Fatal(err)
		}
	}
	put("s11", "11", "11")
	put("s12", "12", "11", "12")
	if _, err := k.Do(t.Context(), state.SetWeights{Service: "web", Weights: map[string]int{"s11": 1}, Pins: state.Pins{Mode: state.PinsMove}}, state.Meta{By: "ci"}); err != nil {
		t.Fatal(err)
	}
	path, tokens := tokenFile(t)
	file, err := OpenTokens(path, nil, opts.Now)
	if err != nil {
		t.Fatal(err)
	}
	opts.Control, opts.Tokens = k, file
	return newServer(t, opts), tokens
}

func as(token string) string { return "Authorization: Bearer " + token }

func TestForceNeedsItsPermission(t *testing.T) {
	s, tokens := shapedServer(t, Options{})
	const path, mix = "/v1/services/web/weights", `{"weights":{"s11":99,"s12":1}}`
	p := wantProblem(t, ask(s, "PUT", path, mix, as(tokens["operator"])), 409, "s11 can't read what s12 writes", "pins move")
	if p.Rule != state.RuleShape || p.Service != "web" || p.Version != "s12" || len(p.Obstacles) != 1 || p.Obstacles[0].Message == "" {
		t.Errorf("%+v", p)
	}
	const forced = `{"weights":{"s11":99,"s12":1},"force":true}`
	wantProblem(t, ask(s, "PUT", path, forced, as(tokens["operator"])), 403, "operator may not pass over the rules of safety", "+force")
	wantProblem(t, ask(s, "POST", "/v1/services/web/rollback", `{"to":"s12","force":true}`, as(tokens["operator"])), 403, "may not pass over")
	c := want[api.Change](t, ask(s, "PUT", path, forced, as(tokens["bold"])), 200)
	if !slices.Equal(c.Forced, []state.Rule{state.RuleShape}) || len(c.Warnings) != 1 || !strings.Contains(c.Detail, "forced, against the rules of shape") {
		t.Errorf("%+v", c)
	}
	audit := want[api.Audit](t, ask(s, "GET", "/v1/audit?limit=1", "", as(tokens["viewer"])), 200)
	if e := audit.Events[0]; e.By != "bold" || !slices.Equal(e.Forced, c.Forced) {
		t.Errorf("%+v", e)
	}
	want[api.Change](t, ask(s, "POST", "/v1/services/web/rollback", `{"to":"s11","force":true}`, as(tokens["admin"])), 200)
}

func TestWhoMayLiftABarrier(t *testing.T) {
	s, tokens := shapedServer(t, Options{})
	put := func(what, body, who string) answer {
		return ask(s, "PUT", "/v1/services/web/"+what, body, as(tokens[who]))
	}
	wantProblem(t, put("level", `{"level":"11"}`, "tester"), 403)
	want[api.Change](t, put("level", `{"level":"12"}`, "deployer"), 200)
	p := wantProblem(t, put("barrier", `{"on":true}`, "deployer"), 409, `version "s11" of service "web" can't read level 12`)
	if p.Rule != state.RuleBarrier {
		t.Errorf("%+v", p)
	}
	c := want[api.Change](t, put("barrier", `{"on":true,"level":"11","reason":"migration 11"}`, "deployer"), 200)
	if !c.Changed || c.Detail != "barrier at level 11" {
		t.Errorf("%+v", c)
	}
	svc := want[api.Service](t, ask(s, "GET", "/v1/services/web", "", as(tokens["viewer"])), 200)
	if svc.Level != "11" || !svc.Barrier || svc.Versions[0].Capacity != 500 {
		t.Errorf("%+v", svc)
	}
	for _, r := range []struct{ what, body string }{{"barrier", `{"on":false}`}, {"barrier", `{"on":true,"level":"12"}`}, {"level", `{"level":"12"}`}} {
		wantProblem(t, put(r.what, r.body, "deployer"), 403, "neither lifts nor moves")
	}
	want[api.Change](t, put("level", `{"level":"11"}`, "deployer"), 200) // it is so already
	wantProblem(t, put("level", `{"level":""}`, "operator"), 409, "lift the barrier first")
	want[api.Change](t, put("barrier", `{"on":false}`, "operator"), 200)
	wantProblem(t, put("level", `{"level":"a b"}`, "operator"), 422, "no name for a shape")
	wantProblem(t, ask(s, "PUT", "/v1/services/shop/barrier", `{"on":true,"level":"1"}`, as(tokens["admin"])), 404)
}

func TestCanRollback(t *testing.T) {
	live := fakeLive{"web": {"s12": {LiveSessions: 40}, "s11": {LiveSessions: 2}}}
	facts := func(services []string) *state.Facts {
		if len(services) != 1 {
			t.Errorf("facts of %v", services)
		}
		return &state.Facts{Known: map[string]map[string]int{"web": {"s11": 3}}}
	}
	s, tokens := shapedServer(t, Options{Live: live, Facts: facts})
	ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"s12":1},"pins":"move"}`, as(tokens["admin"]))
	a := ask(s, "GET", "/v1/services/web/rollback", "", as(tokens["viewer"]))
	c := want[api.CanRollback](t, a, 200)
	if d := c.Default; !d.Possible || d.Weights["s11"] != 1 || d.Sessions != 40 || !slices.Equal(d.Leaves, []string{"s12"}) || len(d.Warnings) != 1 {
		t.Errorf("%+v", d)
	}
	if a.header.Get("ETag") != etag(c.Revision) || len(c.Versions) != 3 || c.Versions[0].To != "s11" {
		t.Errorf("%+v", c)
	}
	ask(s, "PUT", "/v1/services/web/barrier", `{"on":true,"level":"12"}`, as(tokens["admin"]))
	c = want[api.CanRollback](t, ask(s, "GET", "/v1/services/web/rollback", "", as(tokens["viewer"])), 200)
	if d := c.Default; d.Possible || d.Rule != state.RuleBarrier || !strings.Contains(d.Why, "versions that can: s12") || c.Level != "12" || !c.Barrier {
		t.Errorf("%+v", c)
	}
	svc := want[api.Service](t, ask(s, "GET", "/v1/services/web", "", as(tokens["viewer"])), 200)
	if svc.Rollback.Possible || svc.Rollback.Rule != state.RuleBarrier {
		t.Errorf("%+v", svc.Rollback)
	}
	wantProblem(t, ask(s, "GET", "/v1/services/shop/rollback", "", as(tokens["viewer"])), 404)
}

// Who looks for a way back is told of a version that was taken back itself, and why.
func TestTakenBackIsTold(t *testing.T) {
	s, tokens := shapedServer(t, Options{})
	admin := as(tokens["admin"])
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"s12":1},"pins":"move"}`, admin), 200)
	want[api.Change](t, ask(s, "POST", "/v1/services/web/rollback", `{"reason":"errors in checkout"}`, admin), 200)
	told := func(b *api.TakenBack) bool {
		return b != nil && b.Version == "s12" && b.By == "admin" && b.Why == "errors in checkout" && b.Rollout == "" && !b.At.IsZero()
	}
	c := want[api.CanRollback](t, ask(s, "GET", "/v1/services/web/rollback", "", admin), 200)
	for _, target := range c.Versions {
		if back := target.TakenBack; (len(back) == 1) != (target.To == "s12") || len(back) > 0 && !told(&back[0]) {
			t.Errorf("to %s: %+v", target.To, back)
		}
	}
	svc := want[api.Service](t, ask(s, "GET", "/v1/services/web", "", admin), 200)
	for _, v := range svc.Versions {
		if (v.TakenBack != nil) != (v.Name == "s12") || v.TakenBack != nil && !told(v.TakenBack) {
			t.Errorf("%s: %+v", v.Name, v.TakenBack)
		}
	}
}
