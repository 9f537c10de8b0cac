package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
	"sluice/state/memory"
)

func TestSetWeights(t *testing.T) {
	fake := &fakeControl{Control: newKeeper(t)}
	s := newServer(t, Options{Control: fake})
	a := ask(s, "PUT", "/v1/services/web/weights?wait=applied", `{"weights":{"v1":95,"v2":5},"pins":"drain:30m","reason":"first 5%"}`)
	c := want[api.Change](t, a, 200)
	if !c.Changed || !c.Durable || c.Warning != "" || c.Before["v1"] != 100 || c.After["v2"] != 5 || c.Pins != "drain:30m0s" || c.Detail == "" {
		t.Errorf("%+v", c)
	}
	if a.header.Get("ETag") != etag(c.Revision) {
		t.Errorf("ETag %s", a.header.Get("ETag"))
	}
	if fake.meta != (state.Meta{By: "local", Why: "first 5%", At: noon}) {
		t.Errorf("%+v", fake.meta)
	}
}

func TestReasonComesFromHeaderToo(t *testing.T) {
	fake := &fakeControl{Control: newKeeper(t)}
	s := newServer(t, Options{Control: fake})
	ask(s, "POST", "/v1/services/web/pins/void", `{"version":"v1"}`, "Sluice-Reason: poisoned")
	if fake.meta.Why != "poisoned" {
		t.Errorf("%+v", fake.meta)
	}
	ask(s, "POST", "/v1/services/web/pins/void", `{"version":"v1","reason":"body"}`, "Sluice-Reason: header")
	if fake.meta.Why != "body" {
		t.Errorf("%+v", fake.meta)
	}
}

func TestIfMatch(t *testing.T) {
	s := newServer(t, Options{})
	const body = `{"weights":{"v1":1,"v2":1}}`
	tag := ask(s, "GET", "/v1/services/web", "").header.Get("ETag")
	for _, bad := range []string{`"99999"`, "W/" + tag, `"x"`, "17", `"0"`, `"98", "99"`} {
		wantProblem(t, ask(s, "PUT", "/v1/services/web/weights", body, "If-Match: "+bad), 412, "moved on", "read the service anew")
	}
	wantProblem(t, ask(s, "PUT", "/v1/services/shop/weights", body, "If-Match: "+tag), 404)
	a := ask(s, "PUT", "/v1/services/web/weights", body, "If-Match: \"99\", "+tag)
	want[api.Change](t, a, 200)
	wantProblem(t, ask(s, "PUT", "/v1/services/web/weights", body, "If-Match: "+tag), 412)
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":2,"v2":1}}`, "If-Match: *"), 200)
	wantProblem(t, ask(s, "POST", "/v1/services/web/rollback", "", `If-Match: "1"`), 400, "leave out If-Match")
}

func TestRollback(t *testing.T) {
	s := newServer(t, Options{})
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":50,"v2":50}}`), 200)
	c := want[api.Change](t, ask(s, "POST", "/v1/services/web/rollback", ""), 200)
	if c.After["v1"] != 100 || c.After["v2"] != 0 || c.Before["v2"] != 50 || c.Pins != "move" {
		t.Errorf("%+v", c)
	}
	c = want[api.Change](t, ask(s, "POST", "/v1/services/web/rollback", `{"to":"v2","pins":"keep","streams":"finish","reason":"x"}`), 200)
	if c.After["v2"] == 0 || c.After["v1"] != 0 || c.Pins != "keep" {
		t.Errorf("%+v", c)
	}
	if c.Streams != "finish" {
		t.Errorf("streams %q", c.Streams)
	}
	wantProblem(t, ask(s, "POST", "/v1/services/web/rollback", `{"streams":"cut"}`), 422, "streams")
	c = want[api.Change](t, ask(s, "POST", "/v1/services/web/rollback", `{"to":"v1","streams":"close"}`), 200)
	if c.Streams != "close" || !strings.HasSuffix(c.Detail, "streams close") {
		t.Errorf("%+v", c)
	}
	c = want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":100},"streams":"close"}`), 200)
	if !c.Changed || c.Streams != "close" {
		t.Errorf("closing streams afterwards: %+v", c)
	}
}

func TestRollbackThatIsNotDurableSaysSo(t *testing.T) {
	fake := &fakeControl{Control: newKeeper(t), result: func(r state.Result) state.Result { r.Durable = false; return r }}
	s := newServer(t, Options{Control: fake})
	c := want[api.Change](t, ask(s, "POST", "/v1/services/web/rollback", `{"to":"v2"}`), 200)
	if c.Durable || !strings.Contains(c.Warning, "restart") {
		t.Errorf("%+v", c)
	}
}

