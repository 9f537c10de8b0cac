package server

import (
	"maps"
	"slices"

	"sluice/admin/api"
	"sluice/state"
	"sluice/stats"
	"sluice/synthetic/matrix"
)

// matrixView tells the admin API how journeys do.
type matrixView struct{ s *Server }

// Matrix implements admin.Matrix.
func (m matrixView) Matrix(service string) []api.ServiceMatrix {
	st := m.s.keeper.State()
	cells, skipped := m.s.history.Cells(service, matrix.DefaultLimits().Runs), m.s.scheduler.Skipped()
	m.s.mu.Lock()
	names := map[string][]string{} // of the services' own journeys
	for name, of := range m.s.suites {
		if (service == "" || name == service) && len(of.names) > 0 {
			names[name] = of.names
		}
	}
	m.s.mu.Unlock()
	byKey := map[matrix.Key]*matrix.Cell{}
	others := map[string][]string{}
	for i := range cells {
		c := &cells[i]
		byKey[c.Key] = c
		if !slices.Contains(names[c.Service], c.Journey) && !slices.Contains(others[c.Service], c.Journey) {
			others[c.Service] = append(others[c.Service], c.Journey)
		}
	}
	var all []api.ServiceMatrix
	for _, name := range slices.Sorted(maps.Keys(st.Services)) {
		own, more := names[name], others[name]
		if len(own)+len(more) == 0 {
			continue
		}
		slices.Sort(more)
		all = append(all, m.of(st.Services[name], own, more, byKey, skipped))
	}
	return all
}

// of returns the matrix of a service: a cell for each of its own journeys and
// versions, and those that there are of others.
func (m matrixView) of(svc *state.Service, own, more []string, cells map[matrix.Key]*matrix.Cell, skipped map[matrix.Place]uint64) api.ServiceMatrix {
	out := api.ServiceMatrix{Service: svc.Name, Journeys: slices.Concat(own, more), Versions: []api.MatrixVersion{}, Cells: []api.MatrixCell{}}
	now := m.s.now()
	for _, version := range svc.VersionNames() {
		out.Versions = append(out.Versions, api.MatrixVersion{
			Name: version, Mode: svc.Versions[version].Mode(now), Skipped: skipped[matrix.Place{Service: svc.Name, Version: version}],
		})
	}
	for i, journey := range out.Journeys {
		for _, v := range out.Versions {
			c := cells[matrix.Key{Service: svc.Name, Version: v.Name, Journey: journey}]
			if c != nil || i < len(own) {
				out.Cells = append(out.Cells, cellOf(v.Name, journey, c))
			}
		}
	}
	return out
}

// cellOf translates a cell; nil: it has no run.
func cellOf(version, journey string, c *matrix.Cell) api.MatrixCell {
	cell := api.MatrixCell{Version: version, Journey: journey, State: api.CellNever, Recent: []bool{}}
	if c == nil {
		return cell
	}
	cell.Passed, cell.Failed = c.Passed, c.Failed
	newest := runOf(&c.Runs[0])
	newest.Steps = nil
	cell.State, cell.Newest = stateOf(&c.Runs[0]), &newest
	for i := range c.Runs {
		cell.Recent = append(cell.Recent, c.Runs[i].Passed())
	}
	return cell
}

func stateOf(r *matrix.Run) api.CellState {
	if r.Passed() {
		return api.CellPassed
	}
	return api.CellFailed
}

// Cell implements admin.Matrix.
func (m matrixView) Cell(service, version, journey string) (api.CellHistory, bool) {
	out := api.CellHistory{Service: service, Version: version, Journey: journey, State: api.CellNever, Runs: []api.CellRun{}}
	c, has := m.s.history.Cell(matrix.Key{Service: service, Version: version, Journey: journey})
	if !has {
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		of := m.s.suites[service]
		return out, of != nil && slices.Contains(of.names, journey)
	}
	out.State = stateOf(&c.Runs[0])
	for i := range c.Runs {
		out.Runs = append(out.Runs, runOf(&c.Runs[i]))
	}
	return out, true
}

// probes tells the metrics how journeys do.
func (s *Server) probes() (all []stats.Probe, skipped []stats.SkippedProbes) {
	for _, c := range s.history.Cells("", 1) {
		newest := &c.Runs[0]
		all = append(all, stats.Probe{
			Service: c.Service, Version: c.Version, Journey: c.Journey,
			Success: newest.Passed(), Began: newest.Began, Took: newest.Took, Passed: c.Passed, Failed: c.Failed,
		})
	}
	for place, n := range s.scheduler.Skipped() {
		skipped = append(skipped, stats.SkippedProbes{Service: place.Service, Version: place.Version, Count: n})
	}
	return all, skipped
}

// runOf translates a run.
func runOf(r *matrix.Run) api.CellRun {
	out := api.CellRun{
		Began: r.Began, Took: api.Duration(r.Took), Cause: string(r.Cause), Passed: r.Passed(), Step: r.FailedStep(), Failure: r.Failure,
		Asked: r.Asked, Failed: r.Failed, Endpoint: r.Endpoint,
	}
	for _, s := range r.Steps {
		out.Steps = append(out.Steps, api.JourneyStep{Name: s.Name, Took: api.Duration(s.Took), Tries: s.Tries, Failure: s.Failure, Request: s.Request, Response: s.Response})
	}
	return out
}
