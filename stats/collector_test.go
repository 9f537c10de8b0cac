package stats

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// busy returns a registry with a bit of everything.
func busy() *Registry {
	expires := time.Unix(2000000000, 0)
	certificates := func() []Certificate {
		return []Certificate{{"edge", "web.test", expires}, {"edge\xff", "\xff", expires}}
	}
	r := newRegistry(Options{Certificates: certificates, Describe: func(_, version string) (Description, bool) {
		return Description{Weight: 95, Tags: map[string]string{"commit": "3f2a9c1", "team": "shop"}, Shape: "12\xff"}, version != "gone"
	}})
	v := r.Version("web", "v1")
	for i := range 3 {
		v.Begin(0)
		v.End(0, &Outcome{Status: 200, Reason: 0, Nanos: int64(time.Second) << i, Session: 4, BytesIn: 5, BytesOut: 7})
	}
	v.Begin(1)
	v.Begin(1)
	v.End(1, &Outcome{Status: 502, Reason: 1, Nanos: int64(time.Hour), Retries: 2, UpstreamError: Timeout, Flags: Aborted | Failover})
	v.PinMade(1)
	v.FailedOver(1)
	v.Ejected(2)
	v.TunnelOpened(0)
	r.Version("web", "gone").PinMoved(0)
	r.Version("web", "idle")
	r.NoRoute("edge\xff")
	r.HandshakeFailed("edge")
	r.CertificateReloadFailed()
	r.AccessLogDropped(2)
	r.SpansExported(5)
	r.SpansDropped(3)
	r.Refused(431)
	r.OverrideIgnored("expired")
	r.Reloaded()
	r.SetTableRevision(3)
	return r
}

