package stats

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// The Prometheus buckets end at the powers of two of a second from 2^-13 s
// (0.12 ms) to 2^6 s (64 s): 20 of the histogram's own edges, so their counts
// are exact but for values on an edge, which fall above it.
const (
	leastExposedOctave = -13
	lastExposedOctave  = 6
)

// versionLabels are the labels of all series of a version.
var versionLabels = []string{"service", "version"}

// collector turns a registry into Prometheus metrics at each scrape.
type collector struct {
	registry *Registry
	requests, duration, inFlight, sessions,
	lookupFailures, overloaded, pending, fdExhausted, hedges, hedgesWon,
	retries, errors, ejections, failovers, failoversTaken, shielded, fellBack, aborted,
	tunnelsActive, tunnelsOpened, streamsClosed, bytes, pinsMade, pinsMoved, pinsVoided,
	weight, info,
	noRoute, refused, overrideIgnored, h2Abuse, reloads, reloadFailures,
	statePending, tableRevision *prometheus.Desc
	synthetic *prometheus.Desc
	edge      edgeDescs
	tls       tlsDescs
	seen      observedDescs
	roll      rolloutDescs
	probes    probeDescs
	shadow    shadowDescs
	compared  comparedDescs
}

// Collector returns the registry's metrics for Prometheus. A version that
// never had traffic has only its weight and its info; versions beyond
// Options.MaxExposed, or with names that no label can hold, are summed up as
// service and version "_other"; forgotten ones disappear.
func Collector(r *Registry) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("sluice_"+name, help, labels, nil)
	}
	version := func(name, help string, labels ...string) *prometheus.Desc {
		return desc(name, help, append(versionLabels[:2:2], labels...)...)
	}
	return &collector{
		registry:        r,
		requests:        version("requests_total", "Finished requests by status class and by the reason for which the version was chosen.", "code_class", "reason"),
		duration:        version("request_duration_seconds", "Time from a request's first byte to its response's last."),
		inFlight:        version("requests_in_flight", "Requests begun and not finished."),
		sessions:        version("sessions_live", "Estimated number of distinct sessions seen in the trailing window."),
		retries:         version("retries_total", "Requests sent to an endpoint again."),
		errors:          version("upstream_errors_total", "Requests that an endpoint failed, by the kind of the last failure.", "kind"),
		ejections:       version("ejections_total", "Endpoints taken out for failing."),
		lookupFailures:  version("dns_failures_total", "Lookups of the version's endpoints in the DNS that failed or found none."),
		overloaded:      version("upstream_overloaded_total", "Requests refused because all connections allowed to the version were in use."),
		hedges:          version("hedges_total", "Requests that a second endpoint was asked for, since the first was slow."),
		hedgesWon:       version("hedges_won_total", "Requests that the second endpoint answered."),
		pending:         version("upstream_pending", "Requests that wait for a connection to the version."),
		fdExhausted:     desc("fd_exhausted_total", "Connections, to endpoints or of clients, that failed because no file descriptor was left."),
		failovers:       version("failovers_total", "Requests that another version answered because this one had no healthy endpoint."),
		failoversTaken:  version("failovers_taken_total", "Requests that this version answered in place of another."),
		shielded:        version("shielded_total", "Requests that this version failed and the baseline was asked for in its place."),
		fellBack:        version("asset_fallbacks_total", "Requests for an asset that this version does not have and another answered."),
		aborted:         version("requests_aborted_total", "Requests whose client left before the response was complete."),
		tunnelsActive:   version("tunnels_active", "Upgraded connections that are open, such as WebSockets."),
		tunnelsOpened:   version("tunnels_opened_total", "Connections upgraded to tunnels."),
		streamsClosed:   version("streams_closed_total", "Tunnels, and responses that last, that were closed before their time."),
		bytes:           version("bytes_total", "Body bytes, in from clients and out to them.", "direction"),
		pinsMade:        version("pins_made_total", "Pins made: sessions begun on the version."),
		pinsMoved:       version("pins_moved_total", "Sessions pinned to the version that were split anew, away from it."),
		pinsVoided:      version("pins_voided_total", "Pins to the version that were refused because they no longer hold."),
		weight:          version("version_weight", "Weight of the version: its share of new sessions, relative to its siblings."),
		info:            version("version_info", "What the version is; always 1. The label tags has its tags as NAME=VALUE, by name, with commas between, up to 256 bytes; commit is the one of that name.", "commit", "shape", "tags"),
		noRoute:         desc("no_route_requests_total", "Requests that no route matched.", "listener"),
		refused:         desc("refused_requests_total", "Malformed or oversized requests, by the status with which they were refused.", "status"),
		overrideIgnored: desc("override_ignored_total", "Overrides that were not followed, by what was wrong with them.", "kind"),
		h2Abuse:         desc("h2_abuse_total", "HTTP/2 connections that were ended for what their client overdid, by what that was.", "kind"),
		reloads:         desc("config_reloads_total", "Reloads of the configuration file that were taken."),
		reloadFailures:  desc("config_reload_failures_total", "Reloads of the configuration file that were refused."),
		statePending:    desc("state_pending", "Changes of the desired state that are in force and not yet durable."),
		tableRevision:   desc("table_revision", "Revision of the desired state that the routing table shows."),
		synthetic:       newSyntheticDesc(version),
		edge:            newEdgeDescs(desc),
		tls:             newTLSDescs(desc),
		seen:            newObservedDescs(desc),
		roll:            newRolloutDescs(desc),
		probes:          newProbeDescs(desc),
		shadow:          newShadowDescs(version),
		compared:        newComparedDescs(version),
	}
}

