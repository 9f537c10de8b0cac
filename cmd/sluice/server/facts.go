package server

import (
	"maps"
	"slices"

	"sluice/configs"
	"sluice/state"
)

// facts returns what this process sees of services, for the rules of safety; of
// all where none is named.
func (s *Server) facts(services []string) *state.Facts {
	if services == nil {
		services = slices.Collect(maps.Keys(s.keeper.State().Services))
	}
	f := &state.Facts{
		Healthy: make(map[string]map[string]int, len(services)),
		Known:   make(map[string]map[string]int, len(services)),
		Named:   make(map[string][]string, len(services)),
		Rate:    make(map[string]float64, len(services)),
	}
	for _, name := range services {
		for _, v := range s.stats.ServiceSnapshot(name) {
			f.Rate[name] += float64(v.RequestsMinute) / 60
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range services {
		f.Healthy[name], f.Known[name] = map[string]int{}, map[string]int{}
		for version, m := range s.fleet.members[name] {
			f.Healthy[name][version], f.Known[name][version] = m.cluster.Counts()
		}
		if declared := s.file.Services[name]; declared != nil {
			f.Named[name] = named(declared)
		}
	}
	return f
}

// named lists the versions that a service's rules lead to.
func named(declared *configs.Service) []string {
	var versions []string
	for _, r := range declared.Rules {
		if r.Version != "" {
			versions = append(versions, r.Version)
		}
		if r.Split != nil {
			versions = slices.AppendSeq(versions, maps.Keys(r.Split.Weights))
		}
	}
	return versions
}
