package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"

	"go.uber.org/zap"

	"sluice/configs"
	"sluice/proxy/upstream"
	"sluice/state"
	"sluice/synthetic/journey"
	"sluice/synthetic/matrix"
)

// suites are the journeys of a service, and the versions that they are run
// against.
type suites struct {
	journeys []*journey.Journey
	names    []string // of the journeys
	probe    configs.Probe
	edition  int              // of the journeys
	builds   map[string]build // by version
}

// build is what a version's runs are about. One that is registered under the same
// name as another is another, and what was seen of that one says nothing of it.
type build struct {
	version *state.Version
	number  int
}

// newMatrix makes what runs journeys again and again, and what keeps their runs.
func (s *Server) newMatrix() {
	s.history = matrix.NewHistory(matrix.DefaultLimits())
	s.suites = map[string]*suites{}
	s.scheduler = matrix.NewScheduler(matrix.Options{Now: s.now, Rand: rand.Float64, Run: s.runScheduled})
}

// stopMatrix ends what newMatrix has made.
func (s *Server) stopMatrix() {
	if s.scheduler != nil {
		s.scheduler.Stop()
	}
}

// followVersions brings the suites of services in line with a file and a state
// that are in force now; before is the file that was. The caller holds mu.
func (s *Server) followVersions(services []string, before *configs.File, now sources) {
	if before != now.file {
		s.scheduler.SetConcurrency(now.file.Probes.Concurrency)
		services = slices.Concat(services, now.services())
		slices.Sort(services)
		services = slices.Compact(services)
	}
	for _, name := range services {
		declared, svc := now.file.Services[name], now.state.Services[name]
		if declared == nil || svc == nil {
			delete(s.suites, name)
			s.scheduler.Follow(name, nil)
			s.history.Forget(name, func(matrix.Key) bool { return true })
			continue
		}
		of := s.suites[name]
		if of == nil {
			of = &suites{builds: map[string]build{}}
			s.suites[name] = of
		}
		if before != now.file {
			s.takeJourneys(name, of, before, now.file)
		}
		s.takeVersions(name, of, svc)
		s.scheduler.Follow(name, of.list(name))
	}
}

// takeJourneys takes in what a new file says of a service's journeys. What was
// seen of a journey that has changed is forgotten.
func (s *Server) takeJourneys(service string, of *suites, before, now *configs.File) {
	all, err := journeysOf(now, service, nil)
	if err != nil { // which a file that was loaded has not
		s.log.Error("the journeys of a service are not run", zap.String("service", service), zap.Error(err))
		all = nil
	}
	names := now.Services[service].Journeys
	moved := before == nil || len(names) > 0 && hostOf(before, service) != hostOf(now, service)
	changed := func(name string) bool {
		return moved || !reflect.DeepEqual(before.Journeys[name], now.Journeys[name])
	}
	if !slices.Equal(names, of.names) || slices.ContainsFunc(names, changed) {
		of.edition++
	}
	of.journeys, of.names, of.probe = all, names, now.Services[service].Probe
	s.history.Forget(service, func(k matrix.Key) bool { return now.Journeys[k.Journey] == nil || changed(k.Journey) })
}

// takeVersions takes in the versions of a service.
func (s *Server) takeVersions(service string, of *suites, svc *state.Service) {
	gone := map[string]bool{}
	for name, was := range of.builds {
		if v := svc.Versions[name]; v == nil || !sameBuild(was.version, v) {
			gone[name] = true
		}
	}
	for name, v := range svc.Versions {
		was := of.builds[name]
		if was.version == nil || gone[name] {
			s.edition++
			was.number = s.edition
		}
		of.builds[name] = build{v, was.number}
	}
	maps.DeleteFunc(of.builds, func(name string, _ build) bool { return svc.Versions[name] == nil })
	if len(gone) > 0 {
		s.history.Forget(service, func(k matrix.Key) bool { return gone[k.Version] })
	}
}

// sameBuild tells whether a version is the one of that name before: added at the
// same time, called the same, and still reached at one of its endpoints. Endpoints
// come and go with the load.
func sameBuild(a, b *state.Version) bool {
	return a.Added == b.Added && maps.Equal(a.Spec.Tags, b.Spec.Tags) && reflect.DeepEqual(a.Spec.Shape, b.Spec.Shape) &&
		slices.ContainsFunc(a.Spec.Endpoints, func(e string) bool { return slices.Contains(b.Spec.Endpoints, e) })
}

// list returns the suites for the scheduler.
func (of *suites) list(service string) []matrix.Suite {
	if len(of.journeys) == 0 {
		return nil
	}
	var all []matrix.Suite
	for name, b := range of.builds {
		all = append(all, matrix.Suite{
			Place: matrix.Place{Service: service, Version: name}, Every: of.probe.Every, Deadline: of.probe.Deadline,
			Build: fmt.Sprintf("%d/%d", of.edition, b.number),
		})
	}
	return all
}

// runScheduled runs a suite for the scheduler.
func (s *Server) runScheduled(ctx context.Context, suite matrix.Suite, cause matrix.Cause) bool {
	var journeys []*journey.Journey
	s.mu.Lock()
	if of := s.suites[suite.Service]; of != nil {
		journeys = of.journeys
	}
	s.mu.Unlock()
	trips, err := s.runJourneys(ctx, suite.Service, suite.Version, journeys, cause)
	return err == nil && !slices.ContainsFunc(trips, func(t trip) bool { return t.Err != nil })
}

// runJourneys runs journeys against a version and records what came of them. Its
// error is upstream.ErrNoEndpoint, or says that the version is not served here.
func (s *Server) runJourneys(ctx context.Context, service, version string, journeys []*journey.Journey, cause matrix.Cause) ([]trip, error) {
	s.mu.Lock()
	c, file, began := s.fleet.cluster(service, version), s.file, s.buildOf(service, version)
	s.mu.Unlock()
	if c == nil {
		return nil, fmt.Errorf("version %q of service %q is not served here", version, service)
	}
	at := s.now()
	trips, err := s.travel(ctx, service, version, journeys)
	if cut := ctx.Err(); errors.Is(cut, context.Canceled) || cut != nil && cause == matrix.Demand {
		return trips, err // whoever asked did not wait: that says nothing of the version
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if began == 0 || s.buildOf(service, version) != began {
		return trips, err // what they were about is no more
	}
	for _, j := range journeys {
		if s.file != file && !reflect.DeepEqual(s.file.Journeys[j.Name()], file.Journeys[j.Name()]) {
			continue
		}
		key := matrix.Key{Service: service, Version: version, Journey: j.Name()}
		switch results := resultsOf(trips, j.Name()); {
		case len(results) > 0:
			s.history.Add(key, matrix.Gather(cause, results))
		case errors.Is(err, upstream.ErrNoEndpoint):
			s.history.Add(key, matrix.None(cause, at, err))
		}
	}
	return trips, err
}

// buildOf returns the number of a version's build; 0: there is no such version.
// The caller holds mu.
func (s *Server) buildOf(service, version string) int {
	if of := s.suites[service]; of != nil {
		return of.builds[version].number
	}
	return 0
}

// resultsOf returns what a journey did on each trip.
func resultsOf(trips []trip, name string) []matrix.Result {
	var results []matrix.Result
	for _, t := range trips {
		if t.Journey == name {
			results = append(results, matrix.Result{Endpoint: t.endpoint, Result: t.Result})
		}
	}
	return results
}
