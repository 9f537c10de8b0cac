package stats

import (
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestShadowsAreNoRequests: copies have metrics of their own and are in no other.
func TestShadowsAreNoRequests(t *testing.T) {
	r := newRegistry(Options{})
	v := r.Version("web", "v2")
	v.Shadow(0, ShadowAnswered)
	v.Shadow(1, ShadowAnswered)
	v.Shadow(1, ShadowFailed)
	v.Shadow(0, ShadowMemory)
	if err := testutil.CollectAndCompare(Collector(r), strings.NewReader(`
# HELP sluice_shadow_dropped_total Copies of requests that were meant for the version and not sent, or not waited for, by why.
# TYPE sluice_shadow_dropped_total counter
sluice_shadow_dropped_total{reason="memory",service="web",version="v2"} 1
# HELP sluice_shadow_requests_total Copies of requests that were sent to the version, by whether they were answered.
# TYPE sluice_shadow_requests_total counter
sluice_shadow_requests_total{outcome="answered",service="web",version="v2"} 2
sluice_shadow_requests_total{outcome="failed",service="web",version="v2"} 1
`), "sluice_shadow_requests_total", "sluice_shadow_dropped_total"); err != nil {
		t.Error(err)
	}
	s := r.ServiceSnapshot("web")[0]
	if want := map[string]uint64{"answered": 2, "failed": 1, "memory": 1}; !maps.Equal(s.Shadows, want) {
		t.Errorf("counted %v, want %v", s.Shadows, want)
	}
	if s.Requests != 0 || s.InFlight != 0 || s.Latency != (Latency{}) {
		t.Errorf("copies count as requests: %+v", s)
	}
}

func TestEveryFateOfACopyHasAName(t *testing.T) {
	seen := map[string]bool{}
	for s := range Shadow(shadows) {
		if s.String() == "" || seen[s.String()] {
			t.Errorf("fate %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
	if Shadow(200).String() != "unknown" {
		t.Error("a fate that is none has a name")
	}
}
