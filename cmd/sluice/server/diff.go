package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
	for _, name := range union(file.Services, st.Services) {
		declared, svc := file.Services[name], st.Services[name]
		switch {
		case declared == nil:
			all = append(all, api.Difference{Service: name, Field: "service", File: "absent", State: "present"})
		case svc == nil:
			all = append(all, api.Difference{Service: name, Field: "service", File: "present", State: "absent"})
		default:
			all = append(all, versionDifferences(name, declared, svc)...)
		}
	}
	return all
}

// versionDifferences compares the versions of a service.
func versionDifferences(service string, f *configs.Service, s *state.Service) []api.Difference {
	var all []api.Difference
	for _, name := range union(f.Versions, s.Versions) {
		add := func(field, file, state string) {
			if file != state {
				all = append(all, api.Difference{Service: service, Version: name, Field: field, File: file, State: state})
			}
		}
		declared, v := f.Versions[name], s.Versions[name]
		switch {
		case v == nil:
			add("version", "present", "absent")
		case declared == nil:
			add("version", "absent", fmt.Sprintf("present, weight %d", v.Weight))
		default:
			add("weight", fmt.Sprint(declared.Weight), fmt.Sprint(v.Weight))
			want, have := specOf(declared), v.Spec
			add("endpoints", fmt.Sprint(want.Endpoints), fmt.Sprint(have.Endpoints))
			add("shape", shapeText(want.Shape), shapeText(have.Shape))
			add("provides", fmt.Sprint(want.Provides), fmt.Sprint(have.Provides))
			add("requires", mapText(want.Requires), mapText(have.Requires))
			add("capacity", fmt.Sprint(want.Capacity), fmt.Sprint(have.Capacity))
			add("tags", mapText(want.Tags), mapText(have.Tags))
		}
	}
	return all
}

// union returns the keys of both maps in order.
func union[A, B any](a map[string]A, b map[string]B) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

func shapeText(s *state.Shape) string {
	if s == nil {
		return "none"
	}
	return "writes " + s.Writes + ", reads " + strings.Join(s.Reads, " ")
}

// mapText writes a map in the order of its keys.
func mapText[V any](m map[string]V) string {
	if len(m) == 0 {
		return "none"
	}
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s=%v", key, m[key]))
	}
	return strings.Join(parts, ", ")
}
