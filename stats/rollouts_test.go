package stats

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestRolloutMetrics(t *testing.T) {
	r := New(Options{MaxExposed: 2, Rollouts: func() []Rollout {
		return []Rollout{
			{Service: "web", Phase: "shifting", Share: 0.05, Evidence: 2.5, Judged: true},
			{Service: "api", Phase: "probing"},
			{Service: "more", Phase: "paused"},
		}
	}})
	r.RolloutMoved("promoted")
	r.RolloutMoved("promoted")
	r.RolloutHookFailed()
	r.EvidenceLost(7)
	const want = `
# HELP sluice_rollout_evidence Evidence of harm by the candidate: the natural logarithm of the e-value, of which by default 4.6 rolls back.
# TYPE sluice_rollout_evidence gauge
sluice_rollout_evidence{service="web"} 2.5
# HELP sluice_rollout_evidence_lost_total Events of rollouts that were not counted for want of room.
# TYPE sluice_rollout_evidence_lost_total counter
sluice_rollout_evidence_lost_total 7
# HELP sluice_rollout_hook_failures_total Transitions of rollouts that a hook was not told of.
# TYPE sluice_rollout_hook_failures_total counter
sluice_rollout_hook_failures_total 1
# HELP sluice_rollout_phase Where the service's rollout stands that is under way; always 1.
# TYPE sluice_rollout_phase gauge
sluice_rollout_phase{phase="probing",service="api"} 1
sluice_rollout_phase{phase="shifting",service="web"} 1
# HELP sluice_rollout_share The candidate's share of new sessions in the service's rollout, 0 to 1.
# TYPE sluice_rollout_share gauge
sluice_rollout_share{service="api"} 0
sluice_rollout_share{service="web"} 0.05
# HELP sluice_rollout_transitions_total Transitions of rollouts, by the phase that they led to.
# TYPE sluice_rollout_transitions_total counter
sluice_rollout_transitions_total{phase="promoted"} 2
`
	err := testutil.CollectAndCompare(Collector(r), strings.NewReader(want), "sluice_rollout_evidence", "sluice_rollout_evidence_lost_total",
		"sluice_rollout_hook_failures_total", "sluice_rollout_phase", "sluice_rollout_share", "sluice_rollout_transitions_total")
	if err != nil {
		t.Error(err)
	}
}