func TestVersions(t *testing.T) {
	s := newServer(t, Options{})
	c := want[api.Change](t, ask(s, "PUT", "/v1/services/web/versions/v3",
		`{"endpoints":["127.0.0.1:9003"],"shape":{"writes":"12","reads":["11","12"]},"tags":{"commit":"abc"}}`), 200)
	if !c.Changed || c.After["v3"] != 0 || c.Pins != "" {
		t.Errorf("%+v", c)
	}
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v3":1}}`), 200)
	wantProblem(t, ask(s, "DELETE", "/v1/services/web/versions/v3", ""), 409)
	c = want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":1},"pins":"keep"}`), 200)
	if c.Pins != "keep" {
		t.Errorf("%+v", c)
	}
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/versions/v3/drain", `{"on":true,"for":"1h"}`), 200)
	v3 := want[api.Service](t, ask(s, "GET", "/v1/services/web", ""), 200).Versions[2]
	if !v3.DrainUntil.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v", v3)
	}
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/versions/v3/drain", `{"on":false}`), 200)
	c = want[api.Change](t, ask(s, "PUT", "/v1/services/web/versions/v3/drain", `{"on":false}`), 200)
	if c.Changed {
		t.Errorf("twice the same: %+v", c)
	}
	want[api.Change](t, ask(s, "DELETE", "/v1/services/web/versions/v3", ""), 200)
	wantProblem(t, ask(s, "DELETE", "/v1/services/web/versions/v3", ""), 404)
}

func TestBadBodies(t *testing.T) {
	s := newServer(t, Options{})
	const weights = "/v1/services/web/weights"
	cases := []struct {
		name, method, path, body string
		status                   int
		text                     string
	}{
		{"no body", "PUT", weights, "", 400, "body is required"},
		{"no JSON", "PUT", weights, `{"weights":`, 400, "body"},
		{"two values", "PUT", weights, `{"weights":{"v1":1}} {}`, 400, "body"},
		{"an array", "PUT", weights, `[]`, 422, "object"},
		{"unknown key", "PUT", weights, `{"weights":{"v1":1},"pin":"keep"}`, 422, "the body may have the keys weights, pins, streams, force, reason"},
		{"unknown key below", "PUT", "/v1/services/web/versions/v9", `{"endpoints":["127.0.0.1:1"],"shape":{"writes":"1","reads":[],"x":1}}`, 422, "/openapi.json"},
		{"missing key", "PUT", weights, `{"pins":"keep"}`, 422, "weights"},
		{"fraction", "PUT", weights, `{"weights":{"v1":0.5}}`, 422, "body.weights.v1"},
		{"text", "PUT", weights, `{"weights":{"v1":"5"}}`, 422, "body.weights.v1"},
		{"negative", "PUT", weights, `{"weights":{"v1":-1}}`, 422, ""},
		{"no sum", "PUT", weights, `{"weights":{"v1":0}}`, 409, ""},
		{"unknown version", "PUT", weights, `{"weights":{"v8":1}}`, 404, "v8"},
		{"pins", "PUT", weights, `{"weights":{"v1":1},"pins":"drop"}`, 422, "keep, move, drain or drain:30m"},
		{"pins keep:1m", "PUT", weights, `{"weights":{"v1":1},"pins":"keep:1m"}`, 422, "takes no duration"},
		{"pins drain:", "PUT", weights, `{"weights":{"v1":1},"pins":"drain:"}`, 422, "no duration"},
		{"pins drain:-1m", "POST", "/v1/services/web/rollback", `{"pins":"drain:-1m"}`, 422, "no duration"},
		{"drain for", "PUT", "/v1/services/web/versions/v2/drain", `{"on":true,"for":"soon"}`, 422, "no duration"},
		{"drain for number", "PUT", "/v1/services/web/versions/v2/drain", `{"on":true,"for":30}`, 422, "for"},
		{"drain back", "PUT", "/v1/services/web/versions/v2/drain", `{"on":true,"for":"-1m"}`, 422, "can't last"},
		{"drain off for", "PUT", "/v1/services/web/versions/v2/drain", `{"on":false,"for":"1m"}`, 422, "no duration"},
		{"drain a live one", "PUT", "/v1/services/web/versions/v1/drain", `{"on":true}`, 409, ""},
		{"wait", "POST", "/v1/services/web/rollback?wait=long", "", 422, "wait"},
		{"long reason", "POST", "/v1/services/web/pins/void", `{"version":"v1","reason":"` + strings.Repeat("x", 2000) + `"}`, 422, ""},
	}
	before := s.opts.Control.State().Revision
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			wantProblem(t, ask(s, c.method, c.path, c.body), c.status, c.text)
		})
	}
	if after := s.opts.Control.State().Revision; after != before {
		t.Errorf("a bad request changed the state: revision %d, was %d", after, before)
	}
}

