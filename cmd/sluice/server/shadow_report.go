package server

import (
	"cmp"
	"slices"

	"sluice/admin/api"
	"sluice/stats"
	"sluice/synthetic/compare"
)

// shadows tells the API how versions of a service answer copies of requests.
func (s *Server) shadows(service string) []api.Shadow {
	s.mu.Lock()
	var told []api.Shadow
	var all []*comparison
	for _, c := range s.fleet.compared[service] {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *comparison) int { return cmp.Compare(b.order, a.order) })
	slices.SortStableFunc(all, func(a, b *comparison) int { return cmp.Compare(rank(a.active), rank(b.active)) })
	for _, c := range all {
		told = append(told, api.Shadow{Version: c.to, Against: c.from, Active: c.active, Share: c.share,
			Rollout: c.rollout, Began: c.began, Least: int64(c.config.Least)})
	}
	s.mu.Unlock()
	copies := map[string]map[string]uint64{}
	for _, v := range s.stats.ServiceSnapshot(service) {
		copies[v.Version] = v.Shadows
	}
	for i, c := range all {
		told[i].Copies = copies[c.to]
		fillShadow(&told[i], c.Report())
	}
	return told
}

func rank(active bool) int {
	if active {
		return 0
	}
	return 1
}

// newest returns one comparison for each version, so that its metrics are of one.
func (all comparisons) newest() map[string]*comparison {
	newest := map[string]*comparison{}
	for _, c := range all {
		if n := newest[c.to]; n == nil || c.order > n.order {
			newest[c.to] = c
		}
	}
	return newest
}

// fillShadow writes a report for the API.
func fillShadow(s *api.Shadow, r compare.Report) {
	s.Decision, s.Reasons = string(r.Verdict.Decision), r.Verdict.Reasons
	s.Comparisons, s.Second, s.Whole, s.NotCompared, s.Quiet = r.Comparisons, r.Second, r.Whole, r.NotCompared, r.Quiet
	s.Patterns = make([]api.ShadowPattern, len(r.Patterns))
	for i, p := range r.Patterns {
		out := api.ShadowPattern{Name: p.Name, Comparisons: p.Comparisons, Second: p.Second, Fields: make([]api.ShadowField, len(p.Fields))}
		for j, f := range p.Fields {
			field := api.ShadowField{Name: f.Name, Kind: string(f.Kind), State: string(f.State), Between: f.Between, Within: f.Within,
				Evidence: f.Evidence, Needs: f.Needs}
			for _, e := range f.Examples {
				field.Examples = append(field.Examples, api.ShadowExample(e))
			}
			out.Fields[j] = field
		}
		s.Patterns[i] = out
	}
}

// comparedNow tells the metrics of the versions that get copies, or got some.
func (s *Server) comparedNow() []stats.Compared {
	s.mu.Lock()
	var told []stats.Compared
	var all []*comparison
	for service, of := range s.fleet.compared {
		for _, c := range of.newest() {
			told, all = append(told, stats.Compared{Service: service, Version: c.to}), append(all, c)
		}
	}
	s.mu.Unlock()
	for i, c := range all {
		report := c.lately(s.now())
		e := shadowEvidence(&report, c.config.Least)
		told[i].Comparisons, told[i].NotCompared = uint64(e.Comparisons), report.NotCompared
		told[i].Different, told[i].Suspect = int(e.Different), int(e.Suspect)
	}
	slices.SortFunc(told, func(a, b stats.Compared) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
	})
	return told
}
