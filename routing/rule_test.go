package routing

import (
	"net/netip"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		name  string
		match Match
		meets bool
	}{
		{"nothing asked", Match{}, true},
		{"header", Match{Header: map[string]string{"X-Tenant": "acme"}}, true},
		{"header by prefix", Match{Header: map[string]string{"x-tenant": "ac*"}}, true},
		{"header present", Match{Header: map[string]string{"X-Empty": "*"}}, true},
		{"header absent", Match{Header: map[string]string{"X-None": "*"}}, false},
		{"header's case", Match{Header: map[string]string{"X-Tenant": "Acme"}}, false},
		{"cookie", Match{Cookie: map[string]string{"beta": "yes"}}, true},
		{"cookie inside another's value", Match{Cookie: map[string]string{"eta": "*"}}, false},
		{"query decoded", Match{Query: map[string]string{"a b": "c&*"}}, true},
		{"query", Match{Query: map[string]string{"x": "1"}}, true},
		{"query's first value counts", Match{Query: map[string]string{"x": "2"}}, false},
		{"client", Match{Client: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:192.0.2.0/120")}}, true},
		{"another client", Match{Client: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, false},
		{"path", Match{Path: "/api/"}, true},
		{"path within a segment", Match{Path: "/ap"}, false},
		{"method", Match{Method: "POST"}, true},
		{"another method", Match{Method: "GET"}, false},
		{"all but one", Match{Method: "POST", Path: "/api", Header: map[string]string{"X-Tenant": "*"}, Cookie: map[string]string{"beta": "no"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := build(t, web(rules(RuleConfig{Name: "r", Match: test.match, Version: "v2"})))
			req := ask("X-Tenant: acme", "X-Empty: ", "Cookie: beta=yes; other=eta")
			req.Method, req.Path, req.Query = "POST", "/api/x", "a+b=c%26d&x=1&x=2"
			req.Client = netip.MustParseAddr("::ffff:192.0.2.7")
			d := s.Decide(req)
			if met := d.Reason == RuleMatched; met != test.meets {
				t.Errorf("reason %s", ReasonText(&d))
			}
		})
	}
}

func TestRuleToADarkVersion(t *testing.T) {
	r := RuleConfig{Name: "staff", Version: "v3"}
	want(t, build(t, web(rules(r))).Decide(ask()), "v1 split make")
	r.Dark = true
	d := build(t, web(rules(r))).Decide(ask())
	want(t, d, "v3 rule:staff none")
	if d.Session != 0 {
		t.Errorf("session %d", d.Session)
	}
}

func TestRuleFailsOver(t *testing.T) {
	req := ask()
	req.Health = sick{2: true}
	d := build(t, web(rules(RuleConfig{Name: "r", Version: "v2"}))).Decide(req)
	want(t, d, "v1(v2) failover none")
	if d.Rule == nil || d.Rule.Name != "r" {
		t.Errorf("rule %v", d.Rule)
	}
}

func TestRuleSplitsByKey(t *testing.T) {
	for _, test := range []struct {
		by, line, query, want string
	}{
		{"header:X-Tenant", "X-Tenant: acme", "", "rule:r"},
		{"header:X-Tenant", "X-Other: acme", "", "split"},
		{"cookie:tenant", "Cookie: tenant=acme", "", "rule:r"},
		{"query:tenant", "X: y", "tenant=acme", "rule:r"},
		{"query:tenant", "X: y", "tenant2=acme", "split"},
		{"client_ip", "X: y", "", "rule:r"},
	} {
		s := build(t, web(rules(RuleConfig{Name: "r", Split: &SplitConfig{By: test.by, Weights: map[string]int{"v1": 1, "v2": 1, "v3": 8}}})))
		req := ask(test.line)
		req.Query = test.query
		first := s.Decide(req)
		if ReasonText(&first) != test.want {
			t.Errorf("%s: reason %s", test.by, ReasonText(&first))
		}
		if first.Version.Name == "v3" {
			t.Errorf("%s: a dark version was reached", test.by)
		}
		for draw := uint64(1); draw < 10 && first.Reason == RuleMatched; draw++ {
			req.Draw = draw << 60
			if d := s.Decide(req); d.Version != first.Version || d.Pin != NoPin {
				t.Errorf("%s: first %v, then %v", test.by, first.Version, d.Version)
			}
		}
	}
}

func TestQueryKeyIsDecoded(t *testing.T) {
	s := build(t, web(rules(RuleConfig{Name: "r", Split: &SplitConfig{By: "query:t", Weights: map[string]int{"v1": 1, "v2": 1}}})))
	for _, key := range []string{"a%20b", "a%62c", "%ff", "%zz"} {
		one, two := ask(), ask()
		one.Query, two.Query = "t="+key, "%74="+encodeAll(decoded(key))
		if a, b := s.Decide(one).Version, s.Decide(two).Version; a != b {
			t.Errorf("%s goes to %v, encoded otherwise to %v", key, a, b)
		}
	}
}

func encodeAll(s string) (out string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		out += "%" + string(digits[s[i]>>4]) + string(digits[s[i]&15])
	}
	return out
}

func TestRuleSplitsBySession(t *testing.T) {
	s := build(t, web(rules(RuleConfig{Name: "r", Split: &SplitConfig{Weights: map[string]int{"v2": 1, "v3": 99}}})))
	d := s.Decide(ask())
	want(t, d, "v2 rule:r make")
	want(t, s.Decide(ask("Cookie: sluice_web=7.00000000000000ff.v2")), "v2 rule:r held")
	moved := s.Decide(ask("Cookie: sluice_web=7.00000000000000ff.v1"))
	want(t, moved, "v2 rule:r make")
	if moved.MovedFrom == nil || moved.MovedFrom.Name != "v1" || moved.Session != 255 {
		t.Errorf("%+v", moved)
	}
}

func TestRuleSplitOfDarkVersionsIsPassedOver(t *testing.T) {
	s := build(t, web(rules(
		RuleConfig{Name: "a", Match: Match{Method: "GET"}, Split: &SplitConfig{Weights: map[string]int{"v3": 1}}},
		RuleConfig{Name: "b", Match: Match{Path: "/"}, Version: "v2"})))
	want(t, s.Decide(ask()), "v2 rule:b none")
}

// A draining version keeps the sessions that a rule's split pinned to it, and
// gets no new ones.
func TestRuleSplitGivesADrainingVersionNoNewSessions(t *testing.T) {
	s := build(t, web(
		func(svc *ServiceConfig) { svc.Versions[2].Draining = true },
		rules(RuleConfig{Name: "r", Split: &SplitConfig{Weights: map[string]int{"v2": 1, "v3": 99}}})))
	want(t, s.Decide(ask()), "v2 rule:r make")
	want(t, s.Decide(ask("Cookie: sluice_web=7.00000000000000ff.v3")), "v3 rule:r held")
}
