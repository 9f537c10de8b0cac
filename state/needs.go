package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// lacking is the part of a service's new sessions, 0 to 1, that meet a version
// which does not provide all these names: 1 where there is no such service, or
// nothing live in it.
func (s State) lacking(provider string, names []string) float64 {
	svc := s.Services[provider]
	if svc == nil {
		return 1
	}
	return svc.without(names, svc.Weights())
}

// missing returns those of these names that a version does not provide.
func (s *Spec) missing(names []string) []string {
	var missing []string
	for _, name := range names {
		if !slices.Contains(s.Provides, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// against refuses a command for an offence in s, the state after it.
func (s State) against(prev State, o offence, now time.Time) *Refusal {
	svc := s.Services[o.service]
	v := svc.Versions[o.version]
	switch o.rule {
	case RuleBarrier:
		return svc.againstBarrier(prev.Services[o.service], v, now)
	case RuleShape:
		return svc.againstShapes(v, svc.Versions[o.with], now)
	}
	names := v.Spec.Requires[o.with]
	touched := prev.Services[o.with] != s.Services[o.with]
	if before := prev.Services[o.service]; touched && before != nil && before.Versions[o.version] != nil &&
		!before.presence(before.Versions[o.version], now).less(svc.presence(v, now)) {
		return s.againstLoss(svc, v, o.with, names, now)
	}
	return s.againstNeed(prev, svc, v, o.with, names)
}

// againstNeed says that a version lacks what it requires of another service.
func (s State) againstNeed(prev State, svc *Service, v *Version, provider string, names []string) *Refusal {
	r := &Refusal{Reason: ErrRefused, Rule: RuleNeeds, Service: svc.Name, Version: v.Name, Field: "weights." + v.Name}
	needs := fmt.Sprintf("version %q of service %q requires %s of service %q", v.Name, svc.Name, list(names), provider)
	p := s.Services[provider]
	if p == nil {
		r.Message = needs + ", which there is not"
		r.Remedy = "declare that service, or register the version without the requirement; " + known("services", maps.Keys(s.Services))
		return r
	}
	var without []string
	for _, name := range p.VersionNames() {
		w := p.Versions[name]
		if missing := w.Spec.missing(names); w.Weight > 0 && len(missing) > 0 {
			without = append(without, fmt.Sprintf("version %q of it is live and does not provide %s", name, list(missing)))
		}
	}
	if len(without) == 0 {
		without = []string{"no version of it is live"}
	}
	r.Message = needs + ": " + join(without, "; ")
	r.Remedy = s.needRemedy(prev, svc, v, p, names)
	return r
}

func (s State) needRemedy(prev State, svc *Service, v *Version, provider *Service, names []string) string {
	able := provider.providers(names)
	if len(able) == 0 {
		return fmt.Sprintf("no version of service %q that has endpoints provides all of it: register one and give it all weight first", provider.Name)
	}
	var free, circle []string
	for _, name := range able {
		if way := s.circle(prev, place{provider.Name, name}, place{svc.Name, v.Name}); way == nil {
			free = append(free, name)
		} else {
			circle = way
		}
	}
	if len(free) == 0 {
		return fmt.Sprintf("they need one another (%s): none can go first, so roll them out as one release set", strings.Join(circle, " > "))
	}
	return fmt.Sprintf("first give all weight of service %q to versions that do: %s", provider.Name, list(free))
}

// providers names the versions that could give these names to others.
func (s *Service) providers(names []string) []string {
	var able []string
	for _, name := range s.VersionNames() {
		if w := s.Versions[name]; len(w.Spec.Endpoints) > 0 && len(w.Spec.missing(names)) == 0 {
			able = append(able, name)
		}
	}
	return able
}

// againstLoss says that a service would take from another what that requires.
func (s State) againstLoss(svc *Service, v *Version, provider string, names []string, now time.Time) *Refusal {
	r := &Refusal{Reason: ErrRefused, Rule: RuleNeeds, Service: provider, Field: "weights"}
	dependent := fmt.Sprintf("version %q of service %q (%s) requires %s", v.Name, svc.Name, v.standing(now), list(names))
	relief := fmt.Sprintf("make version %q of service %q dark first (weight 0, pins move)", v.Name, svc.Name)
	p := s.Services[provider]
	if p == nil {
		r.Message = fmt.Sprintf("service %q can't go: %s of it", provider, dependent)
		r.Remedy = relief
		return r
	}
	for _, name := range p.VersionNames() {
		w := p.Versions[name]
		if missing := w.Spec.missing(names); w.Weight > 0 && len(missing) > 0 {
			r.Version, r.Field = name, "weights."+name
			r.Message = fmt.Sprintf("version %q of service %q does not provide %s, and %s", name, provider, list(missing), dependent)
			break
		}
	}
	r.Remedy = relief
	if able := p.providers(names); len(able) > 0 {
		r.Remedy = fmt.Sprintf("keep to versions of %q that do: %s; or %s", provider, list(able), relief)
	}
	return r
}

// place is a version of a service.
type place struct{ service, version string }

// circle finds a way along what is required and was not met before a command,
// from one version to another: api/v2 > web/v1. nil: there is none.
func (s State) circle(prev State, from, to place) []string {
	seen := map[place]bool{}
	var walk func(at place, way []string) []string
	walk = func(at place, way []string) []string {
		way = append(slices.Clip(way), at.service+"/"+at.version)
		if at == to {
			return way
		}
		if seen[at] || len(way) > maxListed {
			return nil
		}
		seen[at] = true
		requires := s.Services[at.service].Versions[at.version].Spec.Requires
		for _, provider := range slices.Sorted(maps.Keys(requires)) {
			p := s.Services[provider]
			if p == nil || prev.lacking(provider, requires[provider]) == 0 {
				continue
			}
			for _, name := range p.providers(requires[provider]) {
				if found := walk(place{provider, name}, way); found != nil {
					return found
				}
			}
		}
		return nil
	}
	return walk(from, nil)
}
