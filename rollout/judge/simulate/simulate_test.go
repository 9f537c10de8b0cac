package main

import (
	"encoding/xml"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The short form of what the page shows at length: the judge's promises, each
// with the same seeds in every run.
func TestTheJudgeKeepsItsPromises(t *testing.T) {
	rule := rules()[:1]
	for _, tr := range hourTrials() {
		hours := 3
		if tr.candidate.ratio >= 2 {
			hours = 20
		}
		s := tr.run(rule, 1, hours)[0]
		switch excess := median(s.Excess); tr.candidate.ratio {
		case 1:
			if s.RolledBack > 0 {
				t.Errorf("%s: %d of %d hours rolled back", tr.name, s.RolledBack, hours)
			}
		case 2:
			if s.share() < 0.9 || excess > 25 {
				t.Errorf("%s: %.0f%% rolled back after an excess of %.0f", tr.name, 100*s.share(), excess)
			}
		case 5:
			if s.share() < 1 || excess > 12 {
				t.Errorf("%s: %.0f%% rolled back after an excess of %.0f", tr.name, 100*s.share(), excess)
			}
		}
	}
}

func TestRolloutsEndAsTheyShould(t *testing.T) {
	byJudge := plans()[:1]
	for i, tr := range rolloutTrials() {
		y := tr.rollOut(byJudge, 7000*uint64(i+1), 2)[0]
		harmful := tr.candidate.ratio > 1 || tr.candidate.slower > 1
		if harmful && y.Count[promoted] > 0 || !harmful && y.Count[rolledBack] > 0 || y.Count[held] > 1 {
			t.Errorf("%s: %d promoted, %d rolled back, %d held", tr.name, y.Count[promoted], y.Count[rolledBack], y.Count[held])
		}
	}
}

// Sessions that fail early make a candidate with younger sessions look bad.
func TestOneCohortForAllStagesIsAMistake(t *testing.T) {
	tr := trial{candidate: candidate{ratio: 1}, together: together}
	tallies := tr.rollOut(plans()[:2], 1, 6)
	if right, wrong := tallies[0].Count[rolledBack], tallies[1].Count[rolledBack]; right > 0 || wrong < 2 {
		t.Errorf("of 6 healthy candidates %d are rolled back, %d where sessions of all ages are compared", right, wrong)
	}
}

func TestTrafficIsWhatTheServiceSays(t *testing.T) {
	for _, fall := range []float64{0, together} {
		s := service{sessions: 100, pace: 0.2, life: 20, bad: 0.01, together: fall}
		var requests, bad, first, exposed [versions]float64
		const share = 0.25
		tr := newTraffic(s, candidate{ratio: 3}, 1)
		for range 1800 {
			k := tr.next(share)
			for v := range versions {
				requests[v] += k.requests[v]
				bad[v] += k.bad[v]
				first[v] += k.first[v]
				exposed[v] += k.exposed[v]
			}
		}
		about := func(name string, got, want, within float64) {
			if math.Abs(got-want) > within*want {
				t.Errorf("together %v: %s is %v, want about %v", fall, name, got, want)
			}
		}
		about("the candidate's share", requests[ofCandidate]/(requests[0]+requests[1]), share, 0.03)
		about("requests", requests[0]+requests[1], 100*0.2*20*1800, 0.1)
		about("the baseline's rate", bad[ofBaseline]/requests[ofBaseline], 0.0105, 0.1)
		about("the ratio", bad[ofCandidate]/requests[ofCandidate]/(bad[ofBaseline]/requests[ofBaseline]), 3, 0.1)
		if first[ofCandidate] >= bad[ofCandidate] || exposed[ofCandidate] >= requests[ofCandidate] {
			t.Errorf("together %v: of %v bad requests %v are the first, of %v requests %v exposed", fall, bad, first, requests, exposed)
		}
	}
}

func TestPoissonHasItsMean(t *testing.T) {
	tr := newTraffic(service{}, candidate{}, 1)
	for _, mean := range []float64{0, 0.1, 3, 29, 31, 500} {
		const n = 5000
		sum, squares := 0.0, 0.0
		for range n {
			v := tr.poisson(mean)
			sum += v
			squares += v * v
		}
		got := sum / n
		if math.Abs(got-mean) > 4*math.Sqrt(mean/n) || math.Abs(squares/n-got*got-mean) > 0.1*mean {
			t.Errorf("mean %v, variance %v; want %v for both", got, squares/n-got*got, mean)
		}
	}
}

// second returns what a second with so many requests of the candidate brings.
func second(requests, bad float64) tick {
	var k tick
	k.requests[ofCandidate], k.bad[ofCandidate] = requests, bad
	k.requests[ofBaseline] = 1000
	return k
}

// seconds returns when a rule rolls back, 0 if it does not within an hour.
func seconds(watch func(tick) bool, k tick) int {
	for i := 1; i <= 3600; i++ {
		if watch(k) {
			return i
		}
	}
	return 0
}

func TestSampleRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		watch func(tick) bool
		k     tick
		want  int
	}{
		{"Flagger's at 99%", threshold(60, 60, 0.99, 10), second(100, 1), 0},
		{"Flagger's below", threshold(60, 60, 0.99, 10), second(100, 2), 600},
		{"Flagger's without traffic", threshold(60, 60, 0.99, 10), tick{}, 0},
		{"Argo's at 95%", threshold(300, 300, 0.95, 3), second(100, 5), 0},
		{"Argo's below", threshold(300, 300, 0.95, 3), second(100, 6), 900},
		{"the z-test of equals", peeking(nil), second(0, 0), 0},
		{"the z-test of a difference", peeking(nil), second(100, 5), 60},
	} {
		if got := seconds(c.watch, c.k); got != c.want {
			t.Errorf("%s rolls back after %d s, want %d", c.name, got, c.want)
		}
	}
}

func TestPageAndPlot(t *testing.T) {
	dir := t.TempDir()
	if err := run(0, 1, dir); err == nil {
		t.Error("no hours make a page")
	}
	if err := os.Mkdir(filepath.Join(dir, "plots"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := results{Hours: 1, Rollouts: 1, Rules: []string{"the judge", "<other>"}, Plans: []string{"the judge"}}
	r.hours = []played{{trial{name: "×2", candidate: candidate{ratio: 2}}, []score{{2, 1, []float64{3}, []float64{4}}, {Hours: 2}}}}
	y := tally{Rollouts: 2, Count: [outcomes]int{rolledBack: 2}, Excess: []float64{1, 5}}
	y.Minutes[rolledBack] = []float64{2, 4}
	r.rollouts = []rolledOut{{trial{name: "×2"}, []tally{y}}}
	text, err := r.markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| the judge | 50.0%, 3 |", "| <other> | 0.0% |", "| ×2 | the judge | 0% | 100.0%, 3 min | 0% | 3 | 5 |"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	d := xml.NewDecoder(strings.NewReader(r.plot()))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
