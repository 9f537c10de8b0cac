package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"sluice/admin/api"
	"sluice/stats"
)

// live tells the admin API how the versions do.
type live struct{ s *Server }

// Numbers implements admin.Live.
func (l live) Numbers(service string) map[string]map[string]api.Numbers {
	all := map[string]map[string]api.Numbers{}
	versions := l.s.stats.ServiceSnapshot(service)
	if service == "" {
		versions = l.s.stats.Snapshot()
	}
	for _, v := range versions {
		if all[v.Service] == nil {
			all[v.Service] = map[string]api.Numbers{}
		}
		all[v.Service][v.Version] = l.s.numbers(&v)
	}
	return all
}

// Totals implements admin.Live.
func (l live) Totals() api.Totals {
	p := l.s.stats.Process()
	t := api.Totals{Refused: map[string]uint64{}, OverridesIgnored: p.OverrideIgnored}
	for _, n := range p.NoRoute {
		t.NoRoute += n
	}
	for status, n := range p.Refused {
		t.Refused[fmt.Sprint(status)] = n
	}
	return t
}

// numbers translates the counts of a version.
func (s *Server) numbers(v *stats.VersionStats) api.Numbers {
	n := api.Numbers{
		InFlight: int64(v.InFlight), Requests: v.Requests, RequestsLastMinute: v.RequestsMinute,
		Errors: v.ByClass("5xx"), ByClass: map[string]uint64{}, ByReason: map[string]uint64{},
		Latency: api.Latency{P50: api.Duration(v.Latency.P50), P90: api.Duration(v.Latency.P90),
			P99: api.Duration(v.Latency.P99), P999: api.Duration(v.Latency.P999)},
		LiveSessions: v.LiveSessions, PinsMade: v.PinsMade, PinsMoved: v.PinsMoved, PinsVoided: v.PinsVoided,
		Retries: v.Retries, UpstreamErrors: v.UpstreamErrors, Ejections: v.Ejections, Failovers: v.FailedOver,
		Shielded: v.Shielded, AssetFallbacks: v.AssetFallbacks,
		Tunnels: int64(v.TunnelsActive), BytesIn: v.BytesIn, BytesOut: v.BytesOut,
	}
	for _, c := range v.Counts {
		n.ByClass[c.Class] += c.Count
		n.ByReason[c.Reason] += c.Count
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if cluster := s.fleet.cluster(v.Service, v.Version); cluster != nil {
		n.Healthy, n.Total = cluster.Counts()
	}
	return n
}

// Ready tells whether this instance can serve.
func (s *Server) Ready() bool { return s.ready().Ready }

// ready tells whether this instance can serve, and what is amiss. A file that
// was refused, or a change that is not durable, doesn't make it less ready: it
// serves by what is in force. One that stops is not ready.
func (s *Server) ready() api.Readiness {
	pending := s.keeper.Pending()
	r := api.Readiness{Durable: len(pending) == 0}
	for _, p := range pending {
		r.Pending = append(r.Pending, fmt.Sprintf("%s by %s: %v", p.Command.Kind(), p.Meta.By, p.Err))
	}
	for name, addr := range s.proxy.Addrs() {
		r.Listeners = append(r.Listeners, api.Listener{Name: name, Address: addr.String()})
	}
	slices.SortFunc(r.Listeners, func(a, b api.Listener) int { return cmp.Compare(a.Name, b.Name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.reloadErr, s.applyErr); err != nil {
		r.ConfigError = err.Error()
	}
	r.Down = s.down()
	r.Ready = s.applyErr == nil && !s.stopping
	return r
}

// down returns the services of which no live version has a usable endpoint. The
// caller holds mu.
func (s *Server) down() []string {
	var names []string
	st := s.keeper.State()
	for _, name := range slices.Sorted(maps.Keys(st.Services)) {
		usable := false
		for _, v := range st.Services[name].Versions {
			cluster := s.fleet.cluster(name, v.Name)
			usable = usable || v.Weight > 0 && cluster != nil && cluster.Usable()
		}
		if !usable {
			names = append(names, name)
		}
	}
	return names
}
