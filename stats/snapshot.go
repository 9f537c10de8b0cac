package stats

import "time"

// VersionStats is what a version counted so far, as the API shows it. Counts
// run from the start of the process or the last Forget.
type VersionStats struct {
	Service string `json:"service"`
	Version string `json:"version"`

	Requests       uint64         `json:"requests"` // finished ones
	RequestsMinute uint64         `json:"requests_minute"`
	InFlight       uint64         `json:"in_flight"`
	Counts         []RequestCount `json:"counts"` // the finished requests apart, zeros left out
	Latency        Latency        `json:"latency"`
	BytesIn        uint64         `json:"bytes_in"`
	BytesOut       uint64         `json:"bytes_out"`
	Aborted        uint64         `json:"aborted"` // the client left early

	LiveSessions uint64 `json:"live_sessions"` // an estimate, standard error 2.3%
	PinsMade     uint64 `json:"pins_made"`
	PinsMoved    uint64 `json:"pins_moved"`
	PinsVoided   uint64 `json:"pins_voided"`

	Retries        uint64            `json:"retries"`
	UpstreamErrors map[string]uint64 `json:"upstream_errors"` // by kind, zeros left out
	Ejections      uint64            `json:"ejections"`
	Overloaded     uint64            `json:"overloaded"`      // requests refused for want of a connection
	Hedges         uint64            `json:"hedges"`          // requests that a second endpoint was asked for
	HedgesWon      uint64            `json:"hedges_won"`      // those that it answered
	FailedOver     uint64            `json:"failed_over"`     // others answered for it
	FailoversTaken uint64            `json:"failovers_taken"` // it answered for others
	Shielded       uint64            `json:"shielded"`        // the baseline was asked in its place
	AssetFallbacks uint64            `json:"asset_fallbacks"` // others had an asset that it lacks
	TunnelsOpened  uint64            `json:"tunnels_opened"`
	StreamsClosed  uint64            `json:"streams_closed"` // before their time
	TunnelsActive  uint64            `json:"tunnels_active"`
	Shadows        map[string]uint64 `json:"shadows,omitempty"` // copies of requests, by fate, zeros left out

	// Weight is nil where Options.Describe does not know the version.
	Weight *int   `json:"weight,omitempty"`
	Shares Shares `json:"shares"`
}

