package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// fakeRollouts has one policy, "ours", which is every service's own.
type fakeRollouts struct {
	evidence []state.Evidence
	line     Line
	trouble  string
}

func (f *fakeRollouts) Policy(name string, services []string) (state.Policy, error) {
	if name != "" && name != "ours" {
		return state.Policy{}, &state.Refusal{Reason: state.ErrInvalid, Field: "policy", Message: fmt.Sprintf("there is no policy %q", name), Remedy: "known policies: ours"}
	}
	return state.Policy{Name: "ours", Stages: []state.Stage{
		{Kind: state.StageProbe, Passes: 3},
		{Kind: state.StageShift, Share: 500, Hold: time.Minute, Deadline: time.Hour},
		{Kind: state.StageBake, Hold: time.Hour, Gate: true},
	}}, nil
}

func (f *fakeRollouts) Evidence(string) []state.Evidence { return f.evidence }

func (f *fakeRollouts) Trouble(string) string { return f.trouble }

func (f *fakeRollouts) Line(string) Line { return f.line }

// newRolloutServer returns a server with rollouts, and the keeper behind it.
func newRolloutServer(t *testing.T, opts Options) (*Server, *state.Keeper) {
	t.Helper()
	k := newKeeper(t)
	opts.Control = k
	if opts.Rollouts == nil {
		opts.Rollouts = &fakeRollouts{}
	}
	return newServer(t, opts), k
}

// move carries out transitions as the machine does.
func move(t *testing.T, k *state.Keeper, id string, to state.Phase, stage int, evidence ...state.Evidence) {
	t.Helper()
	cmd := state.MoveRollout{ID: id, Seq: k.State().Rollouts[id].Seq, To: to, Stage: stage, Evidence: evidence}
	if _, err := k.Do(t.Context(), cmd, state.Meta{By: "judge", Why: "so it goes", At: noon}); err != nil {
		t.Fatal(err)
	}
}

const startBody = `{"version":"v3","endpoints":["127.0.0.1:9003"],"shape":{"writes":"12","reads":["12"]},"tags":{"commit":"abc"},"capacity":200,"reason":"release"}`

// A start registers the version and begins a rollout; a second one finds it.
func TestStartRollout(t *testing.T) {
	s, k := newRolloutServer(t, Options{})
	a := ask(s, "POST", "/v1/services/web/rollouts", startBody)
	r := want[api.Rollout](t, a, 201)
	if r.Phase != state.PhaseQueued || r.Found || r.Policy.Name != "ours" || len(r.Policy.Stages) != 3 || r.Policy.Stages[1].Share != 0.05 ||
		r.By != "local" || r.Why != "release" || a.header.Get("Location") != "/v1/rollouts/"+r.ID {
		t.Errorf("%+v, Location %s", r, a.header.Get("Location"))
	}
	v := k.State().Services["web"].Versions["v3"]
	if v == nil || v.Spec.Capacity != 200 || v.Spec.Shape.Writes != "12" || v.Spec.Tags["commit"] != "abc" {
		t.Fatalf("registered as %+v", v)
	}
	again := want[api.Rollout](t, ask(s, "POST", "/v1/services/web/rollouts", startBody), 200)
	if again.ID != r.ID || !again.Found {
		t.Errorf("started twice: %+v", again)
	}
	if one := want[api.Rollout](t, ask(s, "GET", "/v1/rollouts/"+r.ID, ""), 200); one.ID != r.ID || one.Over {
		t.Errorf("%+v", one)
	}
	for _, path := range []string{"/v1/rollouts", "/v1/services/web/rollouts"} {
		if all := want[api.Rollouts](t, ask(s, "GET", path, ""), 200); len(all.Rollouts) != 1 || all.Rollouts[0].Moves != nil {
			t.Errorf("%s: %+v", path, all)
		}
	}
	if other := want[api.Rollouts](t, ask(s, "GET", "/v1/services/api/rollouts", ""), 200); len(other.Rollouts) != 0 {
		t.Errorf("%+v", other)
	}
}

