package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/admin/api"
	"sluice/state"
	"sluice/state/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time in all tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newKeeper returns a real keeper over a memory store with the service web: v1
// has all the weight, v2 is dark; and the service api with v7.
func newKeeper(t *testing.T) *state.Keeper {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	k, err := state.NewKeeper(t.Context(), store, state.KeeperOptions{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	spec := func(endpoint string) state.Spec {
		return state.Spec{Endpoints: []string{endpoint}, Tags: map[string]string{"commit": "3f2a9c1"}}
	}
	declare := state.Declare{Services: map[string]state.DeclaredService{
		"web": {Versions: map[string]state.DeclaredVersion{
			"v1": {Spec: spec("127.0.0.1:9001"), Weight: 100},
			"v2": {Spec: spec("127.0.0.1:9002")},
		}},
		"api": {Versions: map[string]state.DeclaredVersion{"v7": {Spec: spec("127.0.0.1:9007"), Weight: 1}}},
	}}
	if _, err := k.Do(t.Context(), declare, state.Meta{By: "file", At: noon}); err != nil {
		t.Fatal(err)
	}
	return k
}

// fakeControl answers commands as it is told.
type fakeControl struct {
	Control
	err     error
	result  func(state.Result) state.Result // changes a good answer; may be nil
	lastCmd state.Command
	meta    state.Meta
}

func (f *fakeControl) Do(ctx context.Context, cmd state.Command, meta state.Meta) (state.Result, error) {
	f.lastCmd, f.meta = cmd, meta
	if f.err != nil {
		return state.Result{}, f.err
	}
	r, err := f.Control.Do(ctx, cmd, meta)
	if f.result != nil && err == nil {
		r = f.result(r)
	}
	return r, err
}

func (f *fakeControl) Audit(ctx context.Context, service string, before uint64, limit int) ([]state.Event, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Control.Audit(ctx, service, before, limit)
}

// fakeLive has fixed numbers.
type fakeLive map[string]map[string]api.Numbers

func (f fakeLive) Numbers(service string) map[string]map[string]api.Numbers {
	if service == "" {
		return f
	}
	return fakeLive{service: f[service]}
}

func (f fakeLive) Totals() api.Totals { return api.Totals{NoRoute: 3} }

// newServer returns a server over opts; what is missing is filled in.
func newServer(t *testing.T, opts Options) *Server {
	t.Helper()
	if opts.Control == nil {
		opts.Control = newKeeper(t)
	}
	if opts.Now == nil {
		opts.Now = func() time.Time { return noon }
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends one request to a server as a caller on this machine. fields are
// header fields as "Name: value".
func ask(s http.Handler, method, target, body string, fields ...string) answer {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.Host = "127.0.0.1:9900"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// want fails the test unless the answer has a status, and returns its JSON.
func want[T any](t *testing.T, a answer, status int) T {
	t.Helper()
	var v T
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return v
}

// wantProblem is want for errors: it also checks their form.
func wantProblem(t *testing.T, a answer, status int, texts ...string) api.Problem {
	t.Helper()
	p := want[api.Problem](t, a, status)
	if ct := a.header.Get("Content-Type"); ct != api.ProblemType {
		t.Errorf("Content-Type %q", ct)
	}
	if p.Status != status || p.Title != http.StatusText(status) {
		t.Errorf("problem says %d %q", p.Status, p.Title)
	}
	for _, text := range texts {
		if !strings.Contains(p.Detail+"; "+p.Remedy, text) {
			t.Errorf("%q is not in %q; %q", text, p.Detail, p.Remedy)
		}
	}
	return p
}

// tokenFile writes a token for each role, named after it, and one deployer who
// is limited to web. It returns the file and the tokens by name.
func tokenFile(t *testing.T) (path string, tokens map[string]string) {
	t.Helper()
	tokens = map[string]string{}
	var lines []string
	grant := func(name string, role Role, services ...string) {
		token, line, err := GenerateToken(Identity{Name: name, Role: role, Services: services})
		if err != nil {
			t.Fatal(err)
		}
		tokens[name], lines = token, append(lines, line)
	}
	for r := Viewer; r <= Admin; r++ {
		grant(r.String(), r)
	}
	grant("web-ci", Deployer, "web")
	token, line, err := GenerateToken(Identity{Name: "bold", Role: Deployer, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	tokens["bold"], lines = token, append(lines, line)
	path = filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, tokens
}

var errDisk = errors.New("no space left on device")
