package stats

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCollectorShowsWhatLogsAndTracesLost(t *testing.T) {
	const want = `
# HELP sluice_access_log_dropped_total Lines of the access log that were lost, since it was full or failed.
# TYPE sluice_access_log_dropped_total counter
sluice_access_log_dropped_total 2
# HELP sluice_trace_spans_dropped_total Spans that were lost, since the trace collector failed or was too slow.
# TYPE sluice_trace_spans_dropped_total counter
sluice_trace_spans_dropped_total 3
# HELP sluice_trace_spans_exported_total Spans that the trace collector took.
# TYPE sluice_trace_spans_exported_total counter
sluice_trace_spans_exported_total 5
`
	err := testutil.CollectAndCompare(Collector(busy()), strings.NewReader(want),
		"sluice_access_log_dropped_total", "sluice_trace_spans_dropped_total", "sluice_trace_spans_exported_total")
	if err != nil {
		t.Error(err)
	}
}
