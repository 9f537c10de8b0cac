package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// the rollout of these tests.
var began = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// trial returns a rollout of web v42 with transitions through some phases, a
// minute each.
func trial(phases ...state.Phase) *api.Rollout {
	r := &api.Rollout{ID: "r17", Legs: []state.Leg{{Service: "web", Candidate: "v42", Baseline: "v41", Before: map[string]int{"v41": 100}}},
		Policy: api.RolloutPolicy{Name: "standard", Stages: []api.RolloutStage{
			{Kind: state.StageProbe}, {Kind: state.StageShift, Share: 0.05, Hold: api.Duration(time.Minute)},
			{Kind: state.StageBake, Hold: api.Duration(time.Hour), Gate: true}}},
		Phase: state.PhaseQueued, By: "ci", Why: "release", Created: began, Text: "queued"}
	for i, phase := range phases {
		m := api.RolloutMove{At: began.Add(time.Duration(i+1) * time.Minute), By: "judge", From: r.Phase, To: phase, Stage: min(i, 2), Why: "because"}
		if phase == state.PhaseShifting {
			m.Share = 0.05
		}
		r.Phase, r.Seq, r.Stage, r.Over = phase, uint64(i+1), m.Stage, phase.Over()
		r.Moves = append(r.Moves, m)
		if r.Over {
			r.Ended = m.At
		}
	}
	return r
}

// proxyOf answers with one rollout after another, each as news of the one before.
func proxyOf(rollouts ...*api.Rollout) http.HandlerFunc {
	var next atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		i := min(int(next.Add(1)-1), len(rollouts)-1)
		_ = json.NewEncoder(w).Encode(rollouts[i])
	}
}

// A start that waits tells each transition once, and exits by the outcome.
func TestRolloutOutcomes(t *testing.T) {
	for phase, want := range map[state.Phase]int{state.PhasePromoted: 0, state.PhaseRolledBack: 1, state.PhaseAborted: 2, state.PhaseSuperseded: 2} {
		h := proxyOf(trial(), trial(state.PhaseProbing), trial(state.PhaseProbing, state.PhaseShifting), trial(state.PhaseProbing, state.PhaseShifting, phase))
		stdout, stderr, status := call(t, t.Context(), h, "rollout start web v42 --wait")
		text := `r17 started: web v42, policy standard, by ci
2026-11-22T12:01:00Z  web v42: probing (stage 1 of 3), by judge: because
2026-11-22T12:02:00Z  web v42: shifting, 5% of new sessions (stage 2 of 3), by judge: because
2026-11-22T12:03:00Z  web v42: ` + strings.ReplaceAll(string(phase), "_", " ") + `, by judge: because
r17 ` + string(phase) + `: web v42, after 3m0s: because
`
		if status != want || stdout != text || stderr != "" {
			t.Errorf("%s: exit status %d, want %d\n%s\nwant\n%s\n%s", phase, status, want, stdout, text, stderr)
		}
	}
}

// Watching tells what was, too.
func TestRolloutWatch(t *testing.T) {
	stdout, _, status := call(t, t.Context(), proxyOf(trial(state.PhaseProbing, state.PhaseShifting, state.PhaseRolledBack)), "rollout watch r17 --json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var last struct{ Rollout api.Rollout }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || status != 1 || len(lines) != 4 || last.Rollout.ID != "r17" {
		t.Errorf("%d, %v, %s", status, err, stdout)
	}
}

