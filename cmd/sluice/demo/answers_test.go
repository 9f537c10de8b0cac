package demo

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/admin/api"
	"sluice/state"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// saw completes answers: they are of web, a minute apart from noon on, and the
// first one of a session is marked as such.
func saw(lines ...answer) answers {
	known := map[int64]bool{}
	for i := range lines {
		a := &lines[i]
		a.Service, a.Sent = "web", noon.Add(time.Duration(i)*time.Minute)
		a.Got = a.Sent.Add(time.Second)
		a.First = !known[a.Session]
		known[a.Session] = true
	}
	return lines
}

func TestAnswers(t *testing.T) {
	as := saw(
		answer{Session: 1, Version: "v1", Status: 200},
		answer{Session: 2, Version: "v2", Status: 200},
		answer{Session: 1, Version: "v1", Status: 500},
		answer{Session: 3},
		answer{Session: 3, Version: "v2", Status: 200},
		answer{Session: 2, Version: "v1", Status: 200},
		answer{Session: 2, Version: "v2", Status: 200},
		answer{Session: 4, Status: 200}, // not from a backend
	)
	want := map[string]seen{
		"":   {Requests: 2, Failed: 2, Sessions: 2, New: 2},
		"v1": {Requests: 3, Failed: 1, Sessions: 2, New: 1},
		"v2": {Requests: 3, Sessions: 2, New: 1},
	}
	if got := as.byVersion(); !reflect.DeepEqual(got, want) {
		t.Errorf("by version: %+v", got)
	}
	if all, there := as.newSessions("v2"); all != 4 || there != 1 {
		t.Errorf("new sessions: %d, %d", all, there)
	}
	paths := map[int64][]string{1: {"v1"}, 2: {"v2", "v1", "v2"}, 3: {"v2"}}
	if got := as.sessions(); !reflect.DeepEqual(got, paths) || as.moved() != 1 {
		t.Errorf("sessions: %v, moved %d", got, as.moved())
	}
	if as.failed() != 3 {
		t.Errorf("failed: %d", as.failed())
	}
	if got := as.since(noon); len(got) != 7 {
		t.Errorf("since: %d", len(got))
	}
}

func TestTotals(t *testing.T) {
	as := saw(answer{Session: 1, Version: "v3", Status: 500}, answer{Session: 1, Version: "v3", Status: 200}, answer{Session: 2})
	want := totals{took: time.Second, requests: 3, sessions: 2, failed: 2, failedByV3: 1}
	if got := totalsOf(as, time.Second); got != want {
		t.Errorf("%+v", got)
	}
}

func TestJournalForgets(t *testing.T) {
	j := new(journal)
	for _, a := range saw(answer{Session: 1}, answer{Session: 2}, answer{Session: 3}) {
		j.add(a)
	}
	j.forget(noon.Add(time.Minute))
	left := j.where(func(*answer) bool { return true })
	if len(left) != 2 || left[0].Session != 2 {
		t.Errorf("%+v", left)
	}
}

func TestPlausible(t *testing.T) {
	for _, test := range []struct {
		n, k  int
		share float64
		want  bool
	}{
		{0, 0, 0.05, true}, {10, 0, 0, true}, {10, 1, 0, false}, {10, 10, 1, true}, {10, 9, 1, false},
		{100, 5, 0.05, true}, {100, 0, 0.05, true}, {100, 20, 0.05, false}, {1000, 5, 0.05, false},
		{1000, 500, 0.5, true}, {1000, 570, 0.5, true}, {1000, 590, 0.5, false}, {1000, 410, 0.5, false},
		{20, 0, 0.5, false}, {5, 6, 0.5, false}, {5, -1, 0.5, false}, {100_000, 5000, 0.05, true},
	} {
		if got := plausible(test.n, test.k, test.share); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// The slow, plain twin goes through all outcomes of the draws.
func TestBinomialAgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 10).Draw(t, "n")
		from := rapid.IntRange(0, n).Draw(t, "from")
		to := rapid.IntRange(from, n).Draw(t, "to")
		p := rapid.Float64Range(0.001, 0.999).Draw(t, "p")
		want := 0.0
		for outcome := range 1 << n {
			hits, probability := 0, 1.0
			for i := range n {
				if outcome>>i&1 == 1 {
					hits, probability = hits+1, probability*p
				} else {
					probability *= 1 - p
				}
			}
			if from <= hits && hits <= to {
				want += probability
			}
		}
		if got := binomial(n, from, to, p); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v, counted %v", got, want)
		}
	})
}

func TestShareTable(t *testing.T) {
	s := &api.Service{Name: "web", Versions: []api.Version{
		{Name: "v1", Weight: 95, Mode: state.Live, Shares: api.Shares{NewSessions: 0.95, LiveSessions: 0.9999, Requests: 1}},
		{Name: "v2", Weight: 5, Mode: state.Live, Shares: api.Shares{NewSessions: 0.05, LiveSessions: 0.0001}},
		{Name: "v3", Mode: state.Draining},
	}}
	got := strings.Join(shareTable(s, saw(
		answer{Session: 1, Version: "v1", Status: 200}, answer{Session: 1, Version: "v1", Status: 200},
		answer{Session: 2, Version: "v2", Status: 500}, answer{Session: 2},
	)), "\n")
	want := `
          the proxy: weight and shares of             | the clients saw meanwhile
  web   weight      new  sessions  requests  mode     | requests   share  failed  new sessions
  v1        95    95.0%    >99.9%    100.0%  live     |        2   50.0%       -      1  50.0%
  v2         5     5.0%     <0.1%         -  live     |        1   25.0%       1      1  50.0%
  v3         0        -         -         -  draining |        -       -       -             -
  answered by no version                              |        1   25.0%       1             -`[1:]
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"one  two\nthree", []string{"one two", "three"}},
		{"a-word-that-is-long b", []string{"a-word-that-is-long", "b"}},
		{"ééé ééé é", []string{"ééé ééé", "é"}},
	} {
		if got := wrap(test.text, 8); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %q", test.text, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	for d, want := range map[time.Duration]string{
		345_678: "350µs", 1_234_567: "1.23ms", 23_456_789: "23ms", 1_260_000_000: "1.3s", 21_700_000_000: "22s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	if got := several(1, "session") + several(0, "session") + several(2, "session"); got != "1 session0 sessions2 sessions" {
		t.Error(got)
	}
	for range 1000 {
		if d := jitter(100); d < 50 || d > 150 {
			t.Fatalf("jitter of 100: %d", d)
		}
	}
	for _, token := range []string{"a.b.cde", "a.b.Ade"} {
		if f := forged(token); f == token || len(f) != len(token) || !strings.HasPrefix(f, "a.b.") || !strings.HasSuffix(f, "de") {
			t.Errorf("%s: %s", token, f)
		}
	}
}
