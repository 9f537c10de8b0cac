package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"sluice/proxy/upstream"
	"sluice/synthetic/journey"
)

// trip is a run of a journey against a version.
type trip struct {
	endpoint string // that was asked, or by the routing the last that was; "": none
	journey.Result
}

// failure says why the trip failed.
func (t *trip) failure() error {
	if t.endpoint == "" {
		return t.Err
	}
	return fmt.Errorf("endpoint %s: %w", t.endpoint, t.Err)
}

// travel runs journeys against a version, one after another. Its error is as
// runJourney's.
func (s *Server) travel(ctx context.Context, service, version string, journeys []*journey.Journey) ([]trip, error) {
	var trips []trip
	for _, j := range journeys {
		more, err := s.runJourney(ctx, service, version, j)
		if err != nil {
			return trips, err
		}
		trips = append(trips, more...)
	}
	return trips, nil
}

// runJourney runs a journey against a version: once by the proxy's own routing,
// with an override, or, where it is direct, against each healthy endpoint. Its
// error is upstream.ErrNoEndpoint, or says that the version is not served here.
func (s *Server) runJourney(ctx context.Context, service, version string, j *journey.Journey) ([]trip, error) {
	c := s.clusterOf(service, version)
	switch {
	case c == nil:
		return nil, fmt.Errorf("version %q of service %q is not served here", version, service)
	case !c.Usable():
		return nil, upstream.ErrNoEndpoint
	}
	var trips []trip
	var err error
	if j.Direct() {
		trips, err = askEach(ctx, c, j)
	} else {
		trips = []trip{s.askRouted(ctx, service, version, j)}
	}
	for _, t := range trips {
		if t.Err != nil {
			last := t.Steps[len(t.Steps)-1]
			s.log.Debug("a journey failed", zap.String("service", service), zap.String("version", version), zap.String("journey", j.Name()),
				zap.String("endpoint", t.endpoint), zap.Error(t.Err), zap.String("request", last.Request), zap.String("response", last.Response))
		}
	}
	return trips, err
}

// askEach runs a journey against each healthy endpoint, some at the same time.
func askEach(ctx context.Context, c *upstream.Cluster, j *journey.Journey) ([]trip, error) {
	var mu sync.Mutex
	var trips []trip
	_, err := c.Ask(ctx, func(ctx context.Context, e upstream.Asked) error {
		res := j.Run(ctx, journey.Target{Host: e.Host, Send: e.Send, TLS: endpointTLS(e)})
		mu.Lock()
		defer mu.Unlock()
		trips = append(trips, trip{e.Address, res})
		return nil
	})
	slices.SortFunc(trips, func(a, b trip) int { return strings.Compare(a.endpoint, b.endpoint) })
	return trips, err
}

// askRouted runs a journey by the routing.
func (s *Server) askRouted(ctx context.Context, service, version string, j *journey.Journey) trip {
	r := s.routedTo(service, version)
	defer r.close()
	res := j.Run(ctx, r.target())
	if missed := r.missed(); missed != nil {
		last := &res.Steps[len(res.Steps)-1]
		if last.Err != nil {
			missed = fmt.Errorf("%w; %w", last.Err, missed)
		}
		last.Err = missed
		res.Err = &journey.StepError{Journey: j.Name(), Step: last.Name, Err: missed}
	}
	return trip{r.endpoint, res}
}
