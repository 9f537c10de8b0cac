package main

import (
	"errors"
	"testing"
	"time"
)

// TestWhatPolicyExplains: a failure is explained by what happened while it was
// under way, and by nothing before or after.
func TestWhatPolicyExplains(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0) }
	tr := &trouble{deaths: []moment{{at(10), at(11)}}, closings: []moment{{at(20), at(22)}}}
	for _, c := range []struct {
		from, to  int
		lasts     bool
		explained bool
	}{
		{1, 9, true, false},
		{1, 10, false, true},
		{11, 12, false, true},
		{12, 13, true, false},
		{9, 30, false, true},
		{19, 20, true, true},
		{19, 20, false, false},
		{22, 25, true, true},
		{23, 25, true, false},
	} {
		d := deed{lasts: c.lasts, began: at(c.from), end: at(c.to), err: errors.New("failed")}
		if got := tr.explains(d) != ""; got != c.explained {
			t.Errorf("%+v: explained %v", c, got)
		}
	}
}

func TestLevels(t *testing.T) {
	before := level{goroutines: 30, descriptors: 20, memory: 40}
	for _, l := range []level{{50, 30, 88}, {1, 1, 1}, before} {
		if above := l.above(before); above != "" {
			t.Errorf("%v: %s", l, above)
		}
	}
	for _, l := range []level{{51, 20, 40}, {30, 31, 40}, {30, 20, 89}} {
		if l.above(before) == "" {
			t.Errorf("%v is taken for level", l)
		}
	}
}

func TestMetric(t *testing.T) {
	text := []byte("# HELP go_goroutines n\ngo_goroutines 33\nprocess_resident_memory_bytes 3.7e+07\n")
	if metric(text, "go_goroutines") != 33 || metric(text, "process_resident_memory_bytes") != 3.7e7 || metric(text, "none") != 0 {
		t.Error("read wrongly")
	}
}

// TestSortingFailures divides those that policy explains from others.
func TestSortingFailures(t *testing.T) {
	now := time.Now()
	b := newBooks()
	b.enter(deed{kind: "a", began: now, end: now})
	b.enter(deed{kind: "a", began: now, end: now, err: errors.New("x")})
	other := newBooks()
	other.enter(deed{kind: "a", began: now.Add(-time.Hour), end: now.Add(-time.Hour), err: errors.New("y")})
	b.merge(other)
	explained, unexplained := account{books: b, trouble: &trouble{deaths: []moment{{now, now}}}}.sort()
	if b.done["a"] != 3 || len(explained["a"]) != 1 || len(unexplained["a"]) != 1 {
		t.Errorf("%v, %v, %v", b.done, explained, unexplained)
	}
}
