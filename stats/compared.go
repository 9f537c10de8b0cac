package stats

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Compared is how a version's answers to copies of requests compare with those
// that the customers got, since that comparison began.
type Compared struct {
	Service, Version   string
	Comparisons        uint64
	NotCompared        map[string]int64 // bodies that could not be, by reason
	Different, Suspect int              // fields that differ clearly, and that may
}

// comparedDescs describe the metrics of comparisons.
type comparedDescs struct{ comparisons, notCompared, fields *prometheus.Desc }

func newComparedDescs(version func(name, help string, labels ...string) *prometheus.Desc) comparedDescs {
	return comparedDescs{
		comparisons: version("shadow_comparisons_total", "Requests whose copies were answered and compared; begins anew with each comparison."),
		notCompared: version("shadow_not_compared_total", "Bodies of answers to copies that could not be compared, by why.", "reason"),
		fields:      version("shadow_fields", "Fields of answers, by pattern of the path, that differ between the versions clearly more than within the baseline (different), or may (suspect).", "state"),
	}
}

// all returns the descriptions.
func (d *comparedDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.comparisons, d.notCompared, d.fields}
}

// send sends the metrics. As many versions as have series elsewhere have them here.
func (d *comparedDescs) send(ch chan<- prometheus.Metric, r *Registry) {
	if r.opts.Compared == nil {
		return
	}
	all := r.opts.Compared()
	for _, c := range all[:min(len(all), r.opts.MaxExposed)] {
		service, version := valid(c.Service), valid(c.Version)
		count(ch, d.comparisons, c.Comparisons, service, version)
		for _, reason := range slices.Sorted(maps.Keys(c.NotCompared)) {
			count(ch, d.notCompared, uint64(c.NotCompared[reason]), service, version, valid(reason))
		}
		gauge(ch, d.fields, float64(c.Different), service, version, "different")
		gauge(ch, d.fields, float64(c.Suspect), service, version, "suspect")
	}
}
