package stats

import (
	"math"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// edge counts what is kept out: requests over a rate, connections over a limit,
// load over what can be served.
type edge struct {
	limitedByListener named
	limitedByService  named
	refusedConns      named
	acceptPauses      named
	idleClosed        atomic.Uint64
	shed              atomic.Uint64
	admitted          atomic.Uint64 // float64 bits of 1 minus the share of requests that are admitted
	delay             atomic.Int64  // nanoseconds
}

// RateLimitedByListener counts a request that was refused since its client
// asked a listener too often.
func (r *Registry) RateLimitedByListener(listener string) { r.edge.limitedByListener.count(listener) }

// RateLimitedByService counts a request that was refused since a service, or
// its client there, was asked too often.
func (r *Registry) RateLimitedByService(service string) { r.edge.limitedByService.count(service) }

// ConnectionRefused counts a client's connection that was closed before its
// first request, by the reason: "per_client", "proxy_protocol".
func (r *Registry) ConnectionRefused(reason string) { r.edge.refusedConns.count(reason) }

// AcceptPaused counts that a listener took no connection for a while, by the
// reason: "limit", "descriptors", "error".
func (r *Registry) AcceptPaused(reason string) { r.edge.acceptPauses.count(reason) }

// IdleClosed counts idle connections that were closed to make room.
func (r *Registry) IdleClosed(n int) { r.edge.idleClosed.Add(uint64(n)) }

// Shed counts a request that was refused for overload.
func (r *Registry) Shed() { r.edge.shed.Add(1) }

// SetOverload says which share of the requests is admitted, 0 to 1, and how many
// nanoseconds work that is ready waits for its turn.
func (r *Registry) SetOverload(admitted float64, delay int64) {
	r.edge.admitted.Store(math.Float64bits(1 - admitted))
	r.edge.delay.Store(delay)
}

// EdgeStats is what was counted of requests and connections that were kept out.
type EdgeStats struct {
	LimitedByListener  map[string]uint64 `json:"limited_by_listener"`
	LimitedByService   map[string]uint64 `json:"limited_by_service"`
	RefusedConnections map[string]uint64 `json:"refused_connections"` // by reason
	AcceptPauses       map[string]uint64 `json:"accept_pauses"`       // by reason
	IdleClosed         uint64            `json:"idle_closed"`
	Shed               uint64            `json:"shed"`
	Admitted           float64           `json:"admitted"`    // share of the requests, 1 without overload
	DelayNanos         int64             `json:"delay_nanos"` // that ready work waits for its turn
}

// Edge returns what was counted of requests and connections that were kept out.
func (r *Registry) Edge() EdgeStats {
	e := &r.edge
	return EdgeStats{
		LimitedByListener:  e.limitedByListener.counts(),
		LimitedByService:   e.limitedByService.counts(),
		RefusedConnections: e.refusedConns.counts(),
		AcceptPauses:       e.acceptPauses.counts(),
		IdleClosed:         e.idleClosed.Load(),
		Shed:               e.shed.Load(),
		Admitted:           1 - math.Float64frombits(e.admitted.Load()),
		DelayNanos:         e.delay.Load(),
	}
}

// edgeDescs describe the metrics of edge.
type edgeDescs struct {
	rateLimited, refusedConns, acceptPauses, idleClosed, shed, admitted, delay *prometheus.Desc
}

func newEdgeDescs(desc func(name, help string, labels ...string) *prometheus.Desc) edgeDescs {
	return edgeDescs{
		rateLimited:  desc("rate_limited_total", "Requests refused since a rate was exceeded, by whose rate it was: scope is listener or service.", "scope", "name"),
		refusedConns: desc("connections_refused_total", "Connections of clients closed before their first request.", "reason"),
		acceptPauses: desc("accept_pauses_total", "Times that a listener took no connections for a while, by what was short.", "reason"),
		idleClosed:   desc("idle_connections_closed_total", "Idle connections of clients closed to make room."),
		shed:         desc("shed_total", "Requests refused for overload."),
		admitted:     desc("overload_admitted_ratio", "Share of the requests that are admitted; 1 without overload."),
		delay:        desc("overload_delay_seconds", "Least time that work ready to run waited for its turn in the last interval."),
	}
}

// all returns the descriptions.
func (d *edgeDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.rateLimited, d.refusedConns, d.acceptPauses, d.idleClosed, d.shed, d.admitted, d.delay}
}

// send sends the metrics.
func (d *edgeDescs) send(ch chan<- prometheus.Metric, e EdgeStats) {
	for name, n := range e.LimitedByListener {
		count(ch, d.rateLimited, n, "listener", name)
	}
	for name, n := range e.LimitedByService {
		count(ch, d.rateLimited, n, "service", name)
	}
	for reason, n := range e.RefusedConnections {
		count(ch, d.refusedConns, n, reason)
	}
	for reason, n := range e.AcceptPauses {
		count(ch, d.acceptPauses, n, reason)
	}
	count(ch, d.idleClosed, e.IdleClosed)
	count(ch, d.shed, e.Shed)
	gauge(ch, d.admitted, e.Admitted)
	gauge(ch, d.delay, float64(e.DelayNanos)/1e9)
}
