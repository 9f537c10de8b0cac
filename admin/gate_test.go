package admin

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/admin/api"
)

func withTokens(t *testing.T, opts Options) (*Server, map[string]string) {
	t.Helper()
	path, tokens := tokenFile(t)
	var err error
	if opts.Tokens, err = OpenTokens(path, nil, nil); err != nil {
		t.Fatal(err)
	}
	return newServer(t, opts), tokens
}

func TestEveryRouteIsInTheTable(t *testing.T) {
	s := newServer(t, Options{})
	registered := slices.Sorted(slices.Values(s.routes.patterns))
	listed := slices.Sorted(maps.Keys(accessTable()))
	if !slices.Equal(registered, listed) {
		t.Errorf("registered:\n%s\nin the table:\n%s", strings.Join(registered, "\n"), strings.Join(listed, "\n"))
	}
}

// fill puts names into a pattern.
func fill(pattern string) (method, path string) {
	method, path, _ = strings.Cut(pattern, " ")
	path = strings.NewReplacer("{s}", "web", "{v}", "v9", "{$}", "", "{profile}", "heap").Replace(path)
	if path == "/debug/pprof/profile" || path == "/debug/pprof/trace" {
		path += "?seconds=0" // refused, but not for the caller's role
	}
	return method, path
}

func TestRolesByRoute(t *testing.T) {
	s, tokens := withTokens(t, Options{})
	s.Close() // so that the event stream answers and ends
	for pattern, least := range accessTable() {
		method, path := fill(pattern)
		if a := ask(s, method, path, ""); least == Public && a.status != 200 {
			t.Errorf("%s without a token: %d", pattern, a.status)
		} else if least > Public && (a.status != 401 || a.header.Get("WWW-Authenticate") == "") {
			t.Errorf("%s without a token: %d", pattern, a.status)
		}
		for r := Viewer; r <= Admin; r++ {
			a := ask(s, method, path, "", "Authorization: Bearer "+tokens[r.String()])
			if allowed := a.status != 401 && a.status != 403; allowed != (r >= least) {
				t.Errorf("%s as %s: %d", pattern, r, a.status)
			}
			if r < least {
				wantProblem(t, a, 403, "this needs at least "+least.String())
			}
		}
	}
}

func TestCredentials(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	s, tokens := withTokens(t, Options{Log: zap.New(core)})
	token := tokens["viewer"]
	for field, status := range map[string]int{
		"Authorization: Bearer " + token:                                200,
		"Authorization: bearer  " + token:                               200,
		"Authorization: Basic " + token:                                 401,
		"Authorization: " + token:                                       401,
		"Authorization: Bearer " + token + "x":                          401,
		"Authorization: Bearer " + token[:20]:                           401,
		"Authorization: Bearer":                                         401,
		"Authorization: Bearer " + strings.Repeat("x", 10_000):          401,
		"Authorization: Bearer " + strings.TrimPrefix(token, "sluice_"): 401,
		"X-Token: " + token:                                             401,
	} {
		a := ask(s, "GET", "/v1/services", "", field, "Host: sluice.example.com")
		if a.status != status {
			t.Errorf("%.60s: %d", field, a.status)
		}
		if strings.Contains(a.body, token[:20]) {
			t.Errorf("%.60s: the answer repeats the token", field)
		}
	}
	for _, line := range logs.All() {
		for _, f := range line.Context {
			if strings.Contains(f.String, token) {
				t.Errorf("the log holds the token: %s", line.Message)
			}
		}
	}
}

func TestATokenForOneServiceChangesOnlyThat(t *testing.T) {
	fake := &fakeControl{Control: newKeeper(t)}
	s, tokens := withTokens(t, Options{Control: fake, SignToken: signer})
	as := "Authorization: Bearer " + tokens["web-ci"]
	want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":9,"v2":1}}`, as), 200)
	if fake.meta.By != "web-ci" {
		t.Errorf("by %q", fake.meta.By)
	}
	wantProblem(t, ask(s, "PUT", "/v1/services/api/weights", `{"weights":{"v7":9}}`, as), 403, "may not change api", "its token is for web")
	want[api.Service](t, ask(s, "GET", "/v1/services/api", "", as), 200)
	want[api.SignedToken](t, ask(s, "POST", "/v1/tokens", `{"overrides":{"web":"v2"}}`, as), 200)
	wantProblem(t, ask(s, "POST", "/v1/tokens", `{"overrides":{"web":"v2","api":"v7"}}`, as), 403, "its token is for web")
}

