package server

import (
	"maps"
	"slices"

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
	}
	return f
}
