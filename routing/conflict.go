package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Conflicts returns every ambiguity as joined *ConfigErrors, each with an
// example of a request that two parts of the configuration fight over: two
// routes that lead the same host and path to different services, and a rule
// that can never be reached, since a single rule before it takes every request
// that it matches. Weights don't count: a rule that is passed over while its
// version is dark still takes its requests. Build refuses conflicts, too; what
// else Build refuses, Conflicts passes over.
func Conflicts(routes []Route, services []ServiceConfig) error {
	return errors.Join(conflicts(routes, services)...)
}

func conflicts(routes []Route, services []ServiceConfig) []error {
	var p problems
	routeConflicts(&p, routes)
	for i := range services {
		ruleConflicts(&p, &services[i])
	}
	return p.errs
}

// routeConflicts finds the same host and path with different services.
func routeConflicts(p *problems, routes []Route) {
	type place struct{ host, path string }
	first := make(map[place]int)
	var ignored problems // Build reports what is malformed
	for i := range routes {
		paths := buildPaths(&ignored, "", routes[i].Paths)
		for _, host := range buildHosts(&ignored, "", routes[i].Hosts) {
			for _, path := range paths {
				at := place{host, path}
				before, ok := first[at]
				if !ok {
					first[at] = i
					continue
				}
				if other := routes[before].Service; other != routes[i].Service {
					p.add(fmt.Sprintf("routes[%d]", i), "it leads GET %s to %s, but routes[%d] leads it to %s; take the host or path out of one of them",
						exampleURL(host, path), routes[i].Service, before, other)
				}
			}
		}
	}
}

// exampleURL returns a URL that a route of a canonical host and path takes.
func exampleURL(host, path string) string {
	if host == anyHost {
		return path + "/"
	}
	host = strings.Replace(host, "*.", "any.", 1)
	return "http://" + host + path + "/"
}

// ruleConflicts finds rules that can never be reached.
func ruleConflicts(p *problems, svc *ServiceConfig) {
	taken := make([]match, len(svc.Rules))
	for j := range svc.Rules {
		taken[j] = takes(&svc.Rules[j])
		for i := range j {
			if !taken[i].covers(&taken[j]) {
				continue
			}
			p.add(fmt.Sprintf("services.%s.rules[%d]", svc.Name, j),
				"rule %s can never be reached: rule %s before it takes every request that it matches, such as %s; put %s first, or take one of them out",
				svc.Rules[j].Name, svc.Rules[i].Name, taken[j].example(), svc.Rules[j].Name)
			break
		}
	}
}

// takes returns what a rule takes: its match, and for a keyed split also that
// the key is there.
func takes(cfg *RuleConfig) match {
	var ignored problems
	m := buildMatch(&ignored, "", &cfg.Match)
	if cfg.Split == nil {
		return m
	}
	by, _ := parseBy(cfg.Split.By)
	_, written, _ := strings.Cut(cfg.Split.By, ":")
	present := condition{name: by.name, value: pattern{prefix: true}, written: written}
	switch by.kind {
	case byHeader:
		m.headers = append(m.headers, present)
	case byCookie:
		m.cookies = append(m.cookies, present)
	case byQuery:
		m.params = append(m.params, present)
	}
	return m
}

// example returns a request that meets the match, in words.
func (m *match) example() string {
	method := m.method
	if method == "" {
		method = "GET"
	}
	text := method + " " + m.path
	if m.path == "" {
		text += "/"
	}
	var params []string
	for _, c := range unique(m.params) {
		params = append(params, c.written+"="+c.value.example())
	}
	if len(params) > 0 {
		text += "?" + strings.Join(params, "&")
	}
	var with []string
	for _, c := range unique(m.headers) {
		with = append(with, c.written+": "+c.value.example())
	}
	for _, c := range unique(m.cookies) {
		with = append(with, "cookie "+c.written+"="+c.value.example())
	}
	if len(with) > 0 {
		text += " with " + strings.Join(with, " and ")
	}
	if len(m.clients) > 0 {
		text += " from " + exampleClient(m.clients[0])
	}
	return text
}

// unique drops a condition on a name that one before it is on already.
func unique(conditions []condition) (list []condition) {
	for _, c := range conditions {
		if !implied(condition{name: c.name, value: pattern{prefix: true}}, list) {
			list = append(list, c)
		}
	}
	return list
}

// example returns a value that the pattern matches.
func (p pattern) example() string {
	if p.prefix && p.text == "" {
		return "anything"
	}
	return p.text
}

// exampleClient returns an address of a network, the one after its first where
// it has several.
func exampleClient(network netip.Prefix) string {
	if network.IsSingleIP() {
		return network.Addr().String()
	}
	return network.Addr().Next().String()
}
