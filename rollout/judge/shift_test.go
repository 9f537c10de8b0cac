package judge

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// histogram counts n latencies of a service whose median is at a bucket, moved by
// some more. The spread is a factor of 1.6 (20 buckets for 68% to each side: 0.87
// octaves).
func histogram(r *rand.Rand, n int, middle, moved float64) []float64 {
	h := make([]float64, 434)
	for range n {
		h[min(max(int(middle+moved+11*r.NormFloat64()), 0), len(h)-1)]++
	}
	return h
}

// hour plays sessions of a service in batches and returns after how many the
// candidate was convicted of harm, and cleared of the last margin; 0: never.
func hour(st *State, seed uint64, moved float64, reference int) (convicted, cleared int) {
	r := rand.New(rand.NewPCG(seed, 1))
	const batch = 400
	ref := histogram(r, reference, 200, 0)
	ref[3]++ // one answer from a cache, far below all others
	for n := batch; n <= 40*batch && (convicted == 0 || cleared == 0); n += batch {
		c, all := histogram(r, batch/4, 200, moved), histogram(r, batch*3/4, 200, 0)
		for b := range all {
			all[b] += c[b]
		}
		st.Latencies(c, all, ref, 0.25)
		if convicted == 0 && st.shift.harm(st.idle(), 1) > math.Log(100/0.3) {
			convicted = n
		}
		if cleared == 0 && st.shift.safe(3, st.idle(), 1) > math.Log(20) {
			cleared = n
		}
	}
	return convicted, cleared
}

func TestShiftsAreSeen(t *testing.T) {
	for _, c := range []struct {
		slower             float64
		reference          int
		convicted, cleared bool
		within             int
	}{
		{1, 5000, false, true, 2000}, {1, 200, false, true, 4000},
		{1.05, 5000, false, true, 4000},
		{1.3, 5000, true, false, 3000}, {1.3, 200, true, false, 6000},
		{1.6, 5000, true, false, 1200}, {3, 200, true, false, 800},
	} {
		for seed := range uint64(3) {
			st := New(DefaultConfig())
			convicted, cleared := hour(st, seed, 16*math.Log2(c.slower), c.reference)
			if (convicted > 0) != c.convicted || (cleared > 0) != c.cleared && c.slower != 1.3 || max(convicted, min(cleared, c.within)) > c.within {
				t.Errorf("%v times slower, a reference of %d: convicted after %d sessions, cleared after %d", c.slower, c.reference, convicted, cleared)
			}
		}
	}
}

// smoothPlain takes each mean anew.
func smoothPlain(ref []float64, side int) []float64 {
	to := make([]float64, len(ref))
	for b := range ref {
		n := 0.0
		for i := max(0, b-side); i <= min(len(ref)-1, b+side); i++ {
			to[b] += ref[i]
			n++
		}
		to[b] /= n
	}
	return to
}

func TestSmoothAgainstPlainMeans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ref := make([]float64, rapid.IntRange(1, 100).Draw(t, "buckets"))
		for i := range ref {
			ref[i] = float64(rapid.IntRange(0, 20).Draw(t, "count"))
		}
		ref[rapid.IntRange(0, len(ref)-1).Draw(t, "full")]++
		got := make([]float64, len(ref))
		smooth(got, ref)
		for side := 0; ; side++ {
			if side > len(ref) {
				t.Fatalf("%v is no mean of %v", got, ref)
			}
			same := true
			for i, v := range smoothPlain(ref, side) {
				same = same && math.Abs(v-got[i]) < 1e-9
			}
			if same {
				return
			}
		}
	})
}

func TestOddsNeverFallAndAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, ref := histograms(t)
		odds, lowest := make([]float64, len(ref)), rapid.IntRange(0, len(ref)-1).Draw(t, "lowest")
		slowerOdds(odds, ref, 1<<rapid.IntRange(0, shifts-1).Draw(t, "by"), lowest)
		for b, o := range odds {
			if o < 1.0/mostOdds || o > mostOdds || b > 0 && o < odds[b-1] {
				t.Fatalf("the odds are %v", odds)
			}
		}
	})
}

// A reference that fits nothing, as a few latencies from a start may make it, costs
// a promotion time and not all hope: bets begin anew each minute.
func TestAPoorReferenceIsOutlived(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 1))
	st := New(DefaultConfig())
	play := func(middle float64, sessions int) {
		c, all := histogram(r, sessions/4, 200, 0), histogram(r, sessions*3/4, 200, 0)
		for b := range all {
			all[b] += c[b]
		}
		st.Latencies(c, all, histogram(r, 2000, middle, 0), 0.25)
	}
	play(150, 8000)
	if before := st.shift.safe(3, st.idle(), 1); before > 0 {
		t.Fatalf("the poor reference did no harm: %v", before)
	}
	st.Minute()
	play(200, 8000)
	if after := st.shift.safe(3, st.idle(), 1); after < math.Log(20) {
		t.Errorf("a fitting reference brings no safety: %v", after)
	}
}
