package client

import (
	"context"
	"encoding/pem"
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

	"sluice/admin"
	"sluice/admin/api"
	"sluice/state"
	"sluice/state/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newAPI returns a server over a real keeper with web: v1 100, v2 dark.
func newAPI(t *testing.T, opts admin.Options) *admin.Server {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	keeper, err := state.NewKeeper(t.Context(), store, state.KeeperOptions{})
	if err != nil {
		t.Fatal(err)
	}
	declare := state.Declare{Services: map[string]state.DeclaredService{"web": {Versions: map[string]state.DeclaredVersion{
		"v1": {Spec: state.Spec{Endpoints: []string{"127.0.0.1:9001"}}, Weight: 100},
		"v2": {Spec: state.Spec{Endpoints: []string{"127.0.0.1:9002"}}},
	}}}}
	if _, err := keeper.Do(t.Context(), declare, state.Meta{By: "file"}); err != nil {
		t.Fatal(err)
	}
	opts.Control = keeper
	s, err := admin.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// dial returns a client of a handler behind a real socket.
func dial(t *testing.T, h http.Handler, token string) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(Config{Base: srv.URL, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// must returns what a call answered.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestEveryCall(t *testing.T) {
	c := dial(t, newAPI(t, admin.Options{
		Explain: func(r admin.ExplainRequest) (api.Explanation, error) {
			return api.Explanation{Service: "web", Version: "v1", Reason: "split " + r.Header.Get("X-Tenant")}, nil
		},
		SignToken: func(subject string, _ map[string]string, _ time.Time) (string, error) { return "t-" + subject, nil },
		Ready:     func() api.Readiness { return api.Readiness{Durable: true, Down: []string{"web"}} },
		Metrics:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "sluice_up 1\n") }),
		Diff:      func() (api.Diff, error) { return api.Diff{Same: true}, nil },
		Reload:    func(context.Context) error { return nil },
	}), "")
	ctx := t.Context()
	web := must(c.Service(ctx, "web"))(t)
	if len(web.Versions) != 2 || web.Versions[0].Weight != 100 {
		t.Errorf("%+v", web)
	}
	ch := must(c.SetWeights(ctx, "web", api.Weights{Weights: map[string]int{"v1": 95, "v2": 5}, Pins: "keep", Reason: "try"}, web.Revision))(t)
	if ch.After["v2"] != 5 || !ch.Durable || ch.Pins != "keep" {
		t.Errorf("%+v", ch)
	}
	if ch := must(c.Rollback(ctx, "web", api.Rollback{}))(t); ch.After["v1"] != 100 {
		t.Errorf("%+v", ch)
	}
	spec := api.VersionSpec{Endpoints: []string{"127.0.0.1:9003"}, Shape: &state.Shape{Writes: "1", Reads: []string{"1"}}}
	if ch := must(c.PutVersion(ctx, "web", "v3", spec))(t); !ch.Changed {
		t.Errorf("%+v", ch)
	}
	must(c.Drain(ctx, "web", "v3", api.Drain{On: true, For: api.Duration(time.Minute)}))(t)
	if v3 := must(c.Service(ctx, "web"))(t).Versions[2]; v3.Mode != state.Draining || v3.Shape.Writes != "1" {
		t.Errorf("%+v", v3)
	}
	must(c.Drain(ctx, "web", "v3", api.Drain{}))(t)
	must(c.RemoveVersion(ctx, "web", "v3", "gone"))(t)
	must(c.VoidPins(ctx, "web", api.VoidPins{Version: "v1"}))(t)
	if h := must(c.History(ctx, "web"))(t); len(h.Flips) < 2 || h.Flips[0].Kind != "rollback" {
		t.Errorf("%+v", h)
	}
	a := must(c.Audit(ctx, "web", 0, 2))(t)
	if len(a.Events) != 2 || a.Next == 0 || a.Events[1].Why != "gone" {
		t.Errorf("%+v", a)
	}
	if older := must(c.Audit(ctx, "web", a.Next, 0))(t); len(older.Events) < 3 || older.Events[0].Revision >= a.Next {
		t.Errorf("%+v", older)
	}
	if s := must(c.Services(ctx))(t); len(s.Services) != 1 {
		t.Errorf("%+v", s)
	}
	if e := must(c.Explain(ctx, api.ExplainRequest{URL: "https://a/", Headers: map[string]string{"X-Tenant": "acme"}}))(t); e.Reason != "split acme" {
		t.Errorf("%+v", e)
	}
	if tok := must(c.SignToken(ctx, api.TokenRequest{Overrides: map[string]string{"web": "v2"}, TTL: api.Duration(time.Hour)}))(t); tok.Token != "t-local" {
		t.Errorf("%+v", tok)
	}
	must(c.Stats(ctx))(t)
	if d := must(c.Diff(ctx))(t); !d.Same {
		t.Errorf("%+v", d)
	}
	must(c.Reload(ctx))(t)
	if r := must(c.Ready(ctx))(t); r.Ready || len(r.Down) != 1 { // 503 is an answer
		t.Errorf("%+v", r)
	}
	if err := c.Health(ctx); err != nil {
		t.Error(err)
	}
	if m := must(c.Metrics(ctx))(t); string(m) != "sluice_up 1\n" {
		t.Errorf("%s", m)
	}
	if doc := must(c.OpenAPI(ctx))(t); !strings.Contains(string(doc), `"3.1`) {
		t.Errorf("%.100s", doc)
	}
}

