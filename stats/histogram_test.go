package stats

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// exactEdge returns the first whole nanosecond that is not below
// 2^-20 s · 2^(step/16): the least n with n^16 · 2^320 ≥ 10^144 · 2^step.
func exactEdge(step int) int64 {
	pow := func(base, exp int64) *big.Int { return new(big.Int).Exp(big.NewInt(base), big.NewInt(exp), nil) }
	bound := new(big.Int).Mul(pow(10, 144), pow(2, int64(step)))
	low, high := int64(0), int64(1)<<40
	for low < high {
		mid := (low + high) / 2
		if new(big.Int).Mul(pow(mid, 16), pow(2, 320)).Cmp(bound) >= 0 {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// Between its edges BucketOf cannot go wrong, as it never falls: so this
// covers every duration.
func TestBucketOfIsExactAtEveryEdge(t *testing.T) {
	for step := range Buckets - 1 {
		edge := exactEdge(step)
		if got := BucketOf(edge); got != step+1 {
			t.Errorf("BucketOf(%d) = %d, want %d: it is the first in the bucket", edge, got, step+1)
		}
		if got := BucketOf(edge - 1); got != step {
			t.Errorf("BucketOf(%d) = %d, want %d: it is the last in the bucket", edge-1, got, step)
		}
		want := math.Exp2(float64(step)/stepsPerOctave + leastOctave)
		if got := LowerEdge(step + 1); math.Abs(got/want-1) > 1e-15 {
			t.Errorf("LowerEdge(%d) = %v, want %v", step+1, got, want)
		}
	}
}

func TestBucketOfNeverFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 200e9).Draw(t, "nanos")
		more := rapid.Int64Range(0, 1e9).Draw(t, "more")
		if BucketOf(n) > BucketOf(n+more) {
			t.Fatalf("BucketOf(%d) = %d > BucketOf(%d) = %d", n, BucketOf(n), n+more, BucketOf(n+more))
		}
	})
}

func TestBucketOfTakesAnything(t *testing.T) {
	for nanos, want := range map[int64]int{
		math.MinInt64: 0, -1: 0, 0: 0, 953: 0, 954: 1,
		128e9 - 1: Buckets - 2, 128e9: Buckets - 1, math.MaxInt64: Buckets - 1,
	} {
		if got := BucketOf(nanos); got != want {
			t.Errorf("BucketOf(%d) = %d, want %d", nanos, got, want)
		}
	}
}

func TestQuantileAgainstSortedDurations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(1000, 127e9), 1, 200).Draw(t, "durations")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h Histogram
		for _, n := range all {
			h.Record(n)
		}
		slices.Sort(all)
		exact := all[max(int(math.Ceil(q*float64(len(all)))), 1)-1]
		got := h.Quantile(q)
		if ratio := float64(got) / float64(exact); ratio < 1/1.0444 || ratio > 1.0444 {
			t.Fatalf("Quantile(%v) = %v, want %v to within 4.4%%", q, got, time.Duration(exact))
		}
	})
}

func TestQuantileOutsideTheRange(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v, want 0", got)
	}
	h.Record(-5)
	if got := h.Quantile(1); got < 0 || got > time.Microsecond {
		t.Errorf("below the range: %v, want up to 1µs", got)
	}
	h.Record(int64(time.Hour))
	if got := h.Quantile(1); got != 128*time.Second {
		t.Errorf("above the range: %v, want 128s", got)
	}
	if got := h.Quantile(7); got != 128*time.Second {
		t.Errorf("of more than all: %v, want as of all", got)
	}
}

func TestMergeAndSubKeepCountsAndMean(t *testing.T) {
	var before, since, both Histogram
	for i := range int64(1000) {
		before.Record(i * 1000)
		since.Record(i * 7000)
		both.Record(i * 1000)
		both.Record(i * 7000)
	}
	sum := before
	sum.Merge(&since)
	if sum != both {
		t.Error("Merge differs from recording into one")
	}
	sum.Sub(&before)
	if sum != since {
		t.Error("Sub does not leave what came since")
	}
	if got, want := both.Mean(), 1998*time.Microsecond; got != want {
		t.Errorf("Mean = %v, want %v", got, want)
	}
	if got := new(Histogram).Mean(); got != 0 {
		t.Errorf("Mean of nothing = %v, want 0", got)
	}
}

func BenchmarkBucketOf(b *testing.B) {
	n := int64(1)
	for b.Loop() {
		n = n*5 + int64(BucketOf(n&(1<<37-1)))
	}
}
