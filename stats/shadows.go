package stats

import "github.com/prometheus/client_golang/prometheus"

// Shadow is what became of a copy of a request.
type Shadow uint8

// The fates of copies: those that were sent, then, from ShadowBusy on, those that
// were dropped.
const (
	ShadowAnswered    Shadow = iota
	ShadowFailed             // no whole answer came
	ShadowBusy               // as many copies are under way as may be
	ShadowMemory             // the memory for copies is used up
	ShadowRequest            // the request's body is too long, or was not at hand whole
	ShadowBaseline           // the customer has no whole answer of the version's own, or one that lasts
	ShadowConnections        // the version has no endpoint, or no connection to spare
	ShadowOverload           // the proxy is overloaded
	ShadowStopped            // the server stopped

	shadows = int(iota)
	dropped = int(ShadowBusy)
)

var shadowNames = [shadows]string{"answered", "failed", "busy", "memory", "request", "baseline", "connections", "overload", "stopped"}

// String returns the fate as metrics have it: "answered", "failed", "busy",
// "memory", "request", "baseline", "connections", "overload" or "stopped".
func (s Shadow) String() string {
	if int(s) < shadows {
		return shadowNames[s]
	}
	return "unknown"
}

// Shadow counts a copy of a request that was meant for the version. It is no
// request, and counts as none.
func (v *Version) Shadow(shard uint32, s Shadow) { v.count(shard, firstShadow+counter(s), 1) }

// shadows returns the fates of copies by name, without those that none had; nil
// where there were no copies.
func (s *sums) shadows() map[string]uint64 {
	var fates map[string]uint64
	for i, name := range shadowNames {
		if n := s.counters[firstShadow+counter(i)]; n > 0 {
			if fates == nil {
				fates = map[string]uint64{}
			}
			fates[name] = n
		}
	}
	return fates
}

// shadowDescs describe the metrics of copies.
type shadowDescs struct{ sent, dropped *prometheus.Desc }

func newShadowDescs(version func(name, help string, labels ...string) *prometheus.Desc) shadowDescs {
	return shadowDescs{
		sent:    version("shadow_requests_total", "Copies of requests that were sent to the version, by whether they were answered.", "outcome"),
		dropped: version("shadow_dropped_total", "Copies of requests that were meant for the version and not sent, or not waited for, by why.", "reason"),
	}
}

// all returns the descriptions.
func (d *shadowDescs) all() []*prometheus.Desc { return []*prometheus.Desc{d.sent, d.dropped} }

// send sends the metrics of a version. One that copies were never meant for has
// none.
func (d *shadowDescs) send(ch chan<- prometheus.Metric, s *sums, service, version string) {
	for i, name := range shadowNames {
		desc := d.sent
		if i >= dropped {
			desc = d.dropped
		}
		if n := s.counters[firstShadow+counter(i)]; n > 0 {
			count(ch, desc, n, service, version, name)
		}
	}
}
