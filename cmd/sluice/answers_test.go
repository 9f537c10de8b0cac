package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
)

// call carries out a command line against a server that answers as h does.
func call(t *testing.T, ctx context.Context, h http.HandlerFunc, line string) (stdout, stderr string, status int) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append(strings.Fields(line), "--admin", srv.URL))
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		status = exitStatus(cmd, err)
		report(&errs, cmd, err, false)
	}
	return out.String(), errs.String(), status
}

// answer returns a handler that always answers the same.
func answer(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if status >= 400 {
			w.Header().Set("Content-Type", api.ProblemType)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

func TestNotDurable(t *testing.T) {
	const body = `{"service":"web","changed":true,"durable":false,"before":{"v1":0,"v2":1},"after":{"v1":1,"v2":0}%s}`
	for given, want := range map[string]string{
		"":                              "sluice: warning: in force, but not durable yet: a restart would undo it\n",
		`,"warning":"the disk is full"`: "sluice: warning: the disk is full\n",
	} {
		for _, line := range []string{"rollback web", "rollback web --json"} {
			stdout, stderr, status := call(t, t.Context(), answer(200, fmt.Sprintf(body, given)), line)
			if status != statusDone || stderr != want || !strings.Contains(stdout, "v1") {
				t.Errorf("%s: %d, %q, %q", line, status, stdout, stderr)
			}
		}
	}
}

func TestStatusWarns(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(503)
			fmt.Fprint(w, `{"ready":false,"durable":false,"pending":["rollback by alice: disk full"],"down":["web","api"],
				"tokens_error":"line 3","listeners":[{"name":"edge","error":"in use"},{"name":"ok"}]}`)
			return
		}
		fmt.Fprint(w, `{"services":[]}`)
	}
	_, stderr, status := call(t, t.Context(), h, "status")
	want := `sluice: warning: the last change of the token file was refused: line 3
sluice: warning: not durable yet, a restart would undo: rollback by alice: disk full
sluice: warning: no healthy endpoint: web, api
sluice: warning: listener edge does not accept: in use
`
	if status != statusDone || stderr != want {
		t.Errorf("%d, %s", status, stderr)
	}
	stdout, _, status := call(t, t.Context(), h, "health")
	if status != statusFailed || !strings.HasPrefix(stdout, "not ready\n  the last change of the token file") {
		t.Errorf("%d, %s", status, stdout)
	}
}

func TestExitStatuses(t *testing.T) {
	for name, c := range map[string]struct {
		h      http.HandlerFunc
		line   string
		status int
		stderr string
	}{
		"conflict": {answer(412, `{"status":412,"detail":"moved on"}`), "status", statusConflict, "sluice: moved on\n"},
		"refused": {answer(409, `{"status":409,"title":"Conflict","service":"web","field":"to","remedy":"name another"}`), "status", statusFailed,
			"sluice: Conflict\n  at:  service web, field to\n  fix: name another\n"},
		"several faults": {answer(422, `{"status":422,"detail":"the file: a","errors":[{"message":"a"},{"message":"b","location":"body.x"}]}`), "reload", statusFailed,
			"sluice: the file: a\n  - body.x: b\n"},
		"a page":    {answer(200, `<html>`), "status", statusUnreachable, "not that of an admin API"},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "status --timeout 20ms", statusUnreachable, "--timeout waits longer"},
		"health":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "health --timeout 20ms", statusFailed, "sluice: "},
	} {
		stdout, stderr, status := call(t, t.Context(), c.h, c.line)
		if status != c.status || stdout != "" || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: %d, %q, %q", name, status, stdout, stderr)
		}
	}
}

func TestExplain(t *testing.T) {
	for body, want := range map[string]string{
		`{"status":404,"reason":"no_route","revision":3,"steps":[{"step":"route","text":"no route matches"}]}`:                                                            "the proxy itself: 404 Not Found (no_route)\n  route  no route matches\npin: -; table of revision 3\n",
		`{"service":"web","version":"v1","failed":"v2","reason":"failover","pin":"none","steps":[{"step":"failover","decided":true,"text":"v2 has no usable endpoint"}]}`: "web v1; v2 was chosen but has no usable endpoint (failover)\n* failover  v2 has no usable endpoint\npin: none; table of revision 0\n",
	} {
		if stdout, stderr, status := call(t, t.Context(), answer(200, body), "explain GET http://a/"); status != statusDone || stdout != want {
			t.Errorf("%d, %q, %s", status, stdout, stderr)
		}
	}
}

func TestVersionsShowsNeeds(t *testing.T) {
	stdout, _, _ := call(t, t.Context(), answer(200, `{"name":"web","versions":[{"name":"v1","mode":"dark","origin":"api",
		"provides":["a","b"],"requires":{"api":["x","y"],"db":["z"]},"capacity":500}]}`), "versions web")
	const want = "v1       dark  0       api   -          -      a b       api:x api:y db:z  500/s     -\n"
	if !strings.HasSuffix(stdout, want) {
		t.Errorf("%s, want %s", stdout, want)
	}
}

// TestShiftIsBound sees that a shift names the revision whose weights it read.
func TestShiftIsBound(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `{"name":"web","revision":12,"versions":[{"name":"v1","weight":100},{"name":"v2"}]}`)
		case r.Header.Get("If-Match") == `"12"`:
			answer(412, `{"status":412,"detail":"moved on"}`)(w, r)
		default:
			answer(500, `{"status":500}`)(w, r)
		}
	}
	if _, stderr, status := call(t, t.Context(), h, "shift web v2 5%"); status != statusConflict {
		t.Errorf("%d, %s", status, stderr)
	}
}

func TestWatchEnds(t *testing.T) {
	ctx, interrupt := context.WithTimeout(t.Context(), 30*time.Second)
	defer interrupt()
	h := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "id: 1\nevent: lost\ndata: {\"count\":2}\n\n")
		if r.URL.Query().Get("service") == "web" {
			w.(http.Flusher).Flush()
			interrupt()
			<-r.Context().Done()
		}
	}
	stdout, _, status := call(t, ctx, h, "watch")
	if status != statusUnreachable || stdout != "2 events were missed: see sluice status\n" {
		t.Errorf("%d, %q", status, stdout)
	}
	// Interrupted it ends well, whatever it has seen.
	if _, stderr, status := call(t, ctx, h, "watch web"); status != statusDone || stderr != "" {
		t.Errorf("%d, %q", status, stderr)
	}
}