func TestProblemsComeTyped(t *testing.T) {
	c := dial(t, newAPI(t, admin.Options{}), "")
	_, err := c.Service(t.Context(), "a/b?c")
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != 404 || p.Service != "a/b?c" || !strings.Contains(err.Error(), "web") {
		t.Errorf("%v", err)
	}
	_, err = c.SetWeights(t.Context(), "web", api.Weights{Weights: map[string]int{"v1": 1}}, 99)
	if !errors.As(err, &p) || p.Status != 412 {
		t.Errorf("%v", err)
	}
}

func TestTokenIsSent(t *testing.T) {
	token, line, err := admin.GenerateToken(admin.Identity{Name: "ci", Role: admin.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := admin.OpenTokens(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newAPI(t, admin.Options{Tokens: tokens})
	must(dial(t, s, token).Services(t.Context()))(t)
	var p *api.Problem
	if _, err := dial(t, s, "").Services(t.Context()); !errors.As(err, &p) || p.Status != 401 {
		t.Errorf("%v", err)
	}
	if _, err := New(Config{Token: "a\nb"}); err == nil || strings.Contains(err.Error(), "a\n") {
		t.Errorf("%v", err)
	}
}

func TestOtherServers(t *testing.T) {
	followed := false
	for name, h := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"another problem": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(502)
		},
		"a bad problem": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", api.ProblemType)
			w.WriteHeader(500)
			io.WriteString(w, "{")
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				followed = true
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		},
	} {
		var u *Unreachable
		if _, err := dial(t, h, "secret").Services(t.Context()); !errors.As(err, &u) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

func TestUnreachable(t *testing.T) {
	srv := httptest.NewServer(nil)
	base := srv.URL
	srv.Close()
	c, err := New(Config{Base: strings.TrimPrefix(base, "http://") + "/"})
	if err != nil {
		t.Fatal(err)
	}
	var u *Unreachable
	if _, err := c.Services(t.Context()); !errors.As(err, &u) || !strings.Contains(err.Error(), "the admin API at "+base) {
		t.Errorf("%v", err)
	}
	hang := make(chan struct{})
	slow := dial(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }), "")
	slow.timeout = time.Millisecond
	if _, err := slow.Services(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(hang)
	for _, bad := range []string{"ftp://a", "http://", "http://a/b", "http://a?b", "http://u:p@a", "a b"} {
		if _, err := New(Config{Base: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestCAFile(t *testing.T) {
	srv := httptest.NewTLSServer(newAPI(t, admin.Options{}))
	defer srv.Close()
	srv.Config.ErrorLog = nil
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Base: srv.URL, CAFile: path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must(c.Services(t.Context()))(t)
	if _, err := New(Config{CAFile: path + "x"}); err == nil {
		t.Error("a missing CA file is taken")
	}
	os.WriteFile(path, []byte("none"), 0o600)
	if _, err := New(Config{CAFile: path}); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("%v", err)
	}
}

func TestEvents(t *testing.T) {
	s := newAPI(t, admin.Options{})
	c := dial(t, s, "")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// The message may come before or after the stream is open, so it is sent
	// until it is seen.
	go func() {
		for ctx.Err() == nil {
			s.PublishHealth(api.HealthEvent{Service: "web", Kind: "down"})
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	var last string
	for m, err := range c.Events(ctx, "web", "") {
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind != api.KindHealth || m.ID == "" || !strings.Contains(string(m.Data), `"down"`) {
			t.Errorf("%+v", m)
		}
		last = m.ID
		break
	}
	n := 0
	for m, err := range c.Events(ctx, "", last) {
		if n++; n == 3 {
			cancel() // the stream ends with the caller's error
		}
		if err != nil {
			if n < 3 || !errors.Is(err, context.Canceled) {
				t.Errorf("after %d: %v", n, err)
			}
			break
		}
		if m.ID == last {
			t.Error("a message came twice")
		}
	}
	s.Close()
	var p *api.Problem
	for _, err := range c.Events(t.Context(), "", "") {
		if !errors.As(err, &p) || p.Status != 503 {
			t.Errorf("%v", err)
		}
	}
}

func TestReadEvents(t *testing.T) {
	var got []string
	err := readEvents(strings.NewReader(": hi\n\nid: 1\nevent: a\ndata: x\ndata:y\n\nevent: none\n\ndata: z\r\n\r\ndata: cut"), func(m api.Message) bool {
		got = append(got, m.ID+"|"+m.Kind+"|"+string(m.Data))
		return true
	})
	if !errors.Is(err, io.EOF) || len(got) != 2 || got[0] != "1|a|x\ny" || got[1] != "||z" {
		t.Errorf("%q %v", got, err)
	}
	if err := readEvents(strings.NewReader("data: "+strings.Repeat("x", maxLine)), nil); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}
