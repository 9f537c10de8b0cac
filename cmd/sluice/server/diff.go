package server

import (
	"fmt"
	"maps"
	"slices"

	"sluice/admin/api"
	"sluice/configs"
	"sluice/state"
)

// diff tells where the file, as it is on the disk, and the state part.
func (s *Server) diff() (api.Diff, error) {
	s.mu.Lock()
	name := s.file.Name()
	s.mu.Unlock()
	file, err := configs.Load(name)
	if err != nil {
		return api.Diff{}, err
	}
	d := differences(file, s.keeper.State())
	return api.Diff{Same: len(d) == 0, Differences: d}, nil
}

// differences compares service by service and version by version.
func differences(file *configs.File, st state.State) []api.Difference {
	var all []api.Difference
	for _, name := range slices.Sorted(maps.Keys(st.Services)) {
		if file.Services[name] == nil {
			all = append(all, api.Difference{Service: name, Field: "service", File: "absent", State: "present"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(file.Services)) {
		svc := st.Services[name]
		if svc == nil {
			all = append(all, api.Difference{Service: name, Field: "service", File: "present", State: "absent"})
			continue
		}
		all = append(all, versionDifferences(name, file.Services[name], svc)...)
	}
	return all
}

// versionDifferences compares the versions of a service.
func versionDifferences(service string, f *configs.Service, s *state.Service) []api.Difference {
	var all []api.Difference
	add := func(version, field string, file, state any) {
		all = append(all, api.Difference{Service: service, Version: version, Field: field, File: fmt.Sprint(file), State: fmt.Sprint(state)})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Versions)) {
		declared, v := f.Versions[name], s.Versions[name]
		switch {
		case v == nil:
			add(name, "version", "present", "absent")
			continue
		case v.Weight != declared.Weight:
			add(name, "weight", declared.Weight, v.Weight)
		}
		if !slices.Equal(v.Spec.Endpoints, declared.Endpoints) {
			add(name, "endpoints", declared.Endpoints, v.Spec.Endpoints)
		}
	}
	for _, name := range s.VersionNames() {
		if f.Versions[name] == nil {
			add(name, "version", "absent", fmt.Sprintf("present, weight %d", s.Versions[name].Weight))
		}
	}
	return all
}
