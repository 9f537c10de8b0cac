package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
)

// What explain says is what happens.
func TestExplainAgreesWithWhatHappens(t *testing.T) {
	s := run(t, keys, "routes: [{hosts: [web.test], service: web}]", web(t, 100, 0, "expose: true", "rules:",
		`  - {name: staff, match: {header: {X-Staff: "yes"}}, version: dark, dark: true}`))
	c := stranger(t)
	pin := c.get(s.url("", "/"), "Host: web.test").header.Get("Set-Cookie")
	pin, _, _ = strings.Cut(pin, ";")
	s.flip("web", "drain", all("v2"))
	token := s.token(time.Hour)
	for _, fields := range [][]string{
		{},
		{"Cookie: " + pin},
		{"Cookie: sluice_web=1.00000000000000ab.v9"},
		{"X-Staff: yes"},
		{"Sluice-Token: " + token},
		{"Sluice-Token: " + token + "x"},
		{"Sluice-Override: web=dark"},
	} {
		happened := c.get(s.url("", "/"), append(fields, "Host: web.test")...)
		headers := map[string]string{}
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			headers[name] = value
		}
		e, err := s.admin.Explain(t.Context(), api.ExplainRequest{URL: "http://web.test/", Headers: headers, Client: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		if e.Version != happened.body || e.Reason != happened.header.Get("Sluice-Reason") || e.Revision != s.keeper.State().Revision {
			t.Errorf("%v: explained %s for %s at %d, happened %s for %s", fields, e.Version, e.Reason, e.Revision, happened.body, happened.header.Get("Sluice-Reason"))
		}
	}
	e, err := s.admin.Explain(t.Context(), api.ExplainRequest{URL: "http://elsewhere.test/"})
	if err != nil || e.Status != http.StatusNotFound || e.Reason != "no_route" {
		t.Errorf("no route: %+v, %v", e, err)
	}
	e, err = s.admin.Explain(t.Context(), api.ExplainRequest{URL: "http://web.test/?sluice-token=" + token})
	if err != nil || e.Status != http.StatusFound || e.Reason != "override" {
		t.Errorf("a token in the query: %+v, %v", e, err)
	}
	if got := c.get(s.url("", "/"), "Host: elsewhere.test").status; got != http.StatusNotFound {
		t.Errorf("no route: %d", got)
	}
}

func TestExplainKnowsHealth(t *testing.T) {
	s := run(t, `services:
  web:
    versions:
      v1: {endpoints: ["`+dead(t)+`"], weight: 1}
    health: {interval: 10ms, fall: 1}
`)
	await(t, "the fall of v1", func() bool {
		e, err := s.admin.Explain(t.Context(), api.ExplainRequest{URL: "http://web.test/"})
		return err == nil && e.Status == http.StatusServiceUnavailable && e.Failed == "v1"
	})
	if got := stranger(t).get(s.url("", "/")).status; got != http.StatusServiceUnavailable {
		t.Errorf("got %d", got)
	}
	ready, err := s.admin.Ready(t.Context())
	if err != nil || !ready.Ready || strings.Join(ready.Down, " ") != "web" {
		t.Errorf("readiness %+v, %v", ready, err)
	}
}

func TestTokensNeedAKeyWhichAReloadMayBring(t *testing.T) {
	services := web(t, 100, 0)
	s := run(t, services)
	request := api.TokenRequest{Overrides: map[string]string{"web": "dark"}}
	_, err := s.admin.SignToken(t.Context(), request)
	refused(t, err, http.StatusNotImplemented, "add one to override.keys")
	rewrite(t, s.path, plainListener, "state: {backend: memory}", keys, services)
	s.reload()
	signed, err := s.admin.SignToken(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	stranger(t).get(s.url("", "/"), "Sluice-Token: "+signed.Token).served(t, "dark")
	rewrite(t, s.path, plainListener, "state: {backend: memory}", services)
	s.reload()
	stranger(t).get(s.url("", "/"), "Sluice-Token: "+signed.Token).served(t, "v1")
}

func TestDiffShowsWhereFileAndStatePart(t *testing.T) {
	services := web(t, 100, 0)
	s := run(t, services)
	diff := func() string {
		t.Helper()
		d, err := s.admin.Diff(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, x := range d.Differences {
			lines = append(lines, strings.Trim(x.Service+"/"+x.Version, "/")+" "+x.Field+": file "+x.File+", state "+x.State)
		}
		if d.Same != (len(lines) == 0) {
			t.Errorf("same is %v with %q", d.Same, lines)
		}
		return strings.Join(lines, "\n")
	}
	if got := diff(); got != "" {
		t.Errorf("at the start: %s", got)
	}
	s.flip("web", "move", map[string]int{"v1": 60, "v2": 40})
	if _, err := s.admin.PutVersion(t.Context(), "web", "v3", api.VersionSpec{Endpoints: []string{"127.0.0.1:1"}}); err != nil {
		t.Fatal(err)
	}
	// A file that is not in force yet is compared as it is on the disk.
	rewrite(t, s.path, plainListener, "state: {backend: memory}", strings.Replace(services, "dark: {endpoints: [", `dark: {shape: {writes: "2", reads: ["2"]}, tags: {commit: a}, endpoints: ["127.0.0.1:2", `, 1),
		`  api: {versions: {v1: {endpoints: ["127.0.0.1:1"], weight: 1}}}`, "routes: [{service: web}]")
	want := `api service: file present, state absent
web/dark endpoints: file [127.0.0.1:2 `
	if got := diff(); !strings.HasPrefix(got, want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	got := diff()
	for _, line := range []string{
		"web/v1 weight: file 100, state 60", "web/v2 weight: file 0, state 40", "web/v3 version: file absent, state present, weight 0",
		"web/dark shape: file writes 2, reads 2, state none", "web/dark tags: file commit=a, state none",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("%s lacks %s", got, line)
		}
	}
	rewrite(t, s.path, "services: {}")
	_, err := s.admin.Diff(t.Context())
	refused(t, err, 422, "services")
}
