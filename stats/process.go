package stats

import (
	"maps"
	"sync"
	"sync/atomic"
)

// process counts what no version answers for.
type process struct {
	noRoute         named
	refused         [maxStatus + 1]atomic.Uint64
	overrideIgnored named
	h2Abuse         named
	fdExhausted     atomic.Uint64
	reloads         atomic.Uint64
	reloadFailures  atomic.Uint64
	statePending    atomic.Int64
	tableRevision   atomic.Uint64
	tls             tlsCounts
	observed        observed
	rollouts        rolloutCounts
}

const maxStatus = 599

// NoRoute counts a request to a listener that no route matched.
func (r *Registry) NoRoute(listener string) { r.process.noRoute.count(listener) }

// Refused counts a request that was malformed or over a limit, by the status
// with which it was answered; a status that is none counts as 500.
func (r *Registry) Refused(status int) {
	if status < 100 || status > maxStatus {
		status = 500
	}
	r.process.refused[status].Add(1)
}

// OverrideIgnored counts an override that was not followed, by what was wrong
// with it: "expired", "untrusted" and the like.
func (r *Registry) OverrideIgnored(kind string) { r.process.overrideIgnored.count(kind) }

// H2Abuse counts an HTTP/2 connection that was ended for what its client
// overdid: "rapid_reset" and the like.
func (r *Registry) H2Abuse(kind string) { r.process.h2Abuse.count(kind) }

// DescriptorsExhausted counts a connection that failed because no file
// descriptor was left: one to an endpoint, or an accept of a client's.
func (r *Registry) DescriptorsExhausted() { r.process.fdExhausted.Add(1) }

// Reloaded counts a reload of the file that was taken.
func (r *Registry) Reloaded() { r.process.reloads.Add(1) }

// ReloadFailed counts a reload of the file that was refused.
func (r *Registry) ReloadFailed() { r.process.reloadFailures.Add(1) }

// SetStatePending says how many changes are in force and not yet durable.
func (r *Registry) SetStatePending(n int) { r.process.statePending.Store(int64(n)) }

// SetTableRevision says which revision of the state the routing table shows.
func (r *Registry) SetTableRevision(n uint64) { r.process.tableRevision.Store(n) }

// ProcessStats is what was counted that no version answers for.
type ProcessStats struct {
	NoRoute         map[string]uint64 `json:"no_route"`         // by listener
	Refused         map[int]uint64    `json:"refused"`          // by status
	OverrideIgnored map[string]uint64 `json:"override_ignored"` // by kind
	H2Abuse         map[string]uint64 `json:"h2_abuse"`         // by kind
	FDExhausted     uint64            `json:"fd_exhausted"`
	Reloads         uint64            `json:"reloads"`
	ReloadFailures  uint64            `json:"reload_failures"`
	StatePending    int64             `json:"state_pending"`
	TableRevision   uint64            `json:"table_revision"`

	HandshakeFailures   map[string]uint64 `json:"handshake_failures"`   // by listener
	CertificateFailures uint64            `json:"certificate_failures"` // to take or obtain one
}

// Process returns what was counted that no version answers for.
func (r *Registry) Process() ProcessStats {
	p := &r.process
	refused := make(map[int]uint64)
	for status := range p.refused {
		if n := p.refused[status].Load(); n > 0 {
			refused[status] = n
		}
	}
	return ProcessStats{
		NoRoute:         p.noRoute.counts(),
		Refused:         refused,
		OverrideIgnored: p.overrideIgnored.counts(),
		H2Abuse:         p.h2Abuse.counts(),
		FDExhausted:     p.fdExhausted.Load(),
		Reloads:         p.reloads.Load(),
		ReloadFailures:  p.reloadFailures.Load(),
		StatePending:    p.statePending.Load(),
		TableRevision:   p.tableRevision.Load(),

		HandshakeFailures:   p.tls.handshakeFailures.counts(),
		CertificateFailures: p.tls.certificateFailures.Load(),
	}
}

// named counts by name. Counting under a known name takes no lock: the map is
// never changed, only replaced. The zero value is empty.
type named struct {
	known atomic.Pointer[map[string]*atomic.Uint64]
	grow  sync.Mutex
}

// maxNames bounds the names; what comes after counts as other.
const (
	maxNames = 256
	other    = "_other"
)

// count adds one under a name.
func (n *named) count(name string) {
	if known := n.known.Load(); known != nil {
		if c := (*known)[name]; c != nil {
			c.Add(1)
			return
		}
	}
	n.learn(name).Add(1)
}

// learn returns the counter of a name that may be new.
func (n *named) learn(name string) *atomic.Uint64 {
	n.grow.Lock()
	defer n.grow.Unlock()
	name = valid(name)
	known := map[string]*atomic.Uint64{}
	if p := n.known.Load(); p != nil {
		known = *p
	}
	if known[name] == nil && len(known) >= maxNames {
		name = other
	}
	if c := known[name]; c != nil {
		return c
	}
	known = maps.Clone(known)
	known[name] = new(atomic.Uint64)
	n.known.Store(&known)
	return known[name]
}

// counts returns the counts by name.
func (n *named) counts() map[string]uint64 {
	all := make(map[string]uint64)
	if p := n.known.Load(); p != nil {
		for name, c := range *p {
			all[name] = c.Load()
		}
	}
	return all
}