// What keeps a rollout from starting exits with 3, whatever it is.
func TestRolloutNotStarted(t *testing.T) {
	for line, stderr := range map[string]string{
		"rollout start web v42 --wait":                               "shapes do not fit",
		"rollout start web v42":                                      "shapes do not fit",
		"rollout start web":                                          "write SERVICE VERSION",
		"rollout start":                                              "requires at least 1 arg",
		"rollout start web v42 --nonsense":                           "unknown flag",
		"rollout start web=v1 api=v2":                                "give it a name",
		"rollout start web=v1 api=v2 --set s --tag a=b":              "--tag web=a=b",
		"rollout start web v42 --timeout 0s":                         "above 0",
		"rollout start web v42 --capacity many":                      "200",
		"rollout start web v42 --shape a,,b":                         "WRITES",
		"rollout start web v42 --output yaml":                        "text or json",
		"rollout watch r17 --timeout -1s":                            "above 0",
		"rollout watch r17":                                          "shapes do not fit",
		"rollout start web v42 --endpoint a:1 --tag nonsense --wait": "no tag",
	} {
		_, got, status := call(t, t.Context(), answer(409, `{"status":409,"detail":"shapes do not fit"}`), line)
		if status != statusNotStarted || !strings.Contains(got, stderr) {
			t.Errorf("%s: exit status %d, %s", line, status, got)
		}
	}
	if status := run([]string{"rollout", "start", "web", "v42", "--admin", "http://127.0.0.1:1"}); status != statusNotStarted {
		t.Errorf("exit status %d", status)
	}
	if status := run([]string{"rollout", "pause"}); status != statusUsage {
		t.Errorf("exit status %d", status)
	}
}

// The end of the patience is no end of the rollout.
func TestRolloutTimeout(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			<-r.Context().Done()
			return
		}
		proxyOf(trial())(w, r)
	}
	_, stderr, status := call(t, t.Context(), h, "rollout start web v42 --wait --timeout 50ms")
	if want := "sluice: the time is over, and it is queued; rollout r17 goes on\n  fix: sluice rollout watch r17 goes on with it, sluice rollout abort r17 ends it\n"; status != statusWaiting || stderr != want {
		t.Errorf("%d, %s", status, stderr)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	stop := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			interrupt()
		}
		h(w, r)
	}
	_, stderr, status = call(t, ctx, stop, "rollout start web v42 --wait")
	if status != statusWaiting || !strings.Contains(stderr, "interrupted while queued; rollout r17 goes on") {
		t.Errorf("%d, %s", status, stderr)
	}
}

// A proxy that restarts, or hands over, is waited for: a start is repeated, and a
// question too.
func TestRolloutReconnects(t *testing.T) {
	var calls atomic.Int64
	h := func(w http.ResponseWriter, r *http.Request) {
		switch calls.Add(1) {
		case 1:
			answer(503, `{"status":503,"detail":"the store is handed over"}`)(w, r)
		case 2:
			proxyOf(trial(state.PhaseProbing))(w, r)
		case 3:
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close() // in the middle of an answer
			}
		case 4:
			answer(502, `<html>bad gateway`)(w, r)
		case 5:
			answer(503, `{"status":503,"detail":"paused"}`)(w, r)
		default:
			proxyOf(trial(state.PhaseProbing, state.PhaseShifting, state.PhasePromoted))(w, r)
		}
	}
	stdout, stderr, status := call(t, t.Context(), h, "rollout start web v42 --wait")
	if status != 0 || strings.Count(stdout, "\n") != 5 || strings.Count(stderr, "the proxy does not answer, trying again") != 1 {
		t.Errorf("%d\n%s\n%s", status, stdout, stderr)
	}
}

