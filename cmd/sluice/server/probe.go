package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/admin/api"
	"sluice/configs"
	"sluice/proxy/upstream"
	"sluice/synthetic/matrix"
)

// The limits of probes on demand: how long one may take, less than the admin API
// takes to answer, and how many there are at a time.
const (
	demandTimeout = 50 * time.Second
	maxDemanded   = 4
)

// probeNow runs journeys against a version because somebody asks for it.
func (s *Server) probeNow(ctx context.Context, service, version string, names []string) (api.Probe, error) {
	select {
	case s.probing <- struct{}{}:
		defer func() { <-s.probing }()
	default:
		return api.Probe{}, &api.Problem{Status: http.StatusTooManyRequests,
			Detail: fmt.Sprintf("%d probes are under way", maxDemanded), Remedy: "send it again when one of them has ended"}
	}
	ctx, cancel := context.WithTimeout(ctx, demandTimeout)
	defer cancel()
	if s.clusterOf(service, version) == nil {
		return api.Probe{}, &api.Problem{Status: http.StatusNotFound, Service: service, Version: version,
			Detail: "the version is not served here", Remedy: "see with sluice status which are"}
	}
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	journeys, err := journeysOf(file, service, names)
	switch {
	case err != nil:
		return api.Probe{}, &api.Problem{Status: http.StatusUnprocessableEntity, Service: service, Field: "journeys", Detail: err.Error(), Remedy: knownJourneys(file)}
	case len(journeys) == 0:
		return api.Probe{}, &api.Problem{Status: http.StatusUnprocessableEntity, Service: service, Field: "journeys",
			Detail: "the service has no journeys", Remedy: knownJourneys(file)}
	}
	trips, err := s.runJourneys(ctx, service, version, journeys, matrix.Demand)
	if errors.Is(err, upstream.ErrNoEndpoint) {
		return api.Probe{}, &api.Problem{Status: http.StatusConflict, Service: service, Version: version,
			Detail: "no endpoint of the version is healthy", Remedy: "see with sluice status what its health checks say"}
	}
	return report(service, version, trips), err
}

func knownJourneys(file *configs.File) string {
	if len(file.Journeys) == 0 {
		return "declare journeys in the file"
	}
	return fmt.Sprintf("known journeys: %s", strings.Join(slices.Sorted(maps.Keys(file.Journeys)), ", "))
}

// report writes trips for the API. What was exchanged is shown where it failed.
func report(service, version string, trips []trip) api.Probe {
	p := api.Probe{Service: service, Version: version, Passed: true, Runs: []api.JourneyRun{}}
	for _, t := range trips {
		run := api.JourneyRun{Journey: t.Journey, Endpoint: t.endpoint, Passed: t.Err == nil, Began: t.Began, Took: api.Duration(t.Took), Steps: []api.JourneyStep{}}
		for _, s := range t.Steps {
			step := api.JourneyStep{Name: s.Name, Took: api.Duration(s.Took), Tries: s.Tries}
			if s.Err != nil {
				step.Failure, step.Request, step.Response = s.Err.Error(), s.Request, s.Response
			}
			run.Steps = append(run.Steps, step)
		}
		p.Passed = p.Passed && run.Passed
		p.Runs = append(p.Runs, run)
	}
	return p
}
