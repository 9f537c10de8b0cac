package driver

import (
	"math"
	"strings"
	"testing"
	"time"

	"sluice/rollout/judge"
	"sluice/stats/trial"
)

func TestTheAlarmIsAboutBothVersions(t *testing.T) {
	for _, tt := range []struct {
		name                string
		candidate, baseline trial.Counts
		alarm               bool
	}{
		{"both fail", trial.Counts{Requests: 50, Bad: 10}, trial.Counts{Requests: 950, Bad: 90}, true},
		{"a little past the objective, as chance has it", trial.Counts{Requests: 50, Bad: 5}, trial.Counts{Requests: 950, Bad: 60}, false},
		{"both at the objective", trial.Counts{Requests: 100, Bad: 5}, trial.Counts{Requests: 900, Bad: 45}, false},
		{"the candidate alone, which the judge sees", trial.Counts{Requests: 500, Bad: 500}, trial.Counts{Requests: 500, Bad: 1}, false},
		{"the baseline alone, which a promotion mends", trial.Counts{Requests: 500, Bad: 1}, trial.Counts{Requests: 500, Bad: 400}, false},
		{"a candidate that was hardly asked", trial.Counts{Requests: 2, Bad: 1}, trial.Counts{Requests: 998, Bad: 90}, true},
		{"a candidate that was not asked", trial.Counts{}, trial.Counts{Requests: 1000, Bad: 900}, false},
		{"too few", trial.Counts{Requests: 50, Bad: 50}, trial.Counts{Requests: 49, Bad: 49}, false},
		{"no baseline any more", trial.Counts{Requests: 100, Bad: 20}, trial.Counts{Requests: 19}, true},
		{"no baseline, and well", trial.Counts{Requests: 1000, Bad: 5}, trial.Counts{Requests: 5, Bad: 5}, false},
	} {
		var r recent
		r.add(trial.Increments{Candidate: tt.candidate, Baseline: tt.baseline}, noon)
		if got := r.alarm(0.05, noon.Add(59*time.Second)); (got != "") != tt.alarm {
			t.Errorf("%s: %q", tt.name, got)
		}
		if got := r.alarm(0, noon); got != "" {
			t.Errorf("%s: without an objective: %q", tt.name, got)
		}
		if got := r.alarm(0.05, noon.Add(60*time.Second)); got != "" {
			t.Errorf("%s: a minute later: %q", tt.name, got)
		}
	}
}

func TestTheAlarmSumsUpSeconds(t *testing.T) {
	var r recent
	for i := range 90 {
		r.add(trial.Increments{Candidate: trial.Counts{Requests: 1, Bad: 1}, Baseline: trial.Counts{Requests: 2, Bad: 1}}, noon.Add(time.Duration(i)*time.Second))
	}
	if got := r.alarm(0.05, noon.Add(89*time.Second)); !strings.Contains(got, "60 of the candidate's 60 requests were bad and 60 of the baseline's 120, and 5% is") {
		t.Error(got)
	}
}

func TestRatesAreOfTheLastMinutes(t *testing.T) {
	var r rates
	if r.perSecond(noon) != [judge.Metrics]float64{} {
		t.Error("a rate of nothing")
	}
	now := noon
	second := func(n int) {
		now = now.Add(time.Second)
		r.add([judge.Metrics]int{judge.Errors: n}, now)
	}
	near := func(want float64) {
		t.Helper()
		if got := r.perSecond(now)[judge.Errors]; math.Abs(got-want) > want/15+0.05 {
			t.Errorf("%v a second, want about %v", got, want)
		}
	}
	for range 20 {
		second(4)
	}
	near(4)
	for range 1200 {
		second(10)
	}
	near(10)
	for range 1200 {
		second(0)
	}
	near(0)
}