// What a start gets wrong is said.
func TestStartRefused(t *testing.T) {
	s, _ := newRolloutServer(t, Options{})
	for body, text := range map[string]string{
		`{"version":"v9"}`: `has no version`,
		`{"version":"v9","shape":{"writes":"12","reads":["12"]}}`:    `not where it is reached`,
		`{"version":"v2","policy":"nonsense"}`:                       `known policies: ours`,
		`{"version":"v2","endpoint":["127.0.0.1:9002"]}`:             `the body may have the keys version, endpoints, shape, provides, requires, tags, capacity, policy, reason, force`,
		`{"version":"v9","endpoints":["127.0.0.1:1"],"capacity":-5}`: `capacity`,
		`{}`: `version`,
	} {
		a := ask(s, "POST", "/v1/services/web/rollouts", body)
		if a.status < 400 || a.status >= 500 || !strings.Contains(a.body, text) {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	wantProblem(t, ask(s, "POST", "/v1/services/none/rollouts", `{"version":"v2"}`), 404, "there is no service")
	wantProblem(t, ask(s, "POST", "/v1/services/web/rollouts?wait=soon", `{"version":"v2"}`), 422, `"soon" is no time to wait`)
	wantProblem(t, ask(s, "GET", "/v1/rollouts/r999", ""), 404, "there is no rollout")
	wantProblem(t, ask(s, "GET", "/v1/rollouts/r999?wait=25s", ""), 404, "there is no rollout")
	wantProblem(t, ask(s, "GET", "/v1/rollouts/r999/progress", ""), 404, "there is no rollout")
	wantProblem(t, ask(newServer(t, Options{}), "POST", "/v1/services/web/rollouts", `{"version":"v2"}`), 501, "carries out no rollouts")
}

// A release set is one rollout with a leg for each service.
func TestStartSet(t *testing.T) {
	s, k := newRolloutServer(t, Options{})
	body := `{"set":"shop","legs":[{"service":"web","version":"v2"},{"service":"api","version":"v8","endpoints":["127.0.0.1:9008"]}]}`
	r := want[api.Rollout](t, ask(s, "POST", "/v1/rollouts", body), 201)
	if r.Set != "shop" || len(r.Legs) != 2 || r.Title() != "shop (api v8, web v2)" || k.State().Services["api"].Versions["v8"] == nil {
		t.Errorf("%+v", r)
	}
	wantProblem(t, ask(s, "POST", "/v1/rollouts", `{"set":"shop","legs":[]}`), 422, "legs")
}

// People steer; each order is theirs in the audit, and tokens have their limits.
func TestSteer(t *testing.T) {
	path, tokens := tokenFile(t)
	known, err := OpenTokens(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, k := newRolloutServer(t, Options{Tokens: known})
	as := func(who string) string { return "Authorization: Bearer " + tokens[who] }
	id := want[api.Rollout](t, ask(s, "POST", "/v1/services/web/rollouts", startBody, as("web-ci")), 201).ID
	other := want[api.Rollout](t, ask(s, "POST", "/v1/services/api/rollouts", `{"version":"v8","endpoints":["127.0.0.1:9008"]}`, as("deployer")), 201).ID
	wantProblem(t, ask(s, "POST", "/v1/services/api/rollouts", `{"version":"v7"}`, as("web-ci")), 403, "web-ci may not change api")
	wantProblem(t, ask(s, "POST", "/v1/rollouts", `{"set":"a","legs":[{"service":"web","version":"v2"},{"service":"api","version":"v7"}]}`, as("web-ci")), 403, "may not change api")
	wantProblem(t, ask(s, "POST", "/v1/rollouts/"+other+"/pause", "", as("web-ci")), 403, "web-ci may not change api")
	wantProblem(t, ask(s, "POST", "/v1/rollouts/"+id+"/pause", "", as("tester")), 403, "at least deployer")
	wantProblem(t, ask(s, "POST", "/v1/rollouts/"+id+"/promote", "", as("deployer")), 403, "at least operator")
	wantProblem(t, ask(s, "PUT", "/v1/rollouts/"+id+"/place", `{"place":1}`, as("deployer")), 403, "at least operator")
	wantProblem(t, ask(s, "POST", "/v1/services/web/rollouts", `{"version":"v2","force":true}`, as("deployer")), 403, "leave out force")
	wantProblem(t, ask(s, "POST", "/v1/rollouts/r999/abort", "", as("operator")), 404, "there is no rollout")
	move(t, k, id, state.PhaseProbing, 0)
	r := want[api.Rollout](t, ask(s, "POST", "/v1/rollouts/"+id+"/pause", `{"reason":"lunch"}`, as("deployer")), 200)
	if r.Order == nil || r.Order.Action != state.ActionPause || r.Order.By != "deployer" || r.Order.Why != "lunch" ||
		!strings.Contains(r.Text, "pause was ordered by deployer") {
		t.Errorf("%+v", r)
	}
	aborted := want[api.Rollout](t, ask(s, "POST", "/v1/rollouts/"+other+"/abort", "", as("deployer"), "Sluice-Reason: a mistake"), 200)
	if aborted.Phase != state.PhaseAborted || !aborted.Over {
		t.Errorf("%+v", aborted)
	}
}

// The queue says what is under way and who comes next.
func TestQueue(t *testing.T) {
	s, k := newRolloutServer(t, Options{Rollouts: &fakeRollouts{line: Line{Place: 1, Behind: []string{"r7"}, For: []string{"r8"}, Expected: noon.Add(time.Hour)}, trouble: "the disk is full"}})
	first := want[api.Rollout](t, ask(s, "POST", "/v1/services/web/rollouts", `{"version":"v2"}`), 201)
	move(t, k, first.ID, state.PhaseProbing, 0)
	second := want[api.Rollout](t, ask(s, "POST", "/v1/services/web/rollouts", startBody), 201)
	q := want[api.Queue](t, ask(s, "GET", "/v1/services/web/queue", ""), 200)
	if q.Active == nil || q.Active.ID != first.ID || len(q.Waiting) != 1 || q.Waiting[0].ID != second.ID {
		t.Fatalf("%+v", q)
	}
	if want := "queued, number 1 in line, behind r7, for what r8 is to bring; it does not move: the disk is full; begins about 2026-11-22T13:00:00Z, at a guess"; q.Waiting[0].Text != want {
		t.Errorf("%q, want %q", q.Waiting[0].Text, want)
	}
	want[api.Rollout](t, ask(s, "PUT", "/v1/rollouts/"+second.ID+"/place", `{"place":1}`), 200)
	wantProblem(t, ask(s, "PUT", "/v1/rollouts/"+second.ID+"/place", `{"place":0}`), 422, "place")
	wantProblem(t, ask(s, "GET", "/v1/services/none/queue", ""), 404, "there is no service")
}

// GET with wait answers as soon as there is news.
func TestLookWaits(t *testing.T) {
	s, k := newRolloutServer(t, Options{})
	r := want[api.Rollout](t, ask(s, "POST", "/v1/services/web/rollouts", startBody), 201)
	answers := make(chan answer, 1)
	go func() { answers <- ask(s, "GET", fmt.Sprintf("/v1/rollouts/%s?wait=30s&after=%d", r.ID, r.Seq), "") }()
	move(t, k, r.ID, state.PhaseProbing, 0)
	if now := want[api.Rollout](t, <-answers, 200); now.Phase != state.PhaseProbing || now.Seq <= r.Seq {
		t.Errorf("%+v", now)
	}
	// Without news it answers when the time is over.
	seq := k.State().Rollouts[r.ID].Seq
	if now := want[api.Rollout](t, ask(s, "GET", fmt.Sprintf("/v1/rollouts/%s?wait=1ms&after=%d", r.ID, seq), ""), 200); now.Seq != seq {
		t.Errorf("%+v", now)
	}
	wantProblem(t, ask(s, "GET", "/v1/rollouts/"+r.ID+"?wait=31s", ""), 422, "at most 30s")
	s.Close() // nobody waits for a server that stops
	want[api.Rollout](t, ask(s, "GET", fmt.Sprintf("/v1/rollouts/%s?wait=30s&after=%d", r.ID, seq), ""), 200)
}

// lines starts a rollout over a real connection and returns the answer's body.
func startWaiting(t *testing.T, s *Server, accept string) io.ReadCloser {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "POST", srv.URL+"/v1/services/web/rollouts?wait=1h", strings.NewReader(startBody))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close(); http.DefaultClient.CloseIdleConnections() })
	if res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	return res.Body
}

