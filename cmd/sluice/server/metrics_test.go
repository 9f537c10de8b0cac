package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sluice/admin/api"
)

// metricsPage returns what Prometheus would scrape.
func (s *sluice) metricsPage() string {
	s.t.Helper()
	page, err := s.admin.Metrics(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(page)
}

// promised are the names on which dashboards and alerts may rely.
var promised = []string{
	"sluice_requests_total", "sluice_request_duration_seconds_bucket", "sluice_requests_in_flight",
	"sluice_sessions_live", "sluice_retries_total", "sluice_upstream_errors_total", "sluice_ejections_total",
	"sluice_failovers_total", "sluice_failovers_taken_total", "sluice_requests_aborted_total",
	"sluice_tunnels_active", "sluice_tunnels_opened_total", "sluice_bytes_total",
	"sluice_pins_made_total", "sluice_pins_moved_total", "sluice_pins_voided_total",
	"sluice_version_weight", "sluice_version_info", "sluice_no_route_requests_total",
	"sluice_refused_requests_total", "sluice_override_ignored_total", "sluice_config_reloads_total",
	"sluice_config_reload_failures_total", "sluice_state_pending", "sluice_table_revision",
	"go_goroutines", "process_resident_memory_bytes",
}

func TestTheMetricsPageHoldsWhatItPromises(t *testing.T) {
	s := run(t, keys, "routes: [{hosts: [web.test], service: web}]", web(t, 90, 10))
	c := stranger(t)
	c.get(s.url("", "/"), "Host: web.test")
	c.get(s.url("", "/"), "Host: web.test", "Sluice-Token: nonsense")
	c.get(s.url("", "/"), "Host: elsewhere.test")
	s.refuseOne()
	page := s.metricsPage()
	for _, name := range promised {
		if !strings.Contains(page, "\n"+name) {
			t.Errorf("%s is not there", name)
		}
	}
	for _, line := range []string{
		`sluice_version_weight{service="web",version="v1"} 90`,
		`sluice_version_weight{service="web",version="dark"} 0`,
		"sluice_table_revision 1",
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	problems = slices.DeleteFunc(problems, func(p promlint.Problem) bool { return !strings.HasPrefix(p.Metric, "sluice_") })
	if len(problems) > 0 {
		t.Errorf("promlint: %v", problems)
	}
}

func TestASeriesGoesWithItsVersion(t *testing.T) {
	s := run(t, web(t, 100, 0))
	spec := api.VersionSpec{Endpoints: []string{backend(t, "v3")}}
	if _, err := s.admin.PutVersion(t.Context(), "web", "v3", spec); err != nil {
		t.Fatal(err)
	}
	s.flip("web", "move", all("v3"))
	stranger(t).get(s.url("", "/")).served(t, "v3")
	if !strings.Contains(s.metricsPage(), `version="v3"`) {
		t.Error("the version has no series")
	}
	s.flip("web", "move", all("v1"))
	if _, err := s.admin.RemoveVersion(t.Context(), "web", "v3", ""); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.metricsPage(), `version="v3"`) {
		t.Error("the series outlives the version")
	}
}
