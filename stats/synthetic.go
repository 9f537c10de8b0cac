package stats

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests of journeys count apart from those of customers. They are few, so that
// their counters are not sharded.

// synthetic counts a version's, by the class of the answer's status.
type synthetic [classes]atomic.Uint64

// Apart returns counters that nobody reads: those of requests that are to change
// no figure.
func (r *Registry) Apart() *Version { return &Version{registry: r} }

// Synthetic counts a request of a journey that the version was asked, by the
// status of the answer; 0: there was none.
func (v *Version) Synthetic(status int) {
	s := v.synthetic.Load()
	if s == nil {
		v.synthetic.CompareAndSwap(nil, new(synthetic))
		s = v.synthetic.Load()
	}
	s[classOf(status)].Add(1)
}

// Synthetics returns how many requests of journeys the version was asked.
func (v *Version) Synthetics() (n uint64) {
	if s := v.synthetic.Load(); s != nil {
		for i := range s {
			n += s[i].Load()
		}
	}
	return n
}

// newSyntheticDesc describes the metric of synthetic requests.
func newSyntheticDesc(version func(name, help string, labels ...string) *prometheus.Desc) *prometheus.Desc {
	return version("synthetic_requests_total", "Requests of journeys, which no other metric of requests counts, by status class.", "code_class")
}

// sendSynthetic sends the versions' metrics of synthetic requests; those without
// series of their own are summed up.
func (c *collector) sendSynthetic(ch chan<- prometheus.Metric, versions []*Version) {
	var rest [classes]uint64
	for _, v := range versions {
		s := v.synthetic.Load()
		if s == nil {
			continue
		}
		for i := range s {
			switch n := s[i].Load(); {
			case n == 0:
			case v.exposed:
				count(ch, c.synthetic, n, v.service, v.name, classNames[i])
			default:
				rest[i] += n
			}
		}
	}
	for i, n := range rest {
		if n > 0 {
			count(ch, c.synthetic, n, other, other, classNames[i])
		}
	}
}
