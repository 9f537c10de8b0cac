package stats

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestProbeMetrics(t *testing.T) {
	r := New(Options{MaxExposed: 2, Probes: func() ([]Probe, []SkippedProbes) {
		return []Probe{
			{Service: "web", Version: "v1", Journey: "buy", Success: true, Began: time.UnixMilli(1_700_000_000_250), Took: 1500 * time.Millisecond, Passed: 7, Failed: 1},
			{Service: "web", Version: "v2", Journey: "buy", Failed: 3},
			{Service: "web", Version: "beyond", Journey: "buy"},
		}, []SkippedProbes{{"web", "v1", 4}}
	}})
	const want = `
# HELP sluice_probe_duration_seconds Time that the newest run of the journey against the version took.
# TYPE sluice_probe_duration_seconds gauge
sluice_probe_duration_seconds{journey="buy",service="web",version="v1"} 1.5
sluice_probe_duration_seconds{journey="buy",service="web",version="v2"} 0
# HELP sluice_probe_last_run_timestamp_seconds When the newest run of the journey against the version began, in unix time.
# TYPE sluice_probe_last_run_timestamp_seconds gauge
sluice_probe_last_run_timestamp_seconds{journey="buy",service="web",version="v1"} 1.70000000025e+09
sluice_probe_last_run_timestamp_seconds{journey="buy",service="web",version="v2"} -6.2135596800e+10
# HELP sluice_probe_runs_total Runs of the journey against the version, by what came of them: passed or failed.
# TYPE sluice_probe_runs_total counter
sluice_probe_runs_total{journey="buy",outcome="failed",service="web",version="v1"} 1
sluice_probe_runs_total{journey="buy",outcome="failed",service="web",version="v2"} 3
sluice_probe_runs_total{journey="buy",outcome="passed",service="web",version="v1"} 7
sluice_probe_runs_total{journey="buy",outcome="passed",service="web",version="v2"} 0
# HELP sluice_probe_skipped_total Runs of the version's journeys that were skipped, since the one before still ran or others took all the room.
# TYPE sluice_probe_skipped_total counter
sluice_probe_skipped_total{service="web",version="v1"} 4
# HELP sluice_probe_success Whether the newest run of the journey against the version passed.
# TYPE sluice_probe_success gauge
sluice_probe_success{journey="buy",service="web",version="v1"} 1
sluice_probe_success{journey="buy",service="web",version="v2"} 0
`
	err := testutil.CollectAndCompare(Collector(r), strings.NewReader(want), "sluice_probe_success", "sluice_probe_duration_seconds",
		"sluice_probe_last_run_timestamp_seconds", "sluice_probe_runs_total", "sluice_probe_skipped_total")
	if err != nil {
		t.Error(err)
	}
}
