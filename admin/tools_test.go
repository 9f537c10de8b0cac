package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// signer stands for the signing of override tokens.
func signer(subject string, overrides map[string]string, expires time.Time) (string, error) {
	return fmt.Sprintf("%s|%v|%s", subject, overrides, expires.Format(time.RFC3339)), nil
}

func TestExplain(t *testing.T) {
	var got ExplainRequest
	s := newServer(t, Options{Explain: func(r ExplainRequest) (api.Explanation, error) {
		got = r
		return api.Explanation{Service: "web", Version: "v1", Reason: "split", Steps: []api.ExplainStep{{Step: "route", Text: "web"}}}, nil
	}})
	e := want[api.Explanation](t, ask(s, "POST", "/v1/explain",
		`{"method":"POST","url":"https://shop.example.com:8443/a%2Fb?x=1&y","headers":{"x-tenant":"acme","Cookie":"a=b"},"client":"203.0.113.7","trusted":true}`), 200)
	if e.Version != "v1" || len(e.Steps) != 1 {
		t.Errorf("%+v", e)
	}
	if got.Method != "POST" || !got.TLS || got.Host != "shop.example.com:8443" || got.Path != "/a%2Fb" || got.Query != "x=1&y" ||
		got.Header.Get("X-Tenant") != "acme" || got.Client.String() != "203.0.113.7" || !got.Trusted {
		t.Errorf("%+v", got)
	}
	want[api.Explanation](t, ask(s, "POST", "/v1/explain", `{"url":"http://a"}`), 200)
	if got.Method != "GET" || got.TLS || got.Path != "/" || got.Client.IsValid() {
		t.Errorf("%+v", got)
	}
	for body, field := range map[string]string{
		`{"url":"/cart"}`:                                 "url",
		`{"url":"ftp://a/"}`:                              "url",
		`{"url":"http://a/%zz"}`:                          "url",
		`{"url":"http://a/","method":"GET /"}`:            "method",
		`{"url":"http://a/","headers":{"a b":"c"}}`:       "headers",
		`{"url":"http://a/","headers":{"a":"b\r\nc: d"}}`: "headers",
		`{"url":"http://a/","client":"shop"}`:             "client",
	} {
		if p := wantProblem(t, ask(s, "POST", "/v1/explain", body), 422); p.Field != field {
			t.Errorf("%s: %+v", body, p)
		}
	}
}

func TestSignToken(t *testing.T) {
	s := newServer(t, Options{SignToken: signer})
	a := want[api.SignedToken](t, ask(s, "POST", "/v1/tokens", `{"overrides":{"web":"v2"},"ttl":"90m","subject":"ann"}`), 200)
	if a.Token != "ann|map[web:v2]|2026-11-22T13:30:00Z" || a.Subject != "ann" || !a.Expires.Equal(noon.Add(90*time.Minute)) {
		t.Errorf("%+v", a)
	}
	a = want[api.SignedToken](t, ask(s, "POST", "/v1/tokens", `{"overrides":{"web":"v2"}}`), 200)
	if a.Subject != "local" || !a.Expires.Equal(noon.Add(8*time.Hour)) {
		t.Errorf("%+v", a)
	}
	cases := []struct {
		body   string
		status int
		text   string
	}{
		{`{"overrides":{}}`, 422, "name a service"},
		{`{"overrides":{"shop":"v2"}}`, 404, "known services: api, web"},
		{`{"overrides":{"web":"v5"}}`, 404, "known versions: v1, v2"},
		{`{"overrides":{"web":"v2"},"ttl":"721h"}`, 422, "between 1s and 720h0m0s"},
		{`{"overrides":{"web":"v2"},"ttl":"-1h"}`, 422, "can't be good"},
		{`{"overrides":{"web":"v2"},"ttl":"1ms"}`, 422, "can't be good"},
		{`{"overrides":{"web":"v2"},"ttl":"long"}`, 422, "no duration"},
		{`{"overrides":{"web":"v2"},"subject":"a\nb"}`, 422, "control characters"},
	}
	for _, c := range cases {
		wantProblem(t, ask(s, "POST", "/v1/tokens", c.body), c.status, c.text)
	}
}

func TestDiffAndReload(t *testing.T) {
	keeper := newKeeper(t)
	var err error
	s := newServer(t, Options{
		Control: keeper,
		Diff:    func() (api.Diff, error) { return api.Diff{Same: true}, err },
		Reload: func(ctx context.Context) error {
			if err != nil {
				return err
			}
			_, err := keeper.Do(ctx, state.VoidPins{Service: "web", Version: "v1"}, state.Meta{By: "file"})
			return err
		},
	})
	if a := ask(s, "GET", "/v1/diff", ""); a.status != 200 || !strings.Contains(a.body, `"differences":[]`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if r := want[api.Reloaded](t, ask(s, "POST", "/v1/reload", ""), 200); !r.Changed || r.Revision != keeper.State().Revision {
		t.Errorf("%+v", r)
	}
	err = errors.Join(errors.New("line 3: unknown key"), errors.New("line 9: no endpoint"))
	if p := wantProblem(t, ask(s, "POST", "/v1/reload", ""), 422, "line 3", "the one before stays"); len(p.Errors) != 2 {
		t.Errorf("%+v", p)
	}
	wantProblem(t, ask(s, "GET", "/v1/diff", ""), 422, "line 9")
	err = fmt.Errorf("declare: %w", &state.Refusal{Reason: state.ErrRefused, Message: "v1 is live"})
	wantProblem(t, ask(s, "POST", "/v1/reload", ""), 409, "v1 is live")
	err = fmt.Errorf("%w: %w", state.ErrStore, errDisk)
	wantProblem(t, ask(s, "POST", "/v1/reload", ""), 503, "no space left")
}

func TestWhatAnInstanceLacks(t *testing.T) {
	s := newServer(t, Options{})
	wantProblem(t, ask(s, "POST", "/v1/explain", `{"url":"http://a/"}`), 501)
	wantProblem(t, ask(s, "POST", "/v1/tokens", `{"overrides":{"web":"v2"}}`), 501, "override.keys")
	wantProblem(t, ask(s, "GET", "/v1/diff", ""), 501)
	wantProblem(t, ask(s, "POST", "/v1/reload", ""), 501)
	wantProblem(t, ask(s, "GET", "/metrics", ""), 501)
	if _, err := New(Options{}); err == nil {
		t.Error("a server without a state is made")
	}
}

func TestMetricsAndHealth(t *testing.T) {
	s := newServer(t, Options{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("sluice_up 1\n")) })})
	if a := ask(s, "GET", "/metrics", ""); a.status != 200 || a.body != "sluice_up 1\n" {
		t.Errorf("%+v", a)
	}
	if a := ask(s, "GET", "/healthz", ""); a.status != 200 || a.body != "ok\n" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v", a)
	}
}

func TestAPanicIsAnAbortedAnswer(t *testing.T) {
	s := newServer(t, Options{Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") })})
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
	}()
	ask(s, "GET", "/metrics", "")
}
