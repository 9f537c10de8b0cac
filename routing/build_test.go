package routing

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestBuildRefuses(t *testing.T) {
	keyed := func(svc *ServiceConfig) { svc.Pin.By = PinHeader }
	split := func(by string, weights map[string]int) func(*ServiceConfig) {
		return rules(RuleConfig{Name: "r", Split: &SplitConfig{By: by, Weights: weights}})
	}
	match := func(m Match) func(*ServiceConfig) { return rules(RuleConfig{Name: "r", Match: m, Version: "v1"}) }
	for _, test := range []struct {
		change func(*ServiceConfig)
		err    string
	}{
		{func(svc *ServiceConfig) { svc.Versions[0].Name = "v 1" }, `services.web.versions.v 1: "v 1" names no version: ` + nameRule},
		{func(svc *ServiceConfig) { svc.Versions[0].Name = "v2" }, "services.web.versions.v2: it is declared twice"},
		{func(svc *ServiceConfig) { svc.Versions[0].Weight = -1 }, "services.web.versions.v1.weight: -1 is no weight; it is 0 to 1000000"},
		{func(svc *ServiceConfig) { svc.Versions[0].Weight = MaxWeight + 1 }, "services.web.versions.v1.weight: 1000001 is no weight; it is 0 to 1000000"},
		{func(svc *ServiceConfig) { svc.Versions[0].Slot = -1 }, "services.web.versions.v1.slot: -1 is below 0"},
		{func(svc *ServiceConfig) { svc.Pin.Name = "a b" }, `services.web.pin.name: "a b" names no cookie or header; ` + tokenRule},
		{func(svc *ServiceConfig) { svc.Pin.Name = "sluice_token" }, "services.web.pin.name: the cookie sluice_token holds override tokens; choose another name"},
		{keyed, `services.web.pin.name: "" names no cookie or header; ` + tokenRule},
		{pinBy(PinClientIP, "x"), "services.web.pin.name: pins by client_ip have no name"},
		{pinBy(9, ""), "services.web.pin.by: unknown kind 9; cookie, cookie:NAME, header:NAME, client_ip or none"},
		{func(svc *ServiceConfig) { svc.Pin.First = 2 }, "services.web.pin.first: unknown kind 2; random or client"},
		{func(svc *ServiceConfig) { svc.Pin.TTL = time.Millisecond }, "services.web.pin.ttl: 1ms is no lifetime of a pin; it is in whole seconds, at least 1s"},
		{func(svc *ServiceConfig) { svc.Pin.TTL = -time.Second }, "services.web.pin.ttl: -1s is no lifetime of a pin; it is in whole seconds, at least 1s"},
		{rules(RuleConfig{Name: "", Version: "v1"}), `services.web.rules[0].name: "" names no rule: ` + nameRule},
		{rules(RuleConfig{Name: "r"}), "services.web.rules[0]: rule r needs either a version or a split"},
		{rules(RuleConfig{Name: "r", Version: "v9"}), `services.web.rules[0].version: web has no version "v9"; it has v1, v2, v3`},
		{rules(RuleConfig{Name: "r", Match: Match{Method: "GET"}, Version: "v1"}, RuleConfig{Name: "r", Version: "v1"}), "services.web.rules[1].name: r names a rule before it already"},
		{split("header:X", map[string]int{"v9": 1}), `services.web.rules[0].split.weights: web has no version "v9"; it has v1, v2, v3`},
		{split("header:X", map[string]int{"v1": 0}), "services.web.rules[0].split.weights: no version has a weight above 0"},
		{split("header:X", map[string]int{"v1": -1, "v2": 1}), "services.web.rules[0].split.weights.v1: -1 is no weight; it is 0 to 1000000"},
		{split("moon", map[string]int{"v1": 1}), `services.web.rules[0].split.by: "moon" is nothing to split by; "header:NAME", "cookie:NAME", "query:NAME", "client_ip", or nothing to split by session`},
		{split("header:", map[string]int{"v1": 1}), `services.web.rules[0].split.by: "header:" is nothing to split by; "header:NAME", "cookie:NAME", "query:NAME", "client_ip", or nothing to split by session`},
		{rules(RuleConfig{Name: "r", Dark: true, Split: &SplitConfig{Weights: map[string]int{"v1": 1}}}),
			`services.web.rules[0].split.by: a split by session can't say dark: true, since it makes pins and a pin never reaches a dark version; split by "header:NAME", "cookie:NAME", "query:NAME" or "client_ip"`},
		{match(Match{Header: map[string]string{"X Y": "1"}}), "services.web.rules[0].match.header.X Y: it is no name of a header; " + tokenRule},
		{match(Match{Header: map[string]string{"X": " 1"}}), "services.web.rules[0].match.header.X: a header's value has no white space around it"},
		{match(Match{Header: map[string]string{"X": "1", "x": "2"}}), "services.web.rules[0].match.header.x: it is set twice, in different letters"},
		{match(Match{Header: map[string]string{"X": ""}}), `services.web.rules[0].match.header.X: the value is empty; "*" matches any`},
		{match(Match{Header: map[string]string{"X": "a*b"}}), `services.web.rules[0].match.header.X: "*" stands at the end alone: "abc*" matches what begins with abc, "*" anything`},
		{match(Match{Cookie: map[string]string{"a": "b;c"}}), "services.web.rules[0].match.cookie.a: a cookie's value has no semicolon and no white space around it"},
		{match(Match{Cookie: map[string]string{"a=": "b"}}), "services.web.rules[0].match.cookie.a=: it is no name of a cookie; " + tokenRule},
		{match(Match{Query: map[string]string{"": "b"}}), "services.web.rules[0].match.query.: it is no name of a query parameter"},
		{match(Match{Query: map[string]string{"a": "\n"}}), "services.web.rules[0].match.query.a: the value holds a control character"},
		{match(Match{Client: []netip.Prefix{{}}}), "services.web.rules[0].match.client: invalid Prefix is no network; write one as 10.0.0.0/8"},
		{match(Match{Path: "api"}), `services.web.rules[0].match.path: "api" is no path; it begins with "/"`},
		{match(Match{Method: "get"}), `services.web.rules[0].match.method: "get" is no method; write one in capitals, as GET`},
	} {
		refused(t, web(test.change), test.err)
	}
}

