package routing

import (
	"strings"
	"testing"
)

// transcript writes an explanation as a person reads it.
func transcript(e Explanation) string {
	var b strings.Builder
	for _, step := range e.Steps {
		b.WriteString(step.Step + " " + step.Outcome + ": " + step.Why + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestExplainTellsEachStep(t *testing.T) {
	tenant := Match{Header: map[string]string{"X-Tenant": "*"}}
	s := build(t, web(rules(
		RuleConfig{Name: "staff", Match: Match{Header: map[string]string{"X-Staff": "yes"}}, Version: "v3"},
		RuleConfig{Name: "tenants", Match: tenant, Split: &SplitConfig{By: "cookie:org", Weights: map[string]int{"v2": 1}}},
		RuleConfig{Name: "beta", Match: Match{Path: "/beta"}, Split: &SplitConfig{Weights: map[string]int{"v2": 1}}})))
	route := `route taken: host "web.test" and path "/" lead to service web` + "\n"
	none := "override passed: no override came with the request\n"
	unmatched := "rule passed: rule staff does not match: header x-staff\n" +
		"rule passed: rule tenants does not match: header x-tenant\n" +
		"rule passed: rule beta does not match: path /beta\n"
	for _, test := range []struct {
		name   string
		lines  []string
		change func(*Request)
		want   string
	}{
		{"a new session", nil, nil, route + none + unmatched + "pin passed: the request carries no pin\n" +
			"split taken: the split by weight gives v1 (90 of 100); the session is pinned there"},
		{"a pin", []string{"Cookie: sluice_web=3.00000000000000ff.v2"}, nil, route + none + unmatched +
			"pin taken: the session is pinned to v2 since epoch 3"},
		{"a pin to a dark version", []string{"Cookie: sluice_web=3.00000000000000ff.v3"}, nil, route + none + unmatched +
			"pin passed: the pinned version v3 is dark\n" +
			"split taken: the split by weight gives v1 (90 of 100); the session is pinned there"},
		{"rules", []string{"X-Staff: yes", "X-Tenant: acme"}, func(r *Request) { r.Path = "/beta" },
			strings.Replace(route, `"/"`, `"/beta"`, 1) + none +
				"rule passed: rule staff matches, but leads to dark versions alone and does not say dark: true\n" +
				"rule passed: rule tenants matches, but the request has no value to split by\n" +
				"rule taken: rule beta matches and leads to v2 by its own split; the session is pinned there"},
		{"an override", []string{"Sluice-Override: web=v3"}, func(r *Request) { r.Trusted = true },
			route + "override taken: an authorised override names v3"},
		{"an override that can't serve", []string{"Sluice-Override: web=v3"}, func(r *Request) { r.Trusted, r.Health = true, sick{3: true} },
			route + "override failed: an authorised override names v3, which has no usable endpoint; overrides do not fail over"},
		{"an override from anywhere", []string{"Sluice-Override: web=v3"}, nil, route +
			"override passed: the header Sluice-Override is ignored: its sender is not in a trusted network\n" + unmatched +
			"pin passed: the request carries no pin\n" +
			"split taken: the split by weight gives v1 (90 of 100); the session is pinned there"},
		{"failover", nil, func(r *Request) { r.Health = sick{1: true} }, route + none + unmatched + "pin passed: the request carries no pin\n" +
			"split taken: the split by weight gives v1 (90 of 100)\n" +
			"failover taken: v1 has no usable endpoint; v2, which shares its shape, answers"},
		{"nobody", nil, func(r *Request) { r.Health = sick{1: true, 2: true} }, route + none + unmatched + "pin passed: the request carries no pin\n" +
			"split taken: the split by weight gives v1 (90 of 100)\n" +
			"failover failed: v1 has no usable endpoint, and no other live version that shares its shape can serve"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := ask(test.lines...)
			if test.change != nil {
				test.change(req)
			}
			if got := transcript(s.Explain(req)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
