package replay

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/proxy/head"
)

// TestHistogramIsNear: a quantile is within a sixteenth of the true one.
func TestHistogramIsNear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 2*int64(time.Hour)), 1, 50).Draw(t, "values")
		var h histogram
		for _, v := range values {
			h.add(time.Duration(v))
		}
		slices.Sort(values)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
			want := time.Duration(values[min(int(q*float64(len(values))), len(values)-1)])
			got := h.quantile(q)
			if got < want.Truncate(time.Microsecond) || got > want+want/15+time.Microsecond {
				t.Fatalf("quantile %g of %v is %v, not %v", q, values, got, want)
			}
		}
		if len(h.buckets)*8 > 8<<10 {
			t.Fatalf("%d buckets", len(h.buckets))
		}
	})
}

// TestTimelineKeepsAll: slots are merged, nothing is lost, and there are never
// too many.
func TestTimelineKeepsAll(t *testing.T) {
	now := time.Unix(0, 0)
	l := newTally(&Config{Now: func() time.Time { return now }})
	for i := range 10_000 {
		l.slot(i%10 == 0)
		now = now.Add(700 * time.Millisecond)
	}
	var sent, failed int64
	for _, s := range l.slots {
		sent, failed = sent+s.Sent, failed+s.Errors
	}
	if sent != 10_000 || failed != 1000 || len(l.slots) > maxSlots || l.width != 32*time.Second {
		t.Errorf("%d sent, %d failed in %d slots of %v", sent, failed, len(l.slots), l.width)
	}
}

func TestBoundsOfTally(t *testing.T) {
	l := newTally(&Config{Now: time.Now, Tolerance: Tolerance{Any: true}})
	for i := range 1000 {
		r := &Request{Method: "GET", Target: "/" + strings.Repeat("a", i%30) + strings.Repeat("b", i/30), Status: 200 + i%300}
		l.record(r, &Answer{Status: 201 + i%250}, nil, 0)
	}
	if len(l.patterns) > maxPatterns+1 || len(l.changes) > maxChanges+1 || len(l.failures) > maxFailures {
		t.Errorf("%d patterns, %d changes, %d failures", len(l.patterns), len(l.changes), len(l.failures))
	}
	if l.patterns[otherPatterns] == nil || l.changes[change{}] == nil {
		t.Error("the rest is not counted")
	}
}

func TestJar(t *testing.T) {
	var j jar
	now := time.Unix(1e9, 0)
	keep := func(host string, lines ...string) {
		for _, line := range lines {
			j.keep(host, []head.Field{{ID: head.SetCookie, Value: line}}, now)
		}
	}
	keep("a", "x=1; Path=/", "y=2", "bad")
	keep("b", "x=3")
	if got := j.field("a"); got != "x=1; y=2" {
		t.Error(got)
	}
	keep("a", "x=; Max-Age=0", "y=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
	if got := j.field("a") + "|" + j.field("b"); got != "|x=3" {
		t.Error(got)
	}
	keep("a", "z="+strings.Repeat("x", maxJar))
	for i := range 100 {
		keep("a", string(rune('A'+i%26))+strings.Repeat("x", i)+"=1")
	}
	if len(j.cookies) > maxCookies || j.size > maxJar || strings.Contains(j.field("a"), "z=") {
		t.Errorf("%d cookies of %d bytes", len(j.cookies), j.size)
	}
}

func TestPatternOf(t *testing.T) {
	for target, want := range map[string]string{
		"/": "/", "/items/17?a": "/items/{}", "/api/v1/users/3f2a9c1e": "/api/v1/users/{}",
		"/" + strings.Repeat("x", 40): "/{}", "/a/b/c/d/e/f/g/h/i": "/a/b/c/d/e/f/g/h/…",
	} {
		if got := patternOf(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestFlagsOfReplay(t *testing.T) {
	for s, want := range map[string]Tolerance{"5": {Count: 5}, "1%": {Share: 0.01}, "any": {Any: true}, "0%": {}} {
		if got, err := ParseTolerance(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for s, want := range map[string]Pace{"1x": {Speed: 1}, "0.5x": {Speed: 0.5}, "3": {Speed: 3}, "max": {}} {
		if got, err := ParseSpeed(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for s, want := range map[string]Statuses{"5xx": {500, 599}, "404": {404, 404}} {
		if got, err := ParseStatuses(s); err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "-1", "x", "NaN%", "101%", "fastx", "NaNx", "0x", "6xx", "99", "1e9x"} {
		_, a := ParseTolerance(s)
		_, b := ParseSpeed(s)
		_, c := ParseStatuses(s)
		if a == nil && s != "99" || b == nil && s != "99" || c == nil {
			t.Errorf("%q was taken: %v, %v, %v", s, a, b, c)
		}
	}
}

func TestFilter(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	r := &Request{At: at, Method: "GET", Target: "/a?b", Status: 404, Service: "web"}
	for _, test := range []struct {
		filter Filter
		want   why
	}{
		{Filter{}, wanted},
		{Filter{Methods: []string{"HEAD"}}, unwanted},
		{Filter{Statuses: []Statuses{{400, 499}}}, wanted},
		{Filter{Statuses: []Statuses{{200, 299}}}, unwanted},
		{Filter{Since: at}, wanted},
		{Filter{Until: at}, unwanted},
		{Filter{Service: "web"}, wanted},
		{Filter{Service: "api"}, unwanted},
	} {
		if got := test.filter.look(r); got != test.want {
			t.Errorf("%+v: %v, want %v", test.filter, got, test.want)
		}
	}
	if got := (&Filter{}).look(&Request{Method: "get", Target: "/"}); got != forbidden {
		t.Errorf("get: %v", got)
	}
}