// RequestCount is how many requests ended in a status class for a reason.
type RequestCount struct {
	Class  string `json:"class"` // "1xx" to "5xx", or "none" for no answer
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Latency is the distribution of durations, in nanoseconds, to within 4.4%
// from 1 µs to 128 s, and what is above it as 128 s.
type Latency struct {
	Mean time.Duration `json:"mean_ns"` // exact
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p999_ns"`
}

// Shares are a version's parts of its service, from 0 to 1, three ways since
// they differ (DESIGN, section 3). Where the service has none of a thing, all
// its shares are 0.
type Shares struct {
	Weight        float64 `json:"weight"`         // of new sessions, as decided
	Sessions      float64 `json:"sessions"`       // of live sessions; one that moved counts in both versions
	Requests      float64 `json:"requests"`       // of the requests of the last minute
	RequestsTotal float64 `json:"requests_total"` // of all requests
}

// ByClass returns how many requests ended in a status class.
func (s *VersionStats) ByClass(class string) uint64 {
	var n uint64
	for _, c := range s.Counts {
		if c.Class == class {
			n += c.Count
		}
	}
	return n
}

// ByReason returns how many requests came to the version for a reason.
func (s *VersionStats) ByReason(reason string) uint64 {
	var n uint64
	for _, c := range s.Counts {
		if c.Reason == reason {
			n += c.Count
		}
	}
	return n
}

// Snapshot returns the counts of all versions, by service and version.
func (r *Registry) Snapshot() []VersionStats { return r.stats(r.versions("")) }

// ServiceSnapshot returns the counts of one service's versions, by version.
func (r *Registry) ServiceSnapshot(service string) []VersionStats {
	if service == "" {
		return nil
	}
	return r.stats(r.versions(service))
}

func (r *Registry) stats(versions []*Version) []VersionStats {
	now := r.now()
	all := make([]VersionStats, len(versions))
	s := newSums(len(r.reasonNames))
	for i, v := range versions {
		s.reset()
		v.sum(s, now)
		all[i] = r.versionStats(v, s, now)
	}
	for start := 0; start < len(all); {
		end := start + 1
		for end < len(all) && all[end].Service == all[start].Service {
			end++
		}
		share(all[start:end])
		start = end
	}
	return all
}

func (r *Registry) versionStats(v *Version, s *sums, now int64) VersionStats {
	stats := VersionStats{
		Service:        v.service,
		Version:        v.name,
		Requests:       s.finished(),
		RequestsMinute: s.minute,
		InFlight:       s.inFlight(),
		Counts:         r.requestCounts(s),
		Latency:        latencyOf(&s.latency),
		BytesIn:        s.counters[bytesIn],
		BytesOut:       s.counters[bytesOut],
		Aborted:        s.counters[aborted],
		LiveSessions:   v.live(now),
		PinsMade:       s.counters[pinsMade],
		PinsMoved:      s.counters[pinsMoved],
		PinsVoided:     s.counters[pinsVoided],
		Retries:        s.counters[retries],
		UpstreamErrors: s.upstreamErrors(),
		Ejections:      s.counters[ejections],
		Overloaded:     s.counters[overloaded],
		Hedges:         s.counters[hedges],
		HedgesWon:      s.counters[hedgesWon],
		FailedOver:     s.counters[failedOver],
		FailoversTaken: s.counters[failoversTaken],
		Shielded:       s.counters[shielded],
		AssetFallbacks: s.counters[fellBack],
		TunnelsOpened:  s.counters[tunnelsOpened],
		StreamsClosed:  s.counters[streamsClosed],
		TunnelsActive:  s.tunnels(),
		Shadows:        s.shadows(),
	}
	if d, ok := r.describe(v); ok {
		stats.Weight = &d.Weight
	}
	return stats
}

// requestCounts names the cells that are not 0. It returns an empty slice, not
// nil, so that JSON shows a list.
func (r *Registry) requestCounts(s *sums) []RequestCount {
	cells := []RequestCount{}
	for i, n := range s.requests {
		if n > 0 {
			cells = append(cells, RequestCount{classNames[i%classes], r.reasonNames[i/classes], n})
		}
	}
	return cells
}

func (s *sums) upstreamErrors() map[string]uint64 {
	kinds := map[string]uint64{}
	for k, name := range upstreamErrorNames {
		if n := s.counters[firstError+counter(k)]; n > 0 {
			kinds[name] = n
		}
	}
	return kinds
}

func latencyOf(h *Histogram) Latency {
	return Latency{
		Mean: h.Mean(),
		P50:  h.Quantile(0.5),
		P90:  h.Quantile(0.9),
		P99:  h.Quantile(0.99),
		P999: h.Quantile(0.999),
	}
}

// share fills in the shares of the versions of one service.
func share(versions []VersionStats) {
	var weight, sessions, minute, requests uint64
	for i := range versions {
		v := &versions[i]
		weight += v.weight()
		sessions += v.LiveSessions
		minute += v.RequestsMinute
		requests += v.Requests
	}
	for i := range versions {
		v := &versions[i]
		v.Shares = Shares{
			Weight:        part(v.weight(), weight),
			Sessions:      part(v.LiveSessions, sessions),
			Requests:      part(v.RequestsMinute, minute),
			RequestsTotal: part(v.Requests, requests),
		}
	}
}

func (s *VersionStats) weight() uint64 {
	if s.Weight == nil {
		return 0
	}
	return uint64(max(*s.Weight, 0))
}

func part(n, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(n) / float64(all)
}
