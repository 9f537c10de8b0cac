package stats

import (
	"math"
	"time"
)

// A histogram's buckets are 2^(1/16) wide, 4.4%, and lie on powers of two of a
// second: bucket 1 begins at 2^-20 s (0.95 µs), the last regular one ends at
// 2^7 s (128 s). Every 16th edge is exact in seconds and in binary, which is
// what the Prometheus buckets are made of.
const (
	stepsPerOctave = 16
	leastOctave    = -20
	endOctave      = 7

	// Buckets is how many buckets a Histogram has. The first takes what is
	// below the range, the last what is above it.
	Buckets = (endOctave-leastOctave)*stepsPerOctave + 2
)

// The range in nanoseconds: values from leastNanos and below endNanos have a
// regular bucket.
const (
	leastNanos = 954 // the first whole nanosecond above 2^-20 s
	endNanos   = 128e9
)

// stepEdges holds where each step of an octave begins: the 52 mantissa bits of
// 2^(j/16), rounded up. The last entry is above every mantissa.
var stepEdges = [stepsPerOctave + 1]uint64{
	0, 0x0b5586cf98910, 0x172b83c7d517b, 0x2387a6e756239,
	0x306fe0a31b716, 0x3dea64c123423, 0x4bfdad5362a28, 0x5ab07dd48542a,
	0x6a09e667f3bcd, 0x7a11473eb0187, 0x8ace5422aa0dc, 0x9c49182a3f091,
	0xae89f995ad3ae, 0xc199bdd85529d, 0xd5818dcfba488, 0xea4afa2a490da,
	1 << 52,
}

// firstSteps holds, for each 1/32 of an octave, the step in which it begins. A
// cell is narrower than the narrowest step, so at most one edge lies within.
var firstSteps = [32]uint8{
	0, 0, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 7, 7, 8, 8,
	9, 9, 10, 10, 11, 11, 12, 12, 12, 13, 13, 14, 14, 14, 15, 15,
}

// BucketOf returns the bucket, from 0 to Buckets-1, of a duration in
// nanoseconds. A bucket contains its lower edge and not its upper one.
func BucketOf(nanos int64) int {
	if nanos < leastNanos {
		return 0
	}
	if nanos >= endNanos {
		return Buckets - 1
	}
	// The division is correctly rounded, so values on an edge stay on it. The
	// exponent is the octave, the mantissa's top 5 bits find the step.
	bits := math.Float64bits(float64(nanos) / 1e9)
	octave := int(bits>>52) - 1023 - leastOctave
	mantissa := bits & (1<<52 - 1)
	step := int(firstSteps[mantissa>>47])
	if mantissa >= stepEdges[step+1] {
		step++
	}
	return 1 + octave*stepsPerOctave + step
}

// LowerEdge returns where a bucket begins, in seconds: 0 for bucket 0. Bucket
// b ends where b+1 begins; the last one has no end.
func LowerEdge(bucket int) float64 {
	if bucket <= 0 {
		return 0
	}
	octave := (bucket-1)/stepsPerOctave + leastOctave
	step := (bucket - 1) % stepsPerOctave
	return math.Ldexp(1+float64(stepEdges[step])/(1<<52), octave)
}

// Histogram counts durations in logarithmic buckets. The zero value is empty.
// It is a plain value, not safe for concurrent change; counts of different
// versions, instances or moments can be added and subtracted.
type Histogram struct {
	Counts [Buckets]uint64
	// Micros is the sum of the durations in microseconds, each rounded.
	Micros uint64
}

// Record counts one duration in nanoseconds; a negative one counts as 0.
func (h *Histogram) Record(nanos int64) {
	h.Counts[BucketOf(nanos)]++
	h.Micros += toMicros(nanos)
}

// toMicros rounds to microseconds. Nanoseconds would overflow a sum of 64 bits
// within two days at 100,000 requests in flight; microseconds last for decades.
func toMicros(nanos int64) uint64 {
	if nanos <= 0 {
		return 0
	}
	return (uint64(nanos) + 500) / 1000
}

// Merge adds what another histogram counted.
func (h *Histogram) Merge(o *Histogram) {
	for i := range h.Counts {
		h.Counts[i] += o.Counts[i]
	}
	h.Micros += o.Micros
}

// Sub takes away what an earlier copy of the same histogram had counted, and
// leaves what came since.
func (h *Histogram) Sub(earlier *Histogram) {
	for i := range h.Counts {
		h.Counts[i] -= earlier.Counts[i]
	}
	h.Micros -= earlier.Micros
}

// Count returns how many durations were counted.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Mean returns the average duration; 0 if nothing was counted.
func (h *Histogram) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(float64(h.Micros) / float64(n) * 1e3)
}

// Quantile returns a duration that the share q (0 to 1) of those counted does
// not exceed, by nearest rank and to within a bucket: 4.4% in the regular
// range. Above it the answer is 128 s, and if nothing was counted it is 0.
func (h *Histogram) Quantile(q float64) time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(n)))
	rank = min(max(rank, 1), n)
	var below uint64
	for b, c := range h.Counts {
		if below+c >= rank {
			return within(b, (float64(rank-below)-0.5)/float64(c))
		}
		below += c
	}
	return endNanos
}

// within returns the duration that lies at a share of a bucket's width:
// linearly in the first bucket, which begins at 0, geometrically in the others.
func within(bucket int, share float64) time.Duration {
	lower, upper := LowerEdge(bucket), LowerEdge(bucket+1)
	switch bucket {
	case 0:
		return time.Duration(upper * share * 1e9)
	case Buckets - 1:
		return endNanos
	}
	return time.Duration(lower * math.Pow(upper/lower, share) * 1e9)
}
