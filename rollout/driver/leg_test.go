package driver

import (
	"testing"
	"time"

	"sluice/rollout/judge"
	"sluice/state"
	"sluice/stats/trial"
)

// TestMinutesAreMarkedOnce each, however often the leg looks.
func TestMinutesAreMarkedOnce(t *testing.T) {
	l := newLeg(state.Leg{Candidate: "v2", Baseline: "v1"}, state.Guards{}, noon)
	for s := range 3600 {
		l.take(trial.Increments{Dispersion: 1}, noon.Add(time.Duration(s)*time.Second))
	}
	if l.marks != 59 {
		t.Errorf("%d marks in an hour", l.marks)
	}
	l.take(trial.Increments{Dispersion: 1}, noon.Add(300*time.Hour))
	if l.marks != maxMarks {
		t.Errorf("%d marks in days", l.marks)
	}
	l.take(trial.Increments{Dispersion: 1}, noon.Add(-time.Hour)) // a clock that goes back
	if l.marks != maxMarks {
		t.Errorf("%d marks", l.marks)
	}
}

func TestEveryMetricComesToTheJudge(t *testing.T) {
	l := newLeg(state.Leg{}, state.Guards{}, noon)
	inc := trial.Increments{
		Events:    []trial.Event{{Metric: trial.Errors, X: 1, E: 2, S: 0.1}, {Metric: trial.P95, X: 3, E: 4, S: 0.1}, {Metric: trial.P99, X: 5, E: 6, S: 0.1}},
		Latencies: []trial.Latencies{alike()}, Sessions: []trial.SessionCount{{Epoch: 3, Candidate: 7, All: 70, W: 0.1}},
		Candidate: trial.Counts{Requests: 20, Bad: 2, Sessions: 7, BadSessions: 1}, Baseline: trial.Counts{Requests: 200, Bad: 3, Sessions: 63, BadSessions: 1},
		Dispersion: 1, Lost: 4, FailuresInARow: 2,
	}
	l.take(inc, noon)
	l.take(inc, noon.Add(10*time.Second))
	e := l.evidence("web", 0.1, 0.5, true, noon.Add(10*time.Second))
	want := map[string][2]int64{"errors": {2, 4}, "p95": {6, 8}, "p99": {10, 12}, "shift": {10_000, 200_000}}
	for _, m := range e.Metrics {
		if m.Candidate != want[m.Name][0] || m.Events != want[m.Name][1] {
			t.Errorf("%+v, want %v", m, want[m.Name])
		}
		delete(want, m.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if e.CandidateSessions != 14 || e.BaselineSessions != 126 || e.CandidateRequests != 40 || e.BaselineRequests != 400 || e.CandidateBad != 4 || e.BaselineBad != 6 || e.Share != 0.1 {
		t.Errorf("%+v", e)
	}
	if l.totals.Lost != 8 || l.inARow != 2 {
		t.Errorf("%+v", l)
	}
	if r := l.rates.perSecond(noon.Add(10 * time.Second)); r[judge.P99] < 1 || r[judge.Shift] < 10 {
		t.Errorf("rates %v", r)
	}
}

func BenchmarkLegEvidence(b *testing.B) {
	l := newLeg(state.Leg{}, state.Guards{}, noon)
	inc := trial.Increments{Events: []trial.Event{{Metric: trial.Errors, X: 1, E: 1, S: 0.1}}, Dispersion: 1}
	b.ReportAllocs()
	for b.Loop() {
		l.take(inc, noon)
		l.evidence("web", 0.1, 0.5, true, noon)
	}
}
