package stats

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Rollout is where the rollout of a service stands that is under way.
type Rollout struct {
	Service, Phase string
	Share          float64 // the candidate's, of new sessions, 0 to 1
	// Evidence is the natural logarithm of the e-value of harm, and Judged whether
	// there is any.
	Evidence float64
	Judged   bool
}

// rolloutCounts counts what becomes of rollouts.
type rolloutCounts struct {
	transitions  named // by where they led
	hookFailures atomic.Uint64
	evidenceLost atomic.Uint64
}

// RolloutMoved counts a transition of a rollout to a phase.
func (r *Registry) RolloutMoved(phase string) { r.process.rollouts.transitions.count(phase) }

// RolloutHookFailed counts a transition that a hook was not told of.
func (r *Registry) RolloutHookFailed() { r.process.rollouts.hookFailures.Add(1) }

// EvidenceLost counts what a trial saw and had no room for.
func (r *Registry) EvidenceLost(n uint64) { r.process.rollouts.evidenceLost.Add(n) }

// rolloutDescs describe the metrics of rollouts.
type rolloutDescs struct {
	phase, share, evidence, transitions, hookFailures, evidenceLost *prometheus.Desc
}

func newRolloutDescs(desc func(name, help string, labels ...string) *prometheus.Desc) rolloutDescs {
	return rolloutDescs{
		phase:        desc("rollout_phase", "Where the service's rollout stands that is under way; always 1.", "service", "phase"),
		share:        desc("rollout_share", "The candidate's share of new sessions in the service's rollout, 0 to 1.", "service"),
		evidence:     desc("rollout_evidence", "Evidence of harm by the candidate: the natural logarithm of the e-value, of which by default 4.6 rolls back.", "service"),
		transitions:  desc("rollout_transitions_total", "Transitions of rollouts, by the phase that they led to.", "phase"),
		hookFailures: desc("rollout_hook_failures_total", "Transitions of rollouts that a hook was not told of."),
		evidenceLost: desc("rollout_evidence_lost_total", "Events of rollouts that were not counted for want of room."),
	}
}

// all returns the descriptions.
func (d *rolloutDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{d.phase, d.share, d.evidence, d.transitions, d.hookFailures, d.evidenceLost}
}

// send sends the metrics. As many services as versions have series of their own.
func (d *rolloutDescs) send(ch chan<- prometheus.Metric, r *Registry) {
	c := &r.process.rollouts
	for phase, n := range c.transitions.counts() {
		count(ch, d.transitions, n, phase)
	}
	count(ch, d.hookFailures, c.hookFailures.Load())
	count(ch, d.evidenceLost, c.evidenceLost.Load())
	if r.opts.Rollouts == nil {
		return
	}
	under := r.opts.Rollouts()
	for _, u := range under[:min(len(under), r.opts.MaxExposed)] {
		service := valid(u.Service)
		gauge(ch, d.phase, 1, service, valid(u.Phase))
		gauge(ch, d.share, u.Share, service)
		if u.Judged {
			gauge(ch, d.evidence, u.Evidence, service)
		}
	}
}