// refused checks that a config is refused with that error alone.
func refused(t *testing.T, cfg Config, want string) {
	t.Helper()
	_, err := Build(cfg)
	if err == nil || err.Error() != want {
		t.Errorf("got\n\t%v\nwant\n\t%s", err, want)
	}
	var where *ConfigError
	if !errors.As(err, &where) {
		t.Errorf("%v is no ConfigError", err)
	}
}

func TestBuildRefusesTheRest(t *testing.T) {
	routes := func(list ...Route) Config {
		cfg := web()
		cfg.Routes = list
		return cfg
	}
	host := func(h string) string {
		return `routes[0].hosts: "` + h + `" is no host; write a name without port, as "shop.example.com" or "*.example.com" (in Punycode), an IP address, or leave hosts out for any`
	}
	for _, h := range []string{"", "*", "*.", "a..b", "shop.test:80", "*.*.test", "bücher.test", strings.Repeat("a", 64)} {
		refused(t, routes(Route{Hosts: []string{h}, Service: "web"}), host(h))
	}
	refused(t, routes(Route{Service: "shop"}), `routes[0].service: there is no service "shop"`)
	refused(t, routes(Route{Paths: []string{"x"}, Service: "web"}), `routes[0].paths: "x" is no path; it begins with "/"`)
	refused(t, routes(Route{Paths: []string{"/x*"}, Service: "web"}), `routes[0].paths: "/x*" is no path prefix; it holds no "?", "#", "*", space or control`)
	refused(t, routes(Route{Paths: []string{"/" + strings.Repeat("x", maxPath)}, Service: "web"}), "routes[0].paths: the path has 1025 bytes; at most 1024")

	two := web()
	two.Services = append(two.Services, two.Services[0])
	refused(t, two, "services.web: it is declared twice")
	two.Services[1].Name, two.Services[1].Pin.Name = "api", "sluice_web"
	refused(t, two, "services.web.pin.name: the cookie sluice_web pins sessions of api already; choose another name")
	two.Services[1] = ServiceConfig{Name: "Api"}
	refused(t, two, `services.Api: "Api" names no service: `+serviceRule)

	keys := web()
	keys.Keys = []Key{testKey, testKey}
	refused(t, keys, "override.keys[1]: the id k1 is taken by a key before it")
	keys.Keys = []Key{{ID: "k1", Secret: []byte("short")}}
	refused(t, keys, "override.keys[0]: key k1: its secret has 5 bytes; HS256 needs at least 32 (RFC 7518, section 3.2)")
}

func TestBuildReportsEverythingAtOnce(t *testing.T) {
	cfg := web(func(svc *ServiceConfig) { svc.Versions[0].Weight, svc.Pin.TTL = -1, -time.Second })
	cfg.Routes = append(cfg.Routes, Route{Service: "shop"})
	_, err := Build(cfg)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 { // the unknown service's route is also a conflict with the first
		t.Errorf("%v", err)
	}
}

