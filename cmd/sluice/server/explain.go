package server

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"sluice/admin"
	"sluice/admin/api"
	"sluice/configs"
	"sluice/routing"
	"sluice/state"
)

// explain tells how a request would be routed by the table in force.
func (s *Server) explain(r admin.ExplainRequest) (api.Explanation, error) {
	table := s.proxy.Table()
	e := table.Routing.Explain(&routing.Request{
		Method: r.Method, Host: r.Host, Path: r.Path, Query: r.Query,
		Fields: header(r.Header), Client: r.Client, Trusted: r.Trusted,
		Now: s.now().UnixNano(), Draw: rand.Uint64(), Health: table,
	})
	d := &e.Decision
	out := api.Explanation{Revision: table.Routing.Revision, Reason: routing.ReasonText(d), Pin: d.Pin.String()}
	switch {
	case d.Redirect:
		out.Status = http.StatusFound
	case d.Service == nil:
		out.Status = http.StatusNotFound
	case d.Version == nil:
		out.Status = http.StatusServiceUnavailable
	default:
		out.Version = d.Version.Name
	}
	if d.Service != nil {
		out.Service = d.Service.Name
	}
	if d.Failed != nil {
		out.Failed = d.Failed.Name
	}
	for _, step := range e.Steps {
		out.Steps = append(out.Steps, api.ExplainStep{Step: step.Step, Decided: step.Outcome == "taken", Text: step.Why})
	}
	return out, nil
}

// header lets routing look fields up.
type header http.Header

// Get implements routing.Fields.
func (h header) Get(lower string) (string, bool) {
	values := http.Header(h).Values(lower)
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// signToken returns what signs override tokens, nil without a key.
func (s *Server) signToken() func(string, map[string]string, time.Time) (string, error) {
	if len(s.file.Override.Keys) == 0 {
		return nil
	}
	return func(subject string, overrides map[string]string, expires time.Time) (string, error) {
		s.mu.Lock()
		keys := overrideKeys(s.file)
		s.mu.Unlock()
		if len(keys) == 0 {
			return "", fmt.Errorf("the file has no override.keys any more: %w", state.ErrRefused)
		}
		return routing.SignToken(keys[0], subject, overrides, expires)
	}
}

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
