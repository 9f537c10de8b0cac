package replay

import (
	"math/bits"
	"time"
)

// steps is the number of buckets for each doubling: a value is known to 6%.
const steps = 16

// histogram counts durations from 1 µs to beyond an hour in 8 KiB at most. Its
// zero value is empty.
type histogram struct {
	buckets []int64
	count   int64
	sum     time.Duration
	max     time.Duration
}

func (h *histogram) add(d time.Duration) {
	i := bucketOf(d)
	if i >= len(h.buckets) {
		h.buckets = append(h.buckets, make([]int64, i+1-len(h.buckets))...)
	}
	h.buckets[i]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// bucketOf returns a duration's bucket: below 16 µs each microsecond has one.
func bucketOf(d time.Duration) int {
	us := uint64(min(max(d.Microseconds(), 0), 1<<33))
	if us < steps {
		return int(us)
	}
	shift := bits.Len64(us) - 5
	return shift*steps + int(us>>shift)
}

// upper returns the least duration above a bucket.
func upper(bucket int) time.Duration {
	if bucket < 2*steps {
		return time.Duration(bucket+1) * time.Microsecond
	}
	shift := bucket/steps - 1
	return time.Duration(uint64(bucket-shift*steps+1)<<shift) * time.Microsecond
}

// quantile returns a duration that a share q of all does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	rank, seen := int64(q*float64(h.count)), int64(0)
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen > rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Latency is how long answers took, to the end of their bodies. In JSON it is in
// milliseconds.
type Latency struct {
	P50  Millis `json:"p50"`
	P90  Millis `json:"p90"`
	P99  Millis `json:"p99"`
	Max  Millis `json:"max"`
	Mean Millis `json:"mean"`
}

// Millis is a duration, in JSON in milliseconds.
type Millis float64

func millis(d time.Duration) Millis { return Millis(d.Microseconds()) / 1000 }

func (h *histogram) latency() Latency {
	if h.count == 0 {
		return Latency{}
	}
	return Latency{
		P50: millis(h.quantile(0.5)), P90: millis(h.quantile(0.9)), P99: millis(h.quantile(0.99)),
		Max: millis(h.max), Mean: millis(h.sum / time.Duration(h.count)),
	}
}