// The arguments become the request.
func TestRolloutStartBody(t *testing.T) {
	var path string
	var body []byte
	h := func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		body, _ = io.ReadAll(r.Body)
		proxyOf(trial())(w, r)
	}
	stdout, _, status := call(t, t.Context(), h, "rollout start web v42 --endpoint a:1,b:2 --shape 12,11,12 --requires api:orders --provides x --tag commit=abc --capacity 200 --policy cautious --reason why --force")
	if status != 0 || path != "/v1/services/web/rollouts" || stdout != "r17 web v42: queued\n" {
		t.Errorf("%d %s %s", status, path, stdout)
	}
	var got api.RolloutStart
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := api.RolloutStart{
		Candidate: api.Candidate{Version: "v42", Endpoints: []string{"a:1", "b:2"}, Shape: &state.Shape{Writes: "12", Reads: []string{"11", "12"}},
			Provides: []string{"x"}, Requires: map[string][]string{"api": {"orders"}}, Tags: map[string]string{"commit": "abc"}, Capacity: 200},
		RolloutTerms: api.RolloutTerms{Policy: "cautious", Reason: "why", Force: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_, _, status = call(t, t.Context(), h, "rollout start web=v42 api=v8 --set shop --endpoint web=a:1 --endpoint api=b:2 --shape web=12 --tag api=commit=abc --capacity api=5")
	var set api.SetStart
	if err := json.Unmarshal(body, &set); err != nil || status != 0 || path != "/v1/rollouts" {
		t.Fatalf("%d %s %v", status, path, err)
	}
	wantSet := api.SetStart{Set: "shop", Legs: []api.LegStart{
		{Service: "web", Candidate: api.Candidate{Version: "v42", Endpoints: []string{"a:1"}, Shape: &state.Shape{Writes: "12", Reads: []string{"12"}}}},
		{Service: "api", Candidate: api.Candidate{Version: "v8", Endpoints: []string{"b:2"}, Tags: map[string]string{"commit": "abc"}, Capacity: 5}},
	}}
	if !reflect.DeepEqual(set, wantSet) {
		t.Errorf("got %+v, want %+v", set, wantSet)
	}
}

// A service stands for its rollout that is under way.
func TestRolloutByService(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /v1/services/web/queue":
			_ = json.NewEncoder(w).Encode(api.Queue{Service: "web", Active: trial(state.PhaseProbing)})
		case "GET /v1/services/api/queue":
			_ = json.NewEncoder(w).Encode(api.Queue{Service: "api", Waiting: []api.Rollout{*trial(), *trial()}})
		case "GET /v1/services/db/queue":
			_ = json.NewEncoder(w).Encode(api.Queue{Service: "db"})
		case "GET /v1/services/zip/rollouts":
			r := trial(state.PhaseProbing)
			r.Legs[0].Service = "zip"
			_ = json.NewEncoder(w).Encode(api.Rollouts{Rollouts: []api.Rollout{*trial(), *r}})
		case "GET /v1/services/db/rollouts":
			_ = json.NewEncoder(w).Encode(api.Rollouts{Rollouts: []api.Rollout{*trial(state.PhaseAborted)}})
		default:
			fmt.Fprintf(w, `{"id":"r17","text":%q}`, r.Method+" "+r.URL.Path)
		}
	}
	for line, want := range map[string]string{
		"rollout pause web": "POST /v1/rollouts/r17/pause", "rollout resume r17": "POST /v1/rollouts/r17/resume",
		"rollout promote web": "POST /v1/rollouts/r17/promote", "rollout abort web": "POST /v1/rollouts/r17/abort",
		"rollout queue move r17 2": "PUT /v1/rollouts/r17/place", "rollout show db": "GET /v1/rollouts/r17",
		"rollout abort zip=v42": "POST /v1/rollouts/r17/abort",
	} {
		if stdout, stderr, status := call(t, t.Context(), h, line); status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: %d, %s%s", line, status, stdout, stderr)
		}
	}
	for line, want := range map[string]string{"rollout abort api": "2 rollouts wait", "rollout abort db": "no rollout is under way",
		"rollout abort zip=v41": "there is no rollout of this version"} {
		if _, stderr, status := call(t, t.Context(), h, line); status != statusFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: %d, %s", line, status, stderr)
		}
	}
}

