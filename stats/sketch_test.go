package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

func estimateOf(sketches ...*sketch) uint64 {
	var u union
	for _, s := range sketches {
		u.merge(s)
	}
	return u.estimate()
}

func TestSketchIsAccurateAtEverySize(t *testing.T) {
	const runs = 30
	for _, n := range []int{1, 2, 10, 100, 1000, 3000, 5000, 10_000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var squares, bias float64
			for run := range uint64(runs) {
				var s sketch
				for i := range uint64(n) {
					s.add(mix(i ^ mix(run)))
				}
				e := float64(estimateOf(&s))/float64(n) - 1
				squares += e * e
				bias += e
			}
			if rms := math.Sqrt(squares / runs); rms > 0.03 {
				t.Errorf("error %.2f%%, want at most 3%%", 100*rms)
			}
			if b := math.Abs(bias / runs); b > 0.015 {
				t.Errorf("bias %.2f%%, want at most 1.5%%", 100*b)
			}
		})
	}
}

func TestSketchOfNothingIsZero(t *testing.T) {
	if got := estimateOf(new(sketch)); got != 0 {
		t.Errorf("estimate = %d, want 0", got)
	}
}

func TestSketchTakesExtremeHashes(t *testing.T) {
	var s sketch
	s.add(0)
	s.add(math.MaxUint64)
	if got := estimateOf(&s); got < 1 || got > 3 {
		t.Errorf("estimate = %d, want about 2", got)
	}
	var full sketch
	for r := range uint64(registers) {
		full.add(r << rankBits)
	}
	if got := estimateOf(&full); got < 1<<60 {
		t.Errorf("all registers full: estimate = %d, want astronomic", got)
	}
}

func TestUnionIsThatOfAll(t *testing.T) {
	var odd, even, all sketch
	for i := range uint64(20_000) {
		h := mix(i)
		all.add(h)
		if i%2 == 0 {
			even.add(h)
		} else {
			odd.add(h)
		}
	}
	if got, want := estimateOf(&odd, &even), estimateOf(&all); got != want {
		t.Errorf("estimate = %d, want %d as of one sketch", got, want)
	}
}

func TestSketchLosesNothingToConcurrency(t *testing.T) {
	var together, alone sketch
	var wg sync.WaitGroup
	for part := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(5000) {
				together.add(mix(part<<32 | i))
			}
		})
		for i := range uint64(5000) {
			alone.add(mix(part<<32 | i))
		}
	}
	wg.Wait()
	if got, want := estimateOf(&together), estimateOf(&alone); got != want {
		t.Errorf("estimate = %d, want %d", got, want)
	}
}

func TestSessionsLeaveTheWindow(t *testing.T) {
	var s sessions
	live := func(period int64) uint64 {
		var u union
		s.live(&u, period)
		return u.estimate()
	}
	near := func(what string, got, want uint64) {
		t.Helper()
		if math.Abs(float64(got)-float64(want)) > 0.1*float64(want) {
			t.Errorf("%s: %d live, want about %d", what, got, want)
		}
	}
	for i := range uint64(1000) {
		s.add(mix(i), 100)
		s.add(mix(i+500), 102)
	}
	near("both slices", live(102), 1500)
	near("the first still in the window", live(104), 1500)
	near("the first just out of it", live(105), 1000)
	near("all out", live(107), 0)
	s.add(mix(1), 105)
	near("a new slice in an old one's place", live(105), 1001)
	near("long after", live(1000), 0)
	s.add(mix(1), 7)
	near("a clock set back", live(7), 1)
}

func BenchmarkSketchSeen(b *testing.B) {
	var s sketch
	ids := make([]uint64, 1024)
	for i := range ids {
		ids[i] = mix(rand.Uint64())
		s.add(ids[i])
	}
	i := 0
	for b.Loop() {
		s.add(ids[i&1023])
		i++
	}
}

func BenchmarkEstimate(b *testing.B) {
	var s sessions
	for i := range uint64(100_000) {
		s.add(mix(i), int64(i%windowSlices))
	}
	b.ReportAllocs()
	for b.Loop() {
		var u union
		s.live(&u, windowSlices-1)
		u.estimate()
	}
}
