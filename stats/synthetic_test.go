package stats

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Requests of journeys are told of apart, and what is counted apart is told of by
// nobody.
func TestSynthetic(t *testing.T) {
	r := New(Options{MaxExposed: 1})
	for i, status := range []int{200, 204, 503, 0} {
		r.Version("web", "v1").Synthetic(status)
		for range i {
			r.Version("web", "v2").Synthetic(status)
		}
	}
	r.Apart().End(1, &Outcome{Status: 200, Session: 7})
	if n := r.Version("web", "v2").Synthetics(); n != 6 {
		t.Error(n)
	}
	const want = `# HELP sluice_synthetic_requests_total Requests of journeys, which no other metric of requests counts, by status class.
# TYPE sluice_synthetic_requests_total counter
sluice_synthetic_requests_total{code_class="2xx",service="web",version="v1"} 2
sluice_synthetic_requests_total{code_class="5xx",service="web",version="v1"} 1
sluice_synthetic_requests_total{code_class="none",service="web",version="v1"} 1
sluice_synthetic_requests_total{code_class="2xx",service="_other",version="_other"} 1
sluice_synthetic_requests_total{code_class="5xx",service="_other",version="_other"} 2
sluice_synthetic_requests_total{code_class="none",service="_other",version="_other"} 3
`
	if err := testutil.CollectAndCompare(Collector(r), strings.NewReader(want), "sluice_synthetic_requests_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(Collector(r), "sluice_requests_total"); n != 0 {
		t.Errorf("%d series of requests", n)
	}
}
