package upstream

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A check's result is written as a letter, what it changed after it: "x" a
// failure, "o" a success, "v" taken down, "^" brought back.
func TestHealthMachine(t *testing.T) {
	for _, tt := range []struct {
		fall, rise int
		checks     string
		want       string
	}{
		{3, 2, "ooo", "ooo"},
		{3, 2, "xxo", "xxo"},
		{3, 2, "xxx", "xxxv"},
		{3, 2, "xxoxx", "xxoxx"},
		{3, 2, "xxoxxx", "xxoxxxv"},
		{3, 2, "xxxxxxx", "xxxvxxxx"},
		{3, 2, "xxxo", "xxxvo"},
		{3, 2, "xxxoo", "xxxvoo^"},
		{3, 2, "xxxoxoo", "xxxvoxoo^"},
		{3, 2, "xxxooxxx", "xxxvoo^xxxv"},
		{1, 1, "xoxo", "xvo^xvo^"},
	} {
		var h health
		got := ""
		for _, c := range tt.checks {
			got += string(c)
			if h.observe(c == 'o', tt.fall, tt.rise) {
				got += map[bool]string{true: "v", false: "^"}[h.down]
			}
		}
		if got != tt.want {
			t.Errorf("fall %d, rise %d: got %s, want %s", tt.fall, tt.rise, got, tt.want)
		}
	}
}

// The machine agrees with a twin that keeps all results and looks back.
func TestHealthMachineAgreesWithHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fall, rise := rapid.IntRange(1, 4).Draw(t, "fall"), rapid.IntRange(1, 4).Draw(t, "rise")
		var h health
		down, since := false, 0
		for i, ok := range rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "checks") {
			if ok == down {
				since++
			} else {
				since = 0
			}
			flip := (!down && since >= fall) || (down && since >= rise)
			if flip {
				down, since = !down, 0
			}
			if changed := h.observe(ok, fall, rise); changed != flip || h.down != down {
				t.Fatalf("check %d: changed %v, down %v; want %v, %v", i, changed, h.down, flip, down)
			}
		}
	})
}

func TestEjectionLastsLongerEachTime(t *testing.T) {
	const base = 30 * time.Second
	now := time.Unix(1000, 0)
	var j ejection
	for i := 1; i <= 12; i++ {
		until := j.begin(now, base)
		if want := time.Duration(min(i, 10)) * base; until.Sub(now) != want {
			t.Fatalf("ejection %d lasts %v, want %v", i, until.Sub(now), want)
		}
		if j.over(until.Add(-1)) || !j.over(until) {
			t.Fatalf("ejection %d ends at another moment than %v", i, until)
		}
		j.end(until)
		now = until.Add(10*base - 1)
	}
	if until := j.begin(now.Add(1), base); until.Sub(now.Add(1)) != base {
		t.Errorf("after ten times the base without one, an ejection lasts %v, want %v", until.Sub(now), base)
	}
}

func TestEjectionEndedEarlyCountsFromItsEnd(t *testing.T) {
	now := time.Unix(1000, 0)
	var j ejection
	j.begin(now, time.Hour)
	j.end(now.Add(time.Second))
	if j.on || j.over(now.Add(2*time.Hour)) || !j.until.Equal(now.Add(time.Second)) {
		t.Errorf("ended ejection: %+v", j)
	}
}

func TestMaxEjected(t *testing.T) {
	for _, tt := range []struct{ total, percent, want int }{
		{0, 50, 0}, {1, 50, 0}, {1, 100, 0}, {2, 50, 1}, {3, 50, 1}, {4, 50, 2}, {5, 10, 1}, {10, 30, 3}, {10, 100, 10},
	} {
		if got := maxEjected(tt.total, tt.percent); got != tt.want {
			t.Errorf("maxEjected(%d, %d) = %d, want %d", tt.total, tt.percent, got, tt.want)
		}
	}
}

func TestJitterStaysWithinATenth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "d"))
		got := jitter(d, rapid.Uint64().Draw(t, "r"))
		if got < d-d/10 || got > d+d/10 {
			t.Fatalf("jitter(%v) = %v", d, got)
		}
	})
	if jitter(100, 0) != 90 || jitter(100, 20) != 110 {
		t.Error("jitter does not reach its bounds")
	}
}

func TestChoose(t *testing.T) {
	a, b, d := &Endpoint{Address: "a"}, &Endpoint{Address: "b"}, &Endpoint{Address: "d"}
	var draw uint64
	c := &Cluster{rand: func() uint64 { return draw }}
	const step = 1 << 32 / 12
	count := func(list []*Endpoint, avoid *Endpoint) map[*Endpoint]int {
		n := map[*Endpoint]int{}
		for hi := uint64(0); hi < 12; hi++ {
			for lo := uint64(0); lo < 12; lo++ {
				draw = (hi*step+step/2)<<32 | (lo*step + step/2)
				n[c.choose(&view{usable: list}, &Acquire{Avoid: avoid})]++
			}
		}
		return n
	}
	if n := count([]*Endpoint{a, b, d}, nil); n[a] != 48 || n[b] != 48 || n[d] != 48 {
		t.Errorf("equal endpoints are not chosen equally: %v", n)
	}
	if n := count([]*Endpoint{a, b, d}, b); n[b] != 0 || n[a] == 0 || n[d] == 0 {
		t.Errorf("the endpoint to avoid is chosen: %v", n)
	}
	if n := count([]*Endpoint{a}, a); n[a] != 144 {
		t.Error("the only endpoint is avoided")
	}
	a.active.Store(2)
	if n := count([]*Endpoint{a, b}, nil); n[a] != 0 {
		t.Error("of two, the busier is chosen")
	}
	if n := count([]*Endpoint{a, b, d}, nil); n[a] != 0 || n[b] == 0 || n[d] == 0 {
		t.Errorf("the busiest is chosen: %v", n)
	}
}