// Describe sends the descriptions of all metrics.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.requests, c.duration, c.inFlight, c.sessions,
		c.lookupFailures, c.overloaded, c.pending, c.fdExhausted, c.hedges, c.hedgesWon,
		c.retries, c.errors, c.ejections, c.failovers, c.failoversTaken, c.shielded, c.fellBack, c.aborted,
		c.tunnelsActive, c.tunnelsOpened, c.streamsClosed, c.bytes, c.pinsMade, c.pinsMoved, c.pinsVoided,
		c.weight, c.info,
		c.noRoute, c.refused, c.overrideIgnored, c.h2Abuse, c.reloads, c.reloadFailures,
		c.statePending, c.tableRevision, c.synthetic,
	} {
		ch <- d
	}
	for _, d := range slices.Concat(c.edge.all(), c.tls.all(), c.seen.all(), c.roll.all(), c.probes.all(), c.shadow.all(), c.compared.all()) {
		ch <- d
	}
}

// Collect sends all metrics as they are now.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	r := c.registry
	now := r.now()
	s, rest := newSums(len(r.reasonNames)), newSums(len(r.reasonNames))
	var restLive uint64
	var restActive bool
	versions := r.versions("")
	for _, v := range versions {
		active := v.traffic.Load() != nil
		if v.exposed {
			c.describeVersion(ch, v)
		}
		if !active {
			continue
		}
		s.reset()
		v.sum(s, now)
		if v.exposed {
			c.sendVersion(ch, s, v.live(now), v.service, v.name)
			continue
		}
		restActive = true
		rest.merge(s)
		restLive += v.live(now)
	}
	if restActive {
		c.sendVersion(ch, rest, restLive, other, other)
	}
	c.sendSynthetic(ch, versions)
	c.sendProcess(ch)
	c.tls.send(ch, c.registry)
	c.seen.send(ch, &c.registry.process.observed)
	c.roll.send(ch, c.registry)
	c.probes.send(ch, c.registry)
	c.compared.send(ch, c.registry)
}

// describeVersion sends what the desired state says of a version.
func (c *collector) describeVersion(ch chan<- prometheus.Metric, v *Version) {
	d, ok := c.registry.describe(v)
	if !ok {
		return
	}
	gauge(ch, c.weight, float64(d.Weight), v.service, v.name)
	gauge(ch, c.pending, float64(d.Pending), v.service, v.name)
	gauge(ch, c.info, 1, v.service, v.name, valid(d.Tags["commit"]), valid(d.Shape), valid(tagsText(d.Tags)))
}

