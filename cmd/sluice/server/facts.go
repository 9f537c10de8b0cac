package server

import (
	"maps"
	"slices"

	"sluice/configs"
	"sluice/state"
)

// facts returns what this process sees of services, for the rules of safety; of
// all where none is named. To count the requests of a service takes time, so that
// is left to those of which a version declares its capacity.
func (s *Server) facts(services []string) *state.Facts {
	st := s.keeper.State()
	if services == nil {
		services = slices.Collect(maps.Keys(st.Services))
	}
	f := &state.Facts{
		Healthy: make(map[string]map[string]int, len(services)),
		Known:   make(map[string]map[string]int, len(services)),
		Named:   make(map[string][]string, len(services)),
		Failing: map[string]map[string][]string{},
	}
	f.Rate = s.rates(s.look(f, st, services))
	return f
}

// rates returns the requests a second of services over the last minute.
func (s *Server) rates(services []string) map[string]float64 {
	rates := make(map[string]float64, len(services))
	for _, name := range services {
		if _, counted := rates[name]; counted {
			continue
		}
		rates[name] = 0
		for _, v := range s.stats.ServiceSnapshot(name) {
			rates[name] += float64(v.RequestsMinute) / 60
		}
	}
	return rates
}

// look fills in what the fleet and the file say, and returns the services whose
// rate matters.
func (s *Server) look(f *state.Facts, st state.State, services []string) (measured []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range services {
		f.Healthy[name], f.Known[name] = map[string]int{}, map[string]int{}
		for version, m := range s.fleet.members[name] {
			f.Healthy[name][version], f.Known[name][version] = m.cluster.Counts()
		}
		declared, svc := s.file.Services[name], st.Services[name]
		if all := s.failing(name, svc); len(all) > 0 {
			f.Failing[name] = all
		}
		if declared != nil {
			f.Named[name] = named(declared)
		}
		if limited(declared, svc) {
			measured = append(measured, name)
		}
	}
	return measured
}

// limited tells whether a version declares its capacity, in the file or in the
// state; either may be nil.
func limited(declared *configs.Service, svc *state.Service) bool {
	if declared != nil {
		for _, v := range declared.Versions {
			if v.Capacity > 0 {
				return true
			}
		}
	}
	if svc != nil {
		for _, v := range svc.Versions {
			if v.Spec.Capacity > 0 {
				return true
			}
		}
	}
	return false
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
