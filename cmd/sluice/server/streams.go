package server

import (
	"time"

	"sluice/proxy/upstream"
	"sluice/state"
)

// closeStreams closes what lasts on versions without weight, of the services
// that were flipped with that wish between two states. It follows from the
// states alone, so that every instance that sees the flip does it. A service
// that was not there before has no streams.
func (s *Server) closeStreams(before state.State, now sources) {
	for name, svc := range now.state.Services {
		old := before.Services[name]
		if old == nil || old == svc || !svc.ClosesStreams(old.Epoch) {
			continue
		}
		jitter := time.Duration(0)
		if declared := now.file.Services[name]; declared != nil {
			jitter = declared.StreamsJitter
		}
		s.proxy.CloseStreams(s.fleet.withoutWeight(svc), now.state.Revision, jitter)
	}
}

// withoutWeight returns the endpoints of a service's versions that have no
// weight.
func (f *fleet) withoutWeight(svc *state.Service) []*upstream.Cluster {
	var clusters []*upstream.Cluster
	for name, v := range svc.Versions {
		if cluster := f.cluster(svc.Name, name); v.Weight == 0 && cluster != nil {
			clusters = append(clusters, cluster)
		}
	}
	return clusters
}