// maxTagsText bounds the label tags, in bytes: a version may have a hundred tags
// of a kilobyte each, for other readers.
const maxTagsText = 256

// tagsText writes tags by name, as many as fit, each whole.
func tagsText(tags map[string]string) string {
	var text []byte
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if len(text)+len(",")+len(name)+len("=")+len(tags[name]) > maxTagsText {
			continue
		}
		if len(text) > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, name...), '='), tags[name]...)
	}
	return string(text)
}

func (c *collector) sendVersion(ch chan<- prometheus.Metric, s *sums, live uint64, service, version string) {
	for i, n := range s.requests {
		if n > 0 {
			count(ch, c.requests, n, service, version, classNames[i%classes], c.registry.reasonNames[i/classes])
		}
	}
	c.sendDuration(ch, &s.latency, service, version)
	gauge(ch, c.inFlight, float64(s.inFlight()), service, version)
	gauge(ch, c.sessions, float64(live), service, version)
	gauge(ch, c.tunnelsActive, float64(s.tunnels()), service, version)
	for k, name := range upstreamErrorNames {
		count(ch, c.errors, s.counters[firstError+counter(k)], service, version, name)
	}
	count(ch, c.bytes, s.counters[bytesIn], service, version, "in")
	count(ch, c.bytes, s.counters[bytesOut], service, version, "out")
	for _, m := range []struct {
		desc    *prometheus.Desc
		counter counter
	}{
		{c.retries, retries},
		{c.ejections, ejections},
		{c.lookupFailures, lookupFailures},
		{c.overloaded, overloaded},
		{c.hedges, hedges},
		{c.hedgesWon, hedgesWon},
		{c.failovers, failedOver},
		{c.failoversTaken, failoversTaken},
		{c.shielded, shielded},
		{c.fellBack, fellBack},
		{c.aborted, aborted},
		{c.tunnelsOpened, tunnelsOpened},
		{c.streamsClosed, streamsClosed},
		{c.pinsMade, pinsMade},
		{c.pinsMoved, pinsMoved},
		{c.pinsVoided, pinsVoided},
	} {
		count(ch, m.desc, s.counters[m.counter], service, version)
	}
	c.shadow.send(ch, s, service, version)
}

// sendDuration sends the histogram in the coarser Prometheus buckets.
func (c *collector) sendDuration(ch chan<- prometheus.Metric, h *Histogram, service, version string) {
	buckets := make(map[float64]uint64, lastExposedOctave-leastExposedOctave+1)
	var below uint64
	b := 0
	for octave := leastExposedOctave; octave <= lastExposedOctave; octave++ {
		for end := 1 + (octave-leastOctave)*stepsPerOctave; b < end; b++ {
			below += h.Counts[b]
		}
		buckets[math.Ldexp(1, octave)] = below
	}
	ch <- prometheus.MustNewConstHistogram(c.duration, h.Count(), float64(h.Micros)/1e6, buckets, service, version)
}

func (c *collector) sendProcess(ch chan<- prometheus.Metric) {
	p := c.registry.Process()
	for listener, n := range p.NoRoute {
		count(ch, c.noRoute, n, listener)
	}
	for status, n := range p.Refused {
		count(ch, c.refused, n, strconv.Itoa(status))
	}
	for kind, n := range p.OverrideIgnored {
		count(ch, c.overrideIgnored, n, kind)
	}
	for kind, n := range p.H2Abuse {
		count(ch, c.h2Abuse, n, kind)
	}
	count(ch, c.fdExhausted, p.FDExhausted)
	count(ch, c.reloads, p.Reloads)
	count(ch, c.reloadFailures, p.ReloadFailures)
	gauge(ch, c.statePending, float64(p.StatePending))
	gauge(ch, c.tableRevision, float64(p.TableRevision))
	c.edge.send(ch, c.registry.Edge())
}

// The labels that reach count and gauge are valid UTF-8, without which they
// would panic: versions that are not are not exposed, the rest is repaired.
func count(ch chan<- prometheus.Metric, d *prometheus.Desc, n uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, x float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
}
