package stats

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestComparedMetrics(t *testing.T) {
	r := New(Options{MaxExposed: 1, Compared: func() []Compared {
		return []Compared{
			{Service: "web", Version: "v2", Comparisons: 1204, NotCompared: map[string]int64{"too large": 3, "too deep": 1}, Different: 2, Suspect: 1},
			{Service: "web", Version: "v3", Comparisons: 1},
		}
	}})
	const want = `
# HELP sluice_shadow_comparisons_total Requests whose copies were answered and compared; begins anew with each comparison.
# TYPE sluice_shadow_comparisons_total counter
sluice_shadow_comparisons_total{service="web",version="v2"} 1204
# HELP sluice_shadow_fields Fields of answers, by pattern of the path, that differ between the versions clearly more than within the baseline (different), or may (suspect).
# TYPE sluice_shadow_fields gauge
sluice_shadow_fields{service="web",state="different",version="v2"} 2
sluice_shadow_fields{service="web",state="suspect",version="v2"} 1
# HELP sluice_shadow_not_compared_total Bodies of answers to copies that could not be compared, by why.
# TYPE sluice_shadow_not_compared_total counter
sluice_shadow_not_compared_total{reason="too deep",service="web",version="v2"} 1
sluice_shadow_not_compared_total{reason="too large",service="web",version="v2"} 3
`
	err := testutil.CollectAndCompare(Collector(r), strings.NewReader(want),
		"sluice_shadow_comparisons_total", "sluice_shadow_fields", "sluice_shadow_not_compared_total")
	if err != nil {
		t.Error(err)
	}
}