// onlyRollout returns the ID of the rollout there is.
func onlyRollout(t *testing.T, k *state.Keeper) string {
	t.Helper()
	for id := range k.State().Rollouts {
		return id
	}
	t.Fatal("there is no rollout")
	return ""
}

// One call of curl sees a rollout through; its last line tells how it ended.
func TestStartAndWait(t *testing.T) {
	s, k := newRolloutServer(t, Options{})
	body := startWaiting(t, s, "*/*")
	id := onlyRollout(t, k)
	move(t, k, id, state.PhaseProbing, 0)
	move(t, k, id, state.PhaseShifting, 1)
	if _, err := k.Do(t.Context(), state.Rollback{Service: "web", Rollout: id, Evidence: []state.Evidence{{Service: "web", LogR: 5, CandidateBad: 7, CandidateRequests: 100}}},
		state.Meta{By: "judge", Why: "more errors", At: noon.Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if want := id + " started: web v3, policy ours, by local"; lines[0] != want {
		t.Errorf("begins with %q, want %q", lines[0], want)
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, id+" rolled_back: web v3, after 1m0s: more errors") {
		t.Errorf("ends with %q", last)
	}
	for _, part := range []string{
		"2026-11-22T12:00:00Z  web v3: probing (stage 1 of 3), by judge: so it goes\n",
		"web v3: shifting, 5% of new sessions (stage 2 of 3), by judge: so it goes\n",
		"2026-11-22T12:01:00Z  web v3: rolled back, by judge: more errors\n    web: 7 of 100 requests bad on the candidate",
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// As JSON the answer is the rollout at its end, kept alive by white space.
func TestStartAndWaitForJSON(t *testing.T) {
	s, k := newRolloutServer(t, Options{Heartbeat: time.Millisecond})
	body := startWaiting(t, s, "application/json")
	first := make([]byte, 1)
	if _, err := io.ReadFull(body, first); err != nil || first[0] != '\n' {
		t.Fatalf("%q, %v", first, err)
	}
	id := onlyRollout(t, k)
	if _, err := k.Do(t.Context(), state.SteerRollout{ID: id, Action: state.ActionAbort}, state.Meta{By: "alice", At: noon}); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if r := want[api.Rollout](t, answer{status: 200, body: string(text)}, 200); r.ID != id || r.Phase != state.PhaseAborted {
		t.Errorf("%+v", r)
	}
}

// While nothing happens there is a line now and then; who stops, says so.
func TestProgressBeats(t *testing.T) {
	s, k := newRolloutServer(t, Options{Heartbeat: time.Millisecond, Rollouts: &fakeRollouts{
		evidence: []state.Evidence{{Service: "web", Text: "too early to tell"}}}})
	body := startWaiting(t, s, "text/plain")
	id := onlyRollout(t, k)
	var seen strings.Builder
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), "queued\n    web: 0 of 0 requests bad on the candidate, 0 of 0 on the baseline; e-value 1 against no harm\n    web: too early to tell\n") {
		n, err := body.Read(buf)
		if err != nil {
			t.Fatalf("%v after %s", err, &seen)
		}
		seen.Write(buf[:n])
	}
	s.Close()
	rest, err := io.ReadAll(body)
	if err != nil || !strings.HasSuffix(string(rest), id+" waiting: this process stops, and the rollout goes on: ask again\n") {
		t.Errorf("%v, %s", err, rest)
	}
	a := ask(s, "GET", "/v1/rollouts/"+id+"/progress", "")
	wantProblem(t, a, 503, "the server is stopping")
}

// The wait may be over before the rollout is.
func TestProgressEndsInTime(t *testing.T) {
	s, k := newRolloutServer(t, Options{})
	want[api.Rollout](t, ask(s, "POST", "/v1/services/web/rollouts", startBody), 201)
	id := onlyRollout(t, k)
	a := ask(s, "GET", "/v1/rollouts/"+id+"/progress?wait=1ms", "")
	if a.status != 200 || a.body != id+" found: web v3, policy ours, by local\n"+id+" waiting: web v3 is not over yet: queued\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
}