// The account of a rollout holds every number that decided.
func TestRolloutShow(t *testing.T) {
	soon := 3.0
	r := trial(state.PhaseProbing, state.PhaseShifting, state.PhaseRolledBack)
	r.Moves[2].Evidence = []state.Evidence{{
		Service: "web", At: began, Decision: "roll_back", Reason: "harm", Text: "v42 fails more sessions", LogR: 4.8828, Share: 0.05,
		CandidateSessions: 60, BaselineSessions: 1100, CandidateRequests: 600, BaselineRequests: 11000, CandidateBad: 31, BaselineBad: 55,
		ExcessPerMinute: 28, LogCeiling: -2, LogSessionShare: -1.5, MinutesToPromote: nil, MinutesToRollBack: &soon,
		Metrics: []state.MetricEvidence{{Name: "errors", LogHarm: 5.7991, LogSafe: -3, Margin: 4, Ratio: 10.5, Low: 6.2, High: 17.1, Events: 40, Candidate: 25, Bar: 1.06},
			{Name: "shift", LogHarm: 0.1, LogSafe: 1, Margin: 4}},
	}}
	stdout, _, status := call(t, t.Context(), proxyOf(r), "rollout show r17")
	for _, part := range []string{
		"rollout r17: web v42, rolled back\n",
		"  web: v42 against v41; weights before: v41=100\n",
		"  policy standard: probe, 5% for 1m, gate, bake for 1h\n",
		"web, what decided on rolled back at ", "roll_back (harm): v42 fails more sessions\n",
		`  e-value against "no harm": 132 (ln 4.883; the judge rolls back from 100 on, ln 4.605)`,
		"  candidate 60 sessions, 600 requests, 31 bad (5.2%); baseline 1100 sessions, 11000 requests, 55 bad (0.50%)\n",
		"  errors  40      25         10.5   6.2-17.1  330 (106%)  0.0498  4\n",
		"  shift   0       0          -      -         1.11 (0%)   2.72    4\n",
		"  to roll back: in about 3m; to promote: not at these rates\n",
	} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is not in\n%s", part, stdout)
		}
	}
	if status != 0 {
		t.Error(status)
	}
}

// Lists show where each stands.
func TestRolloutLists(t *testing.T) {
	list := func(w http.ResponseWriter, _ *http.Request) {
		set := trial(state.PhaseProbing, state.PhaseShifting)
		set.Set, set.Share, set.ID = "shop", 0.05, "r18"
		set.Legs = append(set.Legs, state.Leg{Service: "zip", Candidate: "v2"})
		_ = json.NewEncoder(w).Encode(api.Rollouts{Rollouts: []api.Rollout{*set, *trial(state.PhaseAborted)}})
	}
	stdout, _, status := call(t, t.Context(), list, "rollout status")
	if status != 0 || !strings.Contains(stdout, "r18      shop (web v42, zip v2)  shifting  2/3    5%     standard") ||
		!strings.Contains(stdout, "r17      web v42                 aborted   1/3    0%     standard") {
		t.Errorf("%d\n%s", status, stdout)
	}
	queue := func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.Queue{Service: "web", Active: trial(state.PhaseProbing), Waiting: []api.Rollout{*trial()}})
	}
	stdout, _, status = call(t, t.Context(), queue, "rollout queue web")
	if status != 0 || !strings.Contains(stdout, "now    r17      web v42  standard  ci  queued\n1      r17      web v42  standard  ci  queued\n") {
		t.Errorf("%d\n%s", status, stdout)
	}
}

// An order is answered with what became of it, or with where it stands if nothing
// does.
func TestRolloutSteerAwaitsItsOrder(t *testing.T) {
	ordered := trial(state.PhaseShifting)
	ordered.Order, ordered.Text = &state.Order{Action: state.ActionPause, By: "ann"}, "shifting; pause was ordered by ann"
	paused := trial(state.PhaseShifting, state.PhasePaused)
	paused.Text = "paused while shifting"
	var asked string
	h := func(then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_ = json.NewEncoder(w).Encode(ordered)
				return
			}
			asked = r.URL.RequestURI()
			then(w, r)
		}
	}
	for want, then := range map[string]http.HandlerFunc{
		"r17 web v42: paused while shifting\n":              proxyOf(paused),
		"r17 web v42: shifting; pause was ordered by ann\n": answer(503, `{"status":503,"detail":"the store is handed over"}`),
	} {
		if stdout, stderr, status := call(t, t.Context(), h(then), "rollout pause r17"); status != 0 || stdout != want || stderr != "" {
			t.Errorf("%d, %s%s; want %s", status, stdout, stderr, want)
		}
		if asked != "/v1/rollouts/r17?after=1&wait=3s" {
			t.Errorf("asked for %s", asked)
		}
	}
}