func TestCollectorPassesTheLinter(t *testing.T) {
	problems, err := testutil.CollectAndLint(Collector(busy()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestCollectorShowsWhatWasCounted(t *testing.T) {
	const want = `
# HELP sluice_requests_total Finished requests by status class and by the reason for which the version was chosen.
# TYPE sluice_requests_total counter
sluice_requests_total{code_class="2xx",reason="pin",service="web",version="v1"} 3
sluice_requests_total{code_class="5xx",reason="split",service="web",version="v1"} 1
# HELP sluice_requests_in_flight Requests begun and not finished.
# TYPE sluice_requests_in_flight gauge
sluice_requests_in_flight{service="web",version="gone"} 0
sluice_requests_in_flight{service="web",version="v1"} 1
# HELP sluice_upstream_errors_total Requests that an endpoint failed, by the kind of the last failure.
# TYPE sluice_upstream_errors_total counter
sluice_upstream_errors_total{kind="connect",service="web",version="gone"} 0
sluice_upstream_errors_total{kind="connect",service="web",version="v1"} 0
sluice_upstream_errors_total{kind="malformed",service="web",version="gone"} 0
sluice_upstream_errors_total{kind="malformed",service="web",version="v1"} 0
sluice_upstream_errors_total{kind="reset",service="web",version="gone"} 0
sluice_upstream_errors_total{kind="reset",service="web",version="v1"} 0
sluice_upstream_errors_total{kind="timeout",service="web",version="gone"} 0
sluice_upstream_errors_total{kind="timeout",service="web",version="v1"} 1
sluice_upstream_errors_total{kind="truncated",service="web",version="gone"} 0
sluice_upstream_errors_total{kind="truncated",service="web",version="v1"} 0
# HELP sluice_bytes_total Body bytes, in from clients and out to them.
# TYPE sluice_bytes_total counter
sluice_bytes_total{direction="in",service="web",version="gone"} 0
sluice_bytes_total{direction="in",service="web",version="v1"} 15
sluice_bytes_total{direction="out",service="web",version="gone"} 0
sluice_bytes_total{direction="out",service="web",version="v1"} 21
# HELP sluice_ejections_total Endpoints taken out for failing.
# TYPE sluice_ejections_total counter
sluice_ejections_total{service="web",version="gone"} 0
sluice_ejections_total{service="web",version="v1"} 2
# HELP sluice_sessions_live Estimated number of distinct sessions seen in the trailing window.
# TYPE sluice_sessions_live gauge
sluice_sessions_live{service="web",version="gone"} 0
sluice_sessions_live{service="web",version="v1"} 1
# HELP sluice_version_info What the version is; always 1. The label tags has its tags as NAME=VALUE, by name, with commas between, up to 256 bytes; commit is the one of that name.
# TYPE sluice_version_info gauge
sluice_version_info{commit="3f2a9c1",service="web",shape="12�",tags="commit=3f2a9c1,team=shop",version="idle"} 1
sluice_version_info{commit="3f2a9c1",service="web",shape="12�",tags="commit=3f2a9c1,team=shop",version="v1"} 1
# HELP sluice_no_route_requests_total Requests that no route matched.
# TYPE sluice_no_route_requests_total counter
sluice_no_route_requests_total{listener="edge�"} 1
# HELP sluice_refused_requests_total Malformed or oversized requests, by the status with which they were refused.
# TYPE sluice_refused_requests_total counter
sluice_refused_requests_total{status="431"} 1
# HELP sluice_certificate_expiry_seconds When a certificate expires, in seconds since 1970.
# TYPE sluice_certificate_expiry_seconds gauge
sluice_certificate_expiry_seconds{listener="edge",name="web.test"} 2e+09
sluice_certificate_expiry_seconds{listener="edge�",name="�"} 2e+09
# HELP sluice_certificate_reload_failures_total Changed certificates that could not be taken, and ones that could not be obtained.
# TYPE sluice_certificate_reload_failures_total counter
sluice_certificate_reload_failures_total 1
# HELP sluice_tls_handshake_failures_total TLS handshakes with clients that failed.
# TYPE sluice_tls_handshake_failures_total counter
sluice_tls_handshake_failures_total{listener="edge"} 1
# HELP sluice_table_revision Revision of the desired state that the routing table shows.
# TYPE sluice_table_revision gauge
sluice_table_revision 3
`
	var names []string
	for line := range strings.Lines(want) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "TYPE" {
			names = append(names, f[2])
		}
	}
	if err := testutil.CollectAndCompare(Collector(busy()), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// The buckets end at powers of two of a second. Values on an edge count above
// it, values beyond the last one only in the total.
func TestCollectorBuckets(t *testing.T) {
	r := newRegistry(Options{})
	v := r.Version("web", "v1")
	for _, d := range []time.Duration{0, 122_070, 122_071, time.Second - 1, time.Second, 64*time.Second - 1, 64 * time.Second, time.Hour} {
		v.End(0, &Outcome{Status: 200, Nanos: int64(d)})
	}
	metrics, err := gather(r)
	if err != nil {
		t.Fatal(err)
	}
	cumulative := map[float64]uint64{}
	h := metrics["sluice_request_duration_seconds"].GetMetric()[0].GetHistogram()
	for _, b := range h.GetBucket() {
		cumulative[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	for le, want := range map[float64]uint64{1.0 / 8192: 2, 1.0 / 4096: 3, 0.5: 3, 1: 4, 2: 5, 32: 5, 64: 6} {
		if got := cumulative[le]; got != want {
			t.Errorf("le=%v: %d, want %d", le, got, want)
		}
	}
	if len(cumulative) != 20 || h.GetSampleCount() != 8 {
		t.Errorf("%d buckets, %d durations; want 20 and 8", len(cumulative), h.GetSampleCount())
	}
	if got := h.GetSampleSum(); got < 3729.9 || got > 3730.1 {
		t.Errorf("sum %v s, want about 3730", got)
	}
}

func TestCollectorBoundsItsSeries(t *testing.T) {
	r := newRegistry(Options{MaxExposed: 3})
	end := func(version string) { r.Version("web", version).End(0, &Outcome{Status: 200, Session: 3}) }
	for i := range 10 {
		end(fmt.Sprint("v", i))
	}
	r.Version("web", "v10") // idle, and not exposed
	want := func(step string, versions ...string) {
		t.Helper()
		got, err := exposedVersions(r)
		if err != nil || !slices.Equal(got, versions) {
			t.Errorf("%s: %v, %v; want %v", step, got, err, versions)
		}
	}
	want("at first", "_other=7", "v0=1", "v1=1", "v2=1")
	r.Forget("web", "v1")
	r.Forget("web", "v9")
	want("after two were forgotten", "_other=6", "v0=1", "v2=1")
	end("v11")
	end("v12")
	want("after the place was taken", "_other=7", "v0=1", "v11=1", "v2=1")
}

func TestCollectorSumsUpNamesThatNoLabelHolds(t *testing.T) {
	r := newRegistry(Options{})
	for _, name := range []string{"a\xff", "a\xfe", "v1"} {
		r.Version("web", name).End(0, &Outcome{Status: 200})
	}
	r.Version("_other", "_other").End(0, &Outcome{Status: 200})
	got, err := exposedVersions(r)
	if want := []string{"_other=3", "v1=1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// gather scrapes the registry through a strict Prometheus registry.
func gather(r *Registry) (map[string]*dto.MetricFamily, error) {
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(Collector(r)); err != nil {
		return nil, err
	}
	families, err := registry.Gather()
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	return byName, err
}

// exposedVersions returns the versions of sluice_requests_total with counts.
func exposedVersions(r *Registry) ([]string, error) {
	metrics, err := gather(r)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, m := range metrics["sluice_requests_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "version" {
				all = append(all, fmt.Sprintf("%s=%v", l.GetValue(), m.GetCounter().GetValue()))
			}
		}
	}
	slices.Sort(all)
	return all, nil
}

func BenchmarkCollect(b *testing.B) {
	r := newRegistry(Options{})
	for i := range 1000 {
		r.Version(fmt.Sprint("s", i/2), fmt.Sprint("v", i)).End(0, &Outcome{Status: 200, Session: 3})
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(Collector(r))
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTagsText: whole tags alone, and no more than the label may have.
func TestTagsText(t *testing.T) {
	long := strings.Repeat("x", maxTagsText-len("b=")-len(",z="))
	for want, tags := range map[string]map[string]string{
		"":                  nil,
		"a=1":               {"a": "1"},
		"a=1,b=":            {"b": "", "a": "1"},
		"b=" + long + ",z=": {"b": long, "z": ""},
		"b=" + long + ",c=": {"b": long, "c": "", "z": "1"},
	} {
		if got := tagsText(tags); got != want || len(got) > maxTagsText {
			t.Errorf("%d tags: %q, want %q", len(tags), got, want)
		}
	}
}
