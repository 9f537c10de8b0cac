package proxy

import (
	"time"

	"sluice/proxy/accesslog"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/stats"
	"sluice/stats/trial"
)

// Table is all that a request needs to be decided and forwarded. It is
// immutable; Server.Swap replaces it whole, and a request that began under one
// table ends under it.
type Table struct {
	Routing *routing.Snapshot
	// Targets holds, by routing.Version's Slot, where each version is reached; nil
	// where no version has the slot.
	Targets []*Target
}

// Target is one version as the data path sees it.
type Target struct {
	Cluster  *upstream.Cluster
	Stats    *stats.Version
	Settings Settings
	// Shape is what the version writes, sent upstream as Sluice-Shape; "" for
	// none.
	Shape string
	// Tags are shown in the access log and in traces. They must not change.
	Tags map[string]string
	// Shadow copies requests that the version answers to another; nil: none, and
	// nothing is spent on that.
	Shadow *Shadow
	// Arm counts the version's part in a trial; nil: it is in none, and nothing is
	// spent on that.
	Arm *trial.Arm

	name     string       // of the version
	tags     string       // Tags as the access log writes them
	constant []byte       // the fields that every request to this version carries
	retries  *retryBudget // of the requests under way
	shadows  *shadowUse   // what the copies to this version use
}

// Settings say how a service's endpoints are treated. Zero values take the
// defaults of DefaultSettings.
type Settings struct {
	// ResponseTimeout is how long an endpoint may take from the end of the
	// request to the head of its response.
	ResponseTimeout time.Duration
	// TryTimeout is how long one try may take to the head of the response; 0 is
	// ResponseTimeout. Where it is shorter, a try that runs out of it is followed
	// by another like one that failed.
	TryTimeout time.Duration
	// TotalTimeout is how long all tries and waits up to the head of the response
	// may take, from the request's head on; 0: no limit.
	TotalTimeout time.Duration
	// RetryOn are statuses after which a request that can be repeated is tried
	// again; the last try's answer stands.
	RetryOn []int
	// RetryBuffer is how many bytes the body of an idempotent request may have to
	// be read before the request is sent, so that it can be sent again; 0: none. A
	// client that expects 100 (Continue) is not kept waiting so.
	RetryBuffer int64
	// HedgeAfter is how long the first bytes of an answer to a safe request may be
	// awaited until a second endpoint is asked too, over HTTP/1.1; 0: for ever.
	HedgeAfter time.Duration
	// BodyTimeout is how long a response body may stand still.
	BodyTimeout time.Duration
	// TunnelIdle is how long a tunnel, such as a WebSocket, may be without a byte
	// either way.
	TunnelIdle time.Duration
	// TunnelTotal is how long a tunnel may last; 0: no limit.
	TunnelTotal time.Duration
	// Retries is how often a request is tried again; negative for never.
	Retries int
	// RetryBudget is the share of a version's requests in flight that may be
	// retries, 0.2 for 20%, negative for none; RetryFloor retries are always
	// allowed. Requests that could not be sent at all have no part in it.
	RetryBudget float64
	RetryFloor  int
	// HostOfEndpoint sends the endpoint's address as Host instead of the
	// client's.
	HostOfEndpoint bool
	// HashBy is the key by which a cluster that balances by hash chooses.
	HashBy HashBy
	// Rates hold the requests to the service to what it takes; nil: to nothing.
	Rates *Rates
}

// DefaultSettings are the settings of a service that says nothing.
var DefaultSettings = Settings{
	ResponseTimeout: 60 * time.Second,
	BodyTimeout:     5 * time.Minute,
	TunnelIdle:      time.Hour,
	Retries:         1,
	RetryBudget:     0.2,
	RetryFloor:      3,
}

// withDefaults fills in the zero values.
func (s Settings) withDefaults() Settings {
	d := DefaultSettings
	if s.ResponseTimeout == 0 {
		s.ResponseTimeout = d.ResponseTimeout
	}
	if s.TryTimeout == 0 {
		s.TryTimeout = s.ResponseTimeout
	}
	if s.BodyTimeout == 0 {
		s.BodyTimeout = d.BodyTimeout
	}
	if s.TunnelIdle == 0 {
		s.TunnelIdle = d.TunnelIdle
	}
	if s.Retries == 0 {
		s.Retries = d.Retries
	}
	if s.RetryBudget == 0 {
		s.RetryBudget = d.RetryBudget
	}
	if s.RetryFloor == 0 {
		s.RetryFloor = d.RetryFloor
	}
	return s
}

// NewTable joins a snapshot with its targets: target i serves the version
// whose Slot is i.
func NewTable(snapshot *routing.Snapshot, targets []Target) *Table {
	t := &Table{Routing: snapshot, Targets: make([]*Target, len(targets))}
	for _, svc := range snapshot.Services() {
		for _, v := range svc.Versions {
			t.Targets[v.Slot] = targets[v.Slot].prepared(v.Name, nil)
		}
	}
	return t
}

// With returns the table of a snapshot that differs from that of t in some
// services alone, by their names. changed holds, by slot, where the versions of
// these are reached. All else is shared with t.
func (t *Table) With(snapshot *routing.Snapshot, services []string, changed map[int]Target) *Table {
	size := len(t.Targets)
	for slot := range changed {
		size = max(size, slot+1)
	}
	targets := make([]*Target, size)
	copy(targets, t.Targets)
	for _, name := range services {
		for _, v := range t.Routing.Service(name).Versions {
			targets[v.Slot] = nil
		}
	}
	for _, name := range services {
		for _, v := range snapshot.Service(name).Versions {
			var before *Target
			if v.Slot < len(t.Targets) {
				before = t.Targets[v.Slot]
			}
			targets[v.Slot] = changed[v.Slot].prepared(v.Name, before)
		}
	}
	return &Table{Routing: snapshot, Targets: targets}
}

// prepared returns the target of a version, complete. before is what stood in
// its slot; the retries under way to the same endpoints still count. Nil:
// nothing.
func (t Target) prepared(version string, before *Target) *Target {
	t.Settings = t.Settings.withDefaults()
	t.name = version
	t.tags = accesslog.Object(t.Tags)
	t.constant = appendConstant(nil, version, t.Shape)
	t.retries, t.shadows = new(retryBudget), new(shadowUse)
	if before != nil && before.Cluster == t.Cluster {
		t.retries, t.shadows = before.retries, before.shadows
	}
	return &t
}

// appendConstant writes the fields that depend on the version alone.
func appendConstant(dst []byte, version, shape string) []byte {
	dst = append(dst, "Sluice-Version: "...)
	dst = append(dst, version...)
	if shape != "" {
		dst = append(dst, "\r\nSluice-Shape: "...)
		dst = append(dst, shape...)
	}
	return append(dst, "\r\n"...)
}

// Usable implements routing.Health: whether the version in this slot has an
// endpoint that can be asked.
func (t *Table) Usable(slot int) bool { return t.Targets[slot].Cluster.Usable() }
