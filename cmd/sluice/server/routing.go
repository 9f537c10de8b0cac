package server

import (
	"cmp"
	"slices"

	"sluice/configs"
	"sluice/routing"
	"sluice/state"
)

// routes translates the file's routes, but those to services that the state
// does not have: a reload is on its way.
func routes(file *configs.File, st state.State) []routing.Route {
	var all []routing.Route
	for _, r := range file.Routes {
		if st.Services[r.Service] != nil {
			all = append(all, routing.Route{Hosts: r.Hosts, Paths: r.Paths, Service: r.Service})
		}
	}
	return all
}

// serviceConfig joins what the file says of a service with what was decided.
func serviceConfig(name string, f *configs.Service, s *state.Service) routing.ServiceConfig {
	c := routing.ServiceConfig{
		Name: name, Epoch: s.Epoch, Salt: cmp.Or(s.Salt, name), Expose: f.Expose,
		Pin: routing.PinConfig{By: pinBy[f.Pin.By.Kind], Name: cmp.Or(f.Pin.By.Name, f.Pin.Name), TTL: f.Pin.TTL},
	}
	if f.Shield.On() {
		c.Shield = &routing.ShieldConfig{Statuses: f.Shield.Statuses}
	}
	if f.AssetFallback != nil {
		c.AssetPaths = f.AssetFallback.Paths
	}
	if f.Pin.First == configs.FirstClient {
		c.Pin.First = routing.FirstClient
	}
	for _, version := range s.VersionNames() {
		c.Versions = append(c.Versions, versionConfig(s.Versions[version]))
	}
	for _, r := range f.Rules {
		if rule, ok := ruleConfig(r, s); ok {
			c.Rules = append(c.Rules, rule)
		}
	}
	return c
}

// shieldBy makes a version that is trusted during a rollout the one that answers
// what others fail; "": there is no rollout.
func shieldBy(c *routing.ServiceConfig, baseline string) {
	if c.Shield == nil || !slices.ContainsFunc(c.Versions, func(v routing.VersionConfig) bool { return v.Name == baseline }) {
		return
	}
	c.Shield.Baseline = baseline
}

// pinBy translates what tells sessions apart.
var pinBy = map[configs.PinKind]routing.PinBy{
	configs.PinCookie:    routing.PinCookie,
	configs.PinAppCookie: routing.PinAppCookie,
	configs.PinHeader:    routing.PinHeader,
	configs.PinClientIP:  routing.PinClientIP,
	configs.PinNone:      routing.PinNone,
}

// versionConfig translates a version.
func versionConfig(v *state.Version) routing.VersionConfig {
	c := routing.VersionConfig{Name: v.Name, Weight: v.Weight, Draining: v.Drain.On, LeastEpoch: v.LeastEpoch}
	if !v.Drain.Until.IsZero() {
		c.DrainUntil = v.Drain.Until.UnixNano()
	}
	if v.Spec.Shape != nil {
		c.Writes, c.Reads = v.Spec.Shape.Writes, v.Spec.Shape.Reads
	}
	return c
}

// ruleConfig translates a rule, and reports false for one that leads to a
// version that the state does not have: while a reload is on its way, the file
// is ahead of the state.
func ruleConfig(r configs.Rule, s *state.Service) (routing.RuleConfig, bool) {
	c := routing.RuleConfig{Name: r.Name, Version: r.Version, Dark: r.Dark, Match: matchOf(r.Match)}
	if r.Split == nil {
		return c, s.Versions[r.Version] != nil
	}
	c.Split = &routing.SplitConfig{By: r.Split.By.String(), Weights: r.Split.Weights}
	for version := range r.Split.Weights {
		if s.Versions[version] == nil {
			return c, false
		}
	}
	return c, true
}

// matchOf translates what a request must be like.
func matchOf(m configs.Match) routing.Match {
	return routing.Match{Header: m.Header, Cookie: m.Cookie, Query: m.Query, Client: m.Client, Path: m.Path, Method: m.Method}
}