func TestBodyIsBounded(t *testing.T) {
	s := newServer(t, Options{})
	wantProblem(t, ask(s, "PUT", "/v1/services/web/weights", strings.Repeat(" ", MaxBody+1)), 413, "too large")
	// Many faults in one body give a short answer that repeats no value.
	var body strings.Builder
	body.WriteString(`{"weights":{"v1":1}`)
	for i := range 50_000 {
		fmt.Fprintf(&body, `,"k%d":"secret"`, i)
	}
	body.WriteString("}")
	a := ask(s, "PUT", "/v1/services/web/weights", body.String())
	p := wantProblem(t, a, 422, "and 49980 more")
	if len(a.body) > 10_000 || len(p.Errors) != maxFaults || strings.Contains(a.body, "secret") {
		t.Errorf("%d bytes, %d faults", len(a.body), len(p.Errors))
	}
}

func TestErrorsBecomeStatuses(t *testing.T) {
	refusal := func(reason error) error {
		return fmt.Errorf("doing: %w", &state.Refusal{Reason: reason, Service: "web", Version: "v2", Field: "weights.v2", Message: "no", Remedy: "yes"})
	}
	cases := []struct {
		err                   error
		plain, conditional    int
		wantField, wantDetail string
	}{
		{refusal(state.ErrNotFound), 404, 404, "weights.v2", "no"},
		{refusal(state.ErrInvalid), 422, 422, "weights.v2", "no"},
		{refusal(state.ErrRefused), 409, 409, "weights.v2", "no"},
		{refusal(state.ErrConflict), 409, 412, "weights.v2", "no"},
		{fmt.Errorf("commit: %w", state.ErrConflict), 409, 412, "", "commit"},
		{fmt.Errorf("%w: %w", state.ErrStore, errDisk), 503, 503, "", "no space left"},
		{context.DeadlineExceeded, 503, 503, "", "in time"},
		{errors.New("secret internals"), 500, 500, "", "unexpected"},
	}
	fake := &fakeControl{Control: newKeeper(t)}
	s := newServer(t, Options{Control: fake})
	tag := ask(s, "GET", "/v1/services/web", "").header.Get("ETag")
	for _, c := range cases {
		fake.err = c.err
		a := ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":1}}`)
		p := wantProblem(t, a, c.plain, c.wantDetail)
		if p.Field != c.wantField || strings.Contains(a.body, "secret") {
			t.Errorf("%v: %+v", c.err, p)
		}
		wantProblem(t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":1}}`, "If-Match: "+tag), c.conditional)
	}
	fake.err = errDisk
	wantProblem(t, ask(s, "GET", "/v1/audit", ""), 503, "no space left")
}

func TestChangeGoesOnWhenItsCallerLeaves(t *testing.T) {
	keeper := newKeeper(t)
	s := newServer(t, Options{Control: keeper})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ctx = context.WithValue(ctx, callerKey{}, Identity{Name: "ann", Role: Admin})
	in := &rollbackInput{ChangeInput: ChangeInput{Service: "web"}, Body: &api.Rollback{To: "v2"}}
	if _, err := s.rollback(ctx, in); err != nil {
		t.Fatal(err)
	}
	if w := keeper.State().Services["web"].Weights(); w["v2"] == 0 {
		t.Errorf("weights %v", w)
	}
}

// failingStore takes nothing once it is broken.
type failingStore struct {
	state.Store
	broken bool
}

func (f *failingStore) Commit(ctx context.Context, next state.State, events []state.Event) error {
	if f.broken {
		return errDisk
	}
	return f.Store.Commit(ctx, next, events)
}

func TestRollbackWorksWithTheStoreDown(t *testing.T) {
	store := &failingStore{Store: memory.New()}
	defer store.Close()
	keeper, err := state.NewKeeper(t.Context(), store, state.KeeperOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spec := state.Spec{Endpoints: []string{"127.0.0.1:9001"}}
	declare := state.Declare{Services: map[string]state.DeclaredService{"web": {Versions: map[string]state.DeclaredVersion{
		"v1": {Spec: spec, Weight: 1}, "v2": {Spec: spec}}}}}
	if _, err := keeper.Do(t.Context(), declare, state.Meta{By: "file"}); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, Options{Control: keeper})
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v2":1}}`), 200)
	store.broken = true
	wantProblem(t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":1,"v2":1}}`), 503, "no space left", "a rollback works without it")
	c := want[api.Change](t, ask(s, "POST", "/v1/services/web/rollback", ""), 200)
	if c.After["v1"] == 0 || c.After["v2"] != 0 || c.Durable || c.Warning == "" || c.Pins != "move" {
		t.Errorf("%+v", c)
	}
	if web := want[api.Service](t, ask(s, "GET", "/v1/services/web", ""), 200); web.Versions[0].Weight == 0 {
		t.Errorf("%+v", web)
	}
}
