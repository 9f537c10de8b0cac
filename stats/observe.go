package stats

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// observed counts what becomes of access log lines and spans.
type observed struct {
	accessDropped atomic.Uint64
	spansExported atomic.Uint64
	spansDropped  atomic.Uint64
}

// AccessLogDropped counts lines of the access log that were lost.
func (r *Registry) AccessLogDropped(lines int) { r.process.observed.accessDropped.Add(uint64(lines)) }

// SpansExported counts spans that the trace collector took.
func (r *Registry) SpansExported(n int) { r.process.observed.spansExported.Add(uint64(n)) }

// SpansDropped counts spans that were lost.
func (r *Registry) SpansDropped(n int) { r.process.observed.spansDropped.Add(uint64(n)) }

// observedDescs describe the metrics of observed.
type observedDescs struct {
	accessDropped, spansExported, spansDropped *prometheus.Desc
}

func newObservedDescs(desc func(name, help string, labels ...string) *prometheus.Desc) observedDescs {
	return observedDescs{
		accessDropped: desc("access_log_dropped_total", "Lines of the access log that were lost, since it was full or failed."),
		spansExported: desc("trace_spans_exported_total", "Spans that the trace collector took."),
		spansDropped:  desc("trace_spans_dropped_total", "Spans that were lost, since the trace collector failed or was too slow."),
	}
}

// all returns the descriptions.
func (d *observedDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.accessDropped, d.spansExported, d.spansDropped}
}

// send sends the metrics.
func (d *observedDescs) send(ch chan<- prometheus.Metric, o *observed) {
	count(ch, d.accessDropped, o.accessDropped.Load())
	count(ch, d.spansExported, o.spansExported.Load())
	count(ch, d.spansDropped, o.spansDropped.Load())
}