func TestRouteConflicts(t *testing.T) {
	cfg := web()
	cfg.Services = append(cfg.Services, ServiceConfig{Name: "api"})
	cfg.Routes = []Route{
		{Hosts: []string{"shop.test", "*.shop.test"}, Paths: []string{"/api/"}, Service: "web"},
		{Hosts: []string{"Shop.test"}, Paths: []string{"/api"}, Service: "api"},
	}
	refused(t, cfg, "routes[1]: it leads GET http://shop.test/api/ to api, but routes[0] leads it to web; take the host or path out of one of them")
	cfg.Routes[1].Service = "web"
	build(t, cfg)
	cfg.Routes[1] = Route{Hosts: []string{"*.shop.test"}, Service: "api"}
	build(t, cfg)
}

func TestRuleConflicts(t *testing.T) {
	header := func(name, value string) Match { return Match{Header: map[string]string{name: value}} }
	network := func(text string) Match { return Match{Client: []netip.Prefix{netip.MustParsePrefix(text)}} }
	byTenant := &SplitConfig{By: "header:X-Tenant", Weights: map[string]int{"v1": 1}}
	for _, test := range []struct {
		name          string
		first, second RuleConfig
		example       string // "": no conflict
	}{
		{"the same", RuleConfig{Match: header("X-Tenant", "acme")}, RuleConfig{Match: header("x-tenant", "acme")}, "GET / with x-tenant: acme"},
		{"everything", RuleConfig{}, RuleConfig{Match: Match{Method: "POST", Path: "/a", Query: map[string]string{"b": "c", "d": "*"}}}, "POST /a?b=c&d=anything"},
		{"any value", RuleConfig{Match: header("X-Tenant", "*")}, RuleConfig{Match: header("X-Tenant", "acme")}, "GET / with X-Tenant: acme"},
		{"some value before any", RuleConfig{Match: header("X-Tenant", "acme")}, RuleConfig{Match: header("X-Tenant", "*")}, ""},
		{"a longer prefix", RuleConfig{Match: header("X-Tenant", "ac*")}, RuleConfig{Match: header("X-Tenant", "acme*")}, "GET / with X-Tenant: acme"},
		{"another value", RuleConfig{Match: header("X-Tenant", "acme")}, RuleConfig{Match: header("X-Tenant", "acme2")}, ""},
		{"a condition more", RuleConfig{Match: Match{Path: "/a/"}}, RuleConfig{Match: Match{Path: "/a/b", Cookie: map[string]string{"c": "d"}}}, "GET /a/b with cookie c=d"},
		{"another path", RuleConfig{Match: Match{Path: "/a"}}, RuleConfig{Match: Match{Path: "/ab"}}, ""},
		{"a smaller network", RuleConfig{Match: network("10.0.0.0/8")}, RuleConfig{Match: network("10.1.0.0/16")}, "GET / from 10.1.0.1"},
		{"one address", RuleConfig{Match: network("10.0.0.0/8")}, RuleConfig{Match: network("10.1.0.5/32")}, "GET / from 10.1.0.5"},
		{"a greater network", RuleConfig{Match: network("10.1.0.0/16")}, RuleConfig{Match: network("10.0.0.0/8")}, ""},
		{"a network before everybody", RuleConfig{Match: network("10.1.0.0/16")}, RuleConfig{Match: Match{Path: "/a"}}, ""},
		{"a split takes requests with its key", RuleConfig{Split: byTenant}, RuleConfig{Match: header("X-Tenant", "acme")}, "GET / with X-Tenant: acme"},
		{"and no others", RuleConfig{Split: byTenant}, RuleConfig{Match: header("X-Other", "acme")}, ""},
		{"a split after its match", RuleConfig{Match: header("X-Tenant", "*")}, RuleConfig{Split: byTenant}, "GET / with X-Tenant: anything"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.first.Name, test.second.Name = "a", "b"
			for _, r := range []*RuleConfig{&test.first, &test.second} {
				if r.Split == nil {
					r.Version = "v1"
				}
			}
			cfg := web(rules(test.first, test.second))
			if test.example == "" {
				build(t, cfg)
				return
			}
			refused(t, cfg, "services.web.rules[1]: rule b can never be reached: rule a before it takes every request that it matches, such as "+
				test.example+"; put b first, or take one of them out")
			if err := Conflicts(cfg.Routes, cfg.Services); err == nil {
				t.Error("Conflicts finds none")
			}
		})
	}
}
