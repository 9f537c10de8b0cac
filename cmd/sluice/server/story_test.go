package server

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
)

func TestNewSessionsAreSplitByWeight(t *testing.T) {
	s := run(t, web(t, 90, 10))
	c := stranger(t)
	const n = 2000
	got := map[string]int{}
	for range n {
		got[c.get(s.url("", "/")).body]++
	}
	// Five standard deviations of a binomial: a false alarm in 1.7 million runs.
	const share = 0.1
	if off := math.Abs(float64(got["v2"]) - n*share); off > 5*math.Sqrt(n*share*(1-share)) || got["v1"]+got["v2"] != n {
		t.Errorf("of %d sessions at 90 to 10: %v", n, got)
	}
}

func TestPinnedSessionsStayAtAFlipThatDrains(t *testing.T) {
	s := run(t, web(t, 100, 0))
	c := stranger(t)
	old := c.browser()
	old.get(s.url("", "/")).served(t, "v1")
	s.flip("web", "drain:30m", all("v2"))
	old.get(s.url("", "/")).served(t, "v1")
	c.browser().get(s.url("", "/")).served(t, "v2")
	mode := map[string]string{}
	svc, err := s.admin.Service(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range svc.Versions {
		mode[v.Name] = string(v.Mode)
	}
	if fmt.Sprint(mode) != "map[dark:dark v1:draining v2:live]" {
		t.Errorf("got %v", mode)
	}
}

func TestPinnedSessionsMoveAtAFlipThatMoves(t *testing.T) {
	s := run(t, web(t, 100, 0))
	b := stranger(t).browser()
	b.get(s.url("", "/")).served(t, "v1")
	s.flip("web", "move", all("v2"))
	b.get(s.url("", "/")).served(t, "v2")
	b.get(s.url("", "/")).served(t, "v2")
}

func TestARollbackTakesNewAndPinnedSessionsAtOnce(t *testing.T) {
	s := run(t, web(t, 100, 0))
	c := stranger(t)
	s.flip("web", "", all("v2"))
	pinned := c.browser()
	pinned.get(s.url("", "/")).served(t, "v2")
	change, err := s.admin.Rollback(t.Context(), "web", api.Rollback{Reason: "errors"})
	if err != nil {
		t.Fatal(err)
	}
	c.get(s.url("", "/")).served(t, "v1")
	pinned.get(s.url("", "/")).served(t, "v1")
	if !change.Durable || change.After["v1"] != 100 || change.After["v2"] != 0 {
		t.Errorf("got %+v", change)
	}
}

// keys are two override keys; the first signs.
const keys = `override: {keys: [{id: k1, secret: "0123456789abcdef0123456789abcdef"}]}
`

// token signs a token for the dark version of web.
func (s *sluice) token(ttl time.Duration) string {
	s.t.Helper()
	signed, err := s.admin.SignToken(s.t.Context(), api.TokenRequest{Overrides: map[string]string{"web": "dark"}, TTL: api.Duration(ttl)})
	if err != nil {
		s.t.Fatal(err)
	}
	return signed.Token
}

func TestATesterReachesADarkVersionByToken(t *testing.T) {
	s := run(t, keys, web(t, 100, 0))
	c := stranger(t)
	token := s.token(time.Hour)

	a := c.get(s.url("", "/"), "Sluice-Token: "+token)
	a.served(t, "dark")
	if a.header.Get("Got-Sluice-Token") != "" || a.header.Get("Got-Sluice-Override") != "web=dark" {
		t.Errorf("the endpoint got %v", a.header)
	}
	a = c.get(s.url("", "/"), "Cookie: a=b; sluice_token="+token+"; c=d")
	a.served(t, "dark")
	if got := a.header.Get("Got-Cookie"); got != "a=b; c=d" {
		t.Errorf("the endpoint got the cookies %q", got)
	}

	b := c.browser()
	a = b.get(s.url("", "/cart?x=1&sluice-token="+token+"&y=2"))
	if a.status != http.StatusFound || a.header.Get("Location") != "/cart?x=1&y=2" {
		t.Fatalf("got %d to %q", a.status, a.header.Get("Location"))
	}
	a = b.get(s.url("", a.header.Get("Location")))
	a.served(t, "dark")
	if got := a.header.Get("Got-Target"); got != "/cart?x=1&y=2" {
		t.Errorf("the endpoint was asked for %s", got)
	}
	c.get(s.url("", "/"), "Sluice-Token: "+token[:len(token)-2]+"xx").served(t, "v1")
}

func TestAnOverrideIsBelievedFromTrustedNetworksAlone(t *testing.T) {
	s := run(t, web(t, 100, 0))
	from(t, "127.0.0.2").get(s.url("", "/"), "Sluice-Override: web=dark, api=v9").served(t, "dark")
	a := stranger(t).get(s.url("", "/"), "Sluice-Override: web=dark")
	a.served(t, "v1")
	if got := a.header.Get("Got-Sluice-Override"); got != "" {
		t.Errorf("the endpoint got %q", got)
	}
}

func TestRulesLeadToDarkVersionsAndSplitByKey(t *testing.T) {
	s := run(t, web(t, 100, 0,
		`rules:`,
		`  - {name: staff, match: {header: {X-Staff: "yes"}}, version: dark, dark: true}`,
		`  - {name: shy, match: {header: {X-Shy: "yes"}}, version: dark}`,
		`  - {name: by-tenant, match: {header: {X-Tenant: "*"}}, split: {by: "header:X-Tenant", weights: {v1: 50, dark: 50}}, dark: true}`))
	c := stranger(t)
	a := c.get(s.url("", "/"), "X-Staff: yes")
	a.served(t, "dark")
	if a.header.Get("Got-Sluice-Rule") != "staff" {
		t.Errorf("got %v", a.header)
	}
	c.get(s.url("", "/"), "X-Shy: yes").served(t, "v1")
	got := map[string]int{}
	for i := range 40 {
		tenant := fmt.Sprintf("X-Tenant: t%d", i)
		version := c.get(s.url("", "/"), tenant).body
		got[version]++
		c.get(s.url("", "/"), tenant).served(t, version)
	}
	if got["v1"] == 0 || got["dark"] == 0 || got["v1"]+got["dark"] != 40 {
		t.Errorf("tenants were split %v", got)
	}
}

func TestAVersionWithoutHealthyEndpointFailsOverAndKeepsItsSessions(t *testing.T) {
	s := run(t, fmt.Sprintf(`services:
  web:
    versions:
      v1: {endpoints: [%q], weight: 1, shape: {writes: "1", reads: ["1", "2"]}}
      v2: {endpoints: [%q], weight: 0, shape: {writes: "1", reads: ["1", "2"]}}
      v3: {endpoints: [%q], weight: 0, shape: {writes: "2", reads: ["1", "2"]}}
    health: {interval: 20ms, timeout: 1s, fall: 1, rise: 1}
    outlier: {max_percent: 0}
`, backend(t, "v1"), backend(t, "v2"), backend(t, "v3")))
	b := stranger(t).browser()
	b.get(s.url("", "/")).served(t, "v1")
	pin := b.cookie(s.url("", "/"), "sluice_web")
	spec := api.VersionSpec{Endpoints: []string{dead(t)}, Shape: nil}
	if _, err := s.admin.PutVersion(t.Context(), "web", "v1", spec); err == nil {
		t.Fatal("a version of the file was replaced by the API")
	}
	// All of them are live; the endpoint of v1 goes away.
	s.flip("web", "keep", map[string]int{"v1": 1, "v2": 1, "v3": 1})
	s.mu.Lock()
	v1 := s.fleet.cluster("web", "v1")
	config := s.fleet.members["web"]["v1"].config
	config.Endpoints = []string{dead(t)}
	s.mu.Unlock()
	if err := v1.Update(config); err != nil {
		t.Fatal(err)
	}
	await(t, "the fall of v1", func() bool { return !v1.Usable() })
	for range 10 {
		b.get(s.url("", "/")).served(t, "v2")
	}
	if got := b.cookie(s.url("", "/"), "sluice_web"); got != pin {
		t.Errorf("the pin changed from %s to %s", pin, got)
	}
	stats := s.numbersOf("web", "v1")
	if stats.Failovers != 10 || stats.Healthy != 0 {
		t.Errorf("got %+v", stats)
	}
	config.Endpoints = []string{backend(t, "v1")}
	if err := v1.Update(config); err != nil {
		t.Fatal(err)
	}
	b.get(s.url("", "/")).served(t, "v1")
}

// numbersOf returns the numbers of a version.
func (s *sluice) numbersOf(service, version string) api.Numbers {
	s.t.Helper()
	svc, err := s.admin.Service(s.t.Context(), service)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range svc.Versions {
		if v.Name == version {
			return v.Live
		}
	}
	s.t.Fatalf("no version %s", version)
	return api.Numbers{}
}

func TestAServiceExposesItsDecisionWhereItSaysSo(t *testing.T) {
	silent := run(t, web(t, 100, 0))
	open := run(t, web(t, 100, 0, "expose: true"))
	c := stranger(t)
	exposed := func(h http.Header) (got []string) {
		for name, values := range h {
			if strings.HasPrefix(name, "Sluice-") {
				got = append(got, name+": "+values[0])
			}
		}
		return got
	}
	if got := exposed(c.get(silent.url("", "/")).header); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := exposed(c.get(open.url("", "/")).header); len(got) != 2 {
		t.Errorf("got %v", got)
	}
}
