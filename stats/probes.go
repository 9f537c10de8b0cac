package stats

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Probe is how a journey does against a version.
type Probe struct {
	Service, Version, Journey string
	// Success, Began and Took are of the run that began last.
	Success        bool
	Began          time.Time
	Took           time.Duration
	Passed, Failed uint64 // runs that did
}

// SkippedProbes is how often the journeys of a version were not run when their
// time had come.
type SkippedProbes struct {
	Service, Version string
	Count            uint64
}

// probeDescs describe the metrics of probes.
type probeDescs struct{ success, duration, last, runs, skipped *prometheus.Desc }

func newProbeDescs(desc func(name, help string, labels ...string) *prometheus.Desc) probeDescs {
	cell := []string{"service", "version", "journey"}
	return probeDescs{
		success:  desc("probe_success", "Whether the newest run of the journey against the version passed.", cell...),
		duration: desc("probe_duration_seconds", "Time that the newest run of the journey against the version took.", cell...),
		last:     desc("probe_last_run_timestamp_seconds", "When the newest run of the journey against the version began, in unix time.", cell...),
		runs:     desc("probe_runs_total", "Runs of the journey against the version, by what came of them: passed or failed.", append(cell[:3:3], "outcome")...),
		skipped:  desc("probe_skipped_total", "Runs of the version's journeys that were skipped, since the one before still ran or others took all the room.", "service", "version"),
	}
}

// all returns the descriptions.
func (d *probeDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.success, d.duration, d.last, d.runs, d.skipped}
}

// send sends the metrics. As many cells as versions have series of their own.
func (d *probeDescs) send(ch chan<- prometheus.Metric, r *Registry) {
	if r.opts.Probes == nil {
		return
	}
	probes, skipped := r.opts.Probes()
	for _, p := range probes[:min(len(probes), r.opts.MaxExposed)] {
		cell := []string{valid(p.Service), valid(p.Version), valid(p.Journey)}
		success := 0.0
		if p.Success {
			success = 1
		}
		gauge(ch, d.success, success, cell...)
		gauge(ch, d.duration, p.Took.Seconds(), cell...)
		gauge(ch, d.last, float64(p.Began.UnixMilli())/1e3, cell...)
		count(ch, d.runs, p.Passed, append(cell[:3:3], "passed")...)
		count(ch, d.runs, p.Failed, append(cell[:3:3], "failed")...)
	}
	for _, s := range skipped[:min(len(skipped), r.opts.MaxExposed)] {
		count(ch, d.skipped, s.Count, valid(s.Service), valid(s.Version))
	}
}
