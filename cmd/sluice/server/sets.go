package server

import (
	"slices"
	"strings"

	"sluice/configs"
	"sluice/routing"
	"sluice/state"
)

// setOf is the release set that a service is part of. Two that are equal are the
// same to routing; the zero value is none.
type setOf struct {
	rollout string
	members string // the services, by name, between commas
	share   int
	over    bool
}

// sets returns the release sets by service. A set begins with its first shift and
// holds until another rollout shifts one of its services: after its end as long as
// sessions of both sides are served.
func sets(file *configs.File, st state.State) map[string]setOf {
	newest := newestShifts(st)
	all := map[string]setOf{}
	for id, r := range st.Rollouts {
		if len(r.Legs) < 2 || r.Legs[0].Since == 0 {
			continue
		}
		set := setOf{rollout: id, share: r.Share(), over: !r.UnderWay() || r.Phase == state.PhaseRollingBack}
		var members []string
		for _, l := range r.Legs {
			svc := st.Services[l.Service]
			if newest[l.Service] == id && file.Services[l.Service] != nil && serves(svc, l.Candidate, set.over) && serves(svc, l.Baseline, set.over) {
				members = append(members, l.Service)
			}
		}
		if len(members) < 2 {
			continue
		}
		set.members = strings.Join(members, ",")
		for _, name := range members {
			all[name] = set
		}
	}
	return all
}

// newestShifts returns the rollout that shifted each service last.
func newestShifts(st state.State) map[string]string {
	newest, since := map[string]string{}, map[string]uint64{}
	for id, r := range st.Rollouts {
		for _, l := range r.Legs {
			if l.Since > since[l.Service] {
				newest[l.Service], since[l.Service] = id, l.Since
			}
		}
	}
	return newest
}

// serves tells whether a service has a version, and, if that matters, that it may
// have sessions.
func serves(svc *state.Service, version string, matters bool) bool {
	if svc == nil || svc.Versions[version] == nil {
		return false
	}
	v := svc.Versions[version]
	return !matters || v.Weight > 0 || v.Drain.On
}

// config is the set as routing has it.
func (s setOf) config(st state.State) *routing.SetConfig {
	if s.rollout == "" {
		return nil
	}
	r := st.Rollouts[s.rollout]
	c := &routing.SetConfig{Name: r.Set, Share: s.share, Over: s.over}
	if c.Name == "" {
		c.Name = r.ID
	}
	members := strings.Split(s.members, ",")
	for _, l := range r.Legs {
		if slices.Contains(members, l.Service) {
			c.Members = append(c.Members, routing.SetMember{
				Service: l.Service, Candidate: l.Candidate, Baseline: l.Baseline, Since: l.Counts(),
			})
		}
	}
	return c
}

// regrouped returns the services whose trial, shadow stage or release set is
// another than before.
func (s *sources) regrouped(next sources) map[string]bool {
	changed := map[string]bool{}
	if len(s.state.Rollouts) == 0 && len(next.state.Rollouts) == 0 {
		return changed
	}
	differing(changed, legs(s.state), legs(next.state))
	differing(changed, shadowStages(s.state), shadowStages(next.state))
	differing(changed, sets(s.file, s.state), sets(next.file, next.state))
	return changed
}

// differing notes the keys of what is not the same in two maps.
func differing[V comparable](changed map[string]bool, a, b map[string]V) {
	for name := range a {
		if b[name] != a[name] {
			changed[name] = true
		}
	}
	for name := range b {
		if b[name] != a[name] {
			changed[name] = true
		}
	}
}