func TestBrowsersCantBeTricked(t *testing.T) {
	s := newServer(t, Options{})
	const body = `{"weights":{"v1":1}}`
	cases := []struct {
		name, method, path, body string
		fields                   []string
		status                   int
	}{
		{"command line", "PUT", "/v1/services/web/weights", body, nil, 200},
		{"same origin", "PUT", "/v1/services/web/weights", body, []string{"Origin: http://127.0.0.1:9900", "Sec-Fetch-Site: same-origin"}, 200},
		{"old browser, same origin", "PUT", "/v1/services/web/weights", body, []string{"Origin: http://127.0.0.1:9900"}, 200},
		{"foreign origin", "PUT", "/v1/services/web/weights", body, []string{"Origin: https://evil.example"}, 403},
		{"null origin", "PUT", "/v1/services/web/weights", body, []string{"Origin: null"}, 403},
		{"other port", "PUT", "/v1/services/web/weights", body, []string{"Origin: http://127.0.0.1:8000"}, 403},
		{"cross-site", "PUT", "/v1/services/web/weights", body, []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"same site", "PUT", "/v1/services/web/weights", body, []string{"Sec-Fetch-Site: same-site"}, 403},
		{"bodyless form", "POST", "/v1/services/web/rollback", "", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"reload form", "POST", "/v1/reload", "", []string{"Origin: https://evil.example"}, 403},
		{"form type", "PUT", "/v1/services/web/weights", body, []string{"Content-Type: text/plain"}, 415},
		{"no type", "PUT", "/v1/services/web/weights", body, []string{"Content-Type: "}, 415},
		{"type with charset", "PUT", "/v1/services/web/weights", body, []string{"Content-Type: application/json; charset=utf-8"}, 200},
		{"rebound name", "GET", "/v1/services", "", []string{"Host: evil.example:9900"}, 403},
		{"rebound name, change", "PUT", "/v1/services/web/weights", body, []string{"Host: evil.example", "Origin: http://evil.example"}, 403},
		{"name that begins well", "GET", "/v1/services", "", []string{"Host: 127.0.0.1.evil.example"}, 403},
		{"localhost", "GET", "/v1/services", "", []string{"Host: localhost:9900"}, 200},
		{"v6", "GET", "/v1/services", "", []string{"Host: [::1]:9900"}, 200},
		{"no port", "GET", "/v1/services", "", []string{"Host: localhost"}, 200},
		{"foreign page reads", "GET", "/v1/services", "", []string{"Sec-Fetch-Site: cross-site"}, 200}, // it can't see the answer
		{"health by any name", "GET", "/healthz", "", []string{"Host: sluice.internal"}, 200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := ask(s, c.method, c.path, c.body, c.fields...)
			if a.status != c.status {
				t.Errorf("status %d, want %d: %s", a.status, c.status, a.body)
			}
			if a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("another origin may read the answer")
			}
		})
	}
}

func TestClientCertificates(t *testing.T) {
	verified := &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: "ci"}}}}}
	status := func(s *Server, state *tls.ConnectionState) int {
		r := httptest.NewRequest("GET", "/v1/services", nil)
		r.Host, r.TLS = "sluice.example.com", state
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	open := newServer(t, Options{})
	if got := status(open, verified); got != 200 {
		t.Errorf("with a certificate: %d", got)
	}
	if got := status(open, &tls.ConnectionState{}); got != 403 {
		t.Errorf("without: %d", got)
	}
	guarded, _ := withTokens(t, Options{})
	if got := status(guarded, verified); got != 401 {
		t.Errorf("a certificate where tokens decide: %d", got)
	}
}

func TestReadinessDetailsNeedARole(t *testing.T) {
	ready := func() api.Readiness { return api.Readiness{ConfigError: "line 3: no", Down: []string{"web"}} }
	s, tokens := withTokens(t, Options{Ready: ready})
	if a := ask(s, "GET", "/readyz", ""); a.status != 503 || a.body != "{\"ready\":false}\n" {
		t.Errorf("%d %s", a.status, a.body)
	}
	r := want[api.Readiness](t, ask(s, "GET", "/readyz", "", "Authorization: Bearer "+tokens["viewer"]), 503)
	if r.ConfigError == "" || len(r.Down) != 1 {
		t.Errorf("%+v", r)
	}
	if a := ask(newServer(t, Options{}), "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("%d", a.status)
	}
}

func TestCheckAddress(t *testing.T) {
	for address, alone := range map[string]bool{
		"127.0.0.1:9900": true, "127.9.9.9:1": true, "[::1]:9900": true, "localhost:9900": true, "[::ffff:127.0.0.1]:9900": true,
		":9900": false, "0.0.0.0:9900": false, "[::]:9900": false, "10.0.0.1:9900": false, "sluice.internal:9900": false,
		"localhost.evil.example:9900": false,
	} {
		if err := CheckAddress(address, false, false); (err == nil) != alone {
			t.Errorf("%s: %v", address, err)
		}
		if err := CheckAddress(address, true, false); err != nil {
			t.Errorf("%s with tokens: %v", address, err)
		}
		if err := CheckAddress(address, false, true); err != nil {
			t.Errorf("%s with client certificates: %v", address, err)
		}
	}
	if CheckAddress("127.0.0.1", true, true) == nil {
		t.Error("an address without a port passes")
	}
	if err := CheckAddress(":9900", false, false); !strings.Contains(err.Error(), "set admin.tokens_file, or admin.tls with a client_ca that is required, or listen on 127.0.0.1") {
		t.Error(err)
	}
}
