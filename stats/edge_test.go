package stats

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestWhatIsKeptOutIsShown(t *testing.T) {
	r := newRegistry(Options{})
	if e := r.Edge(); e.Admitted != 1 || e.Shed != 0 {
		t.Errorf("without overload: %+v", e)
	}
	r.RateLimitedByListener("edge\xff")
	r.RateLimitedByService("web")
	r.ConnectionRefused("per_client")
	r.AcceptPaused("limit")
	r.IdleClosed(7)
	r.Shed()
	r.SetOverload(0.25, 5e6)
	const want = `
# HELP sluice_accept_pauses_total Times that a listener took no connections for a while, by what was short.
# TYPE sluice_accept_pauses_total counter
sluice_accept_pauses_total{reason="limit"} 1
# HELP sluice_connections_refused_total Connections of clients closed before their first request.
# TYPE sluice_connections_refused_total counter
sluice_connections_refused_total{reason="per_client"} 1
# HELP sluice_idle_connections_closed_total Idle connections of clients closed to make room.
# TYPE sluice_idle_connections_closed_total counter
sluice_idle_connections_closed_total 7
# HELP sluice_overload_admitted_ratio Share of the requests that are admitted; 1 without overload.
# TYPE sluice_overload_admitted_ratio gauge
sluice_overload_admitted_ratio 0.25
# HELP sluice_overload_delay_seconds Least time that work ready to run waited for its turn in the last interval.
# TYPE sluice_overload_delay_seconds gauge
sluice_overload_delay_seconds 0.005
# HELP sluice_rate_limited_total Requests refused since a rate was exceeded, by whose rate it was: scope is listener or service.
# TYPE sluice_rate_limited_total counter
sluice_rate_limited_total{name="edge�",scope="listener"} 1
sluice_rate_limited_total{name="web",scope="service"} 1
# HELP sluice_shed_total Requests refused for overload.
# TYPE sluice_shed_total counter
sluice_shed_total 1
`
	names := []string{"sluice_accept_pauses_total", "sluice_connections_refused_total", "sluice_idle_connections_closed_total",
		"sluice_overload_admitted_ratio", "sluice_overload_delay_seconds", "sluice_rate_limited_total", "sluice_shed_total"}
	if err := testutil.CollectAndCompare(Collector(r), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(Collector(r)); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
