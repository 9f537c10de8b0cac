package server

import (
	"maps"
	"slices"

	"go.uber.org/zap"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/state"
	"sluice/stats"
)

// changed takes a new state in. The keeper calls it before it answers the
// command, so that an acknowledged flip is in force.
func (s *Server) changed(st state.State, _ []state.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(sources{s.file, st})
}

// apply builds the table of a file and a state and swaps it in. The table
// before stays in force where that fails, which should not happen: commands and
// files are refused before. The caller holds mu.
func (s *Server) apply(from sources) {
	if s.closed {
		return
	}
	s.stats.SetStatePending(len(s.keeper.Pending()))
	var table *proxy.Table
	names, isPart := s.inForce.changes(from)
	if isPart {
		table, s.applyErr = s.fleet.part(s.proxy.Table(), from, names)
	} else {
		names = slices.Collect(maps.Keys(s.fleet.members))
		table, s.applyErr = s.fleet.whole(from)
	}
	if s.applyErr != nil {
		s.log.Error("the newest state can't be routed by; the one before stays in force", zap.Error(s.applyErr))
		return
	}
	s.proxy.Swap(table)
	s.followVersions(names, s.inForce.file, from)
	s.closeStreams(s.inForce.state, from)
	s.inForce = from
	s.fleet.retire(names, from.file, from.state)
	s.stats.SetTableRevision(from.state.Revision)
}

// overrideKeys translates the keys of override tokens.
func overrideKeys(file *configs.File) []routing.Key {
	var keys []routing.Key
	for _, k := range file.Override.Keys {
		keys = append(keys, routing.Key{ID: k.ID, Secret: k.Secret.Bytes()})
	}
	return keys
}

// describe tells the statistics what the state says of a version.
func (s *Server) describe(service, version string) (stats.Description, bool) {
	svc := s.keeper.State().Services[service]
	if svc == nil || svc.Versions[version] == nil {
		return stats.Description{}, false
	}
	v := svc.Versions[version]
	d := stats.Description{Weight: v.Weight, Tags: v.Spec.Tags}
	if v.Spec.Shape != nil {
		d.Shape = v.Spec.Shape.Writes
	}
	if c := s.clusterOf(service, version); c != nil {
		d.Pending = c.Pending()
	}
	return d, true
}

// clusterOf returns the endpoints of a version; nil if it has none.
func (s *Server) clusterOf(service, version string) *upstream.Cluster {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fleet.cluster(service, version)
}
