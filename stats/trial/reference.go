package trial

import (
	"math"

	"sluice/stats"
)

// reference is the baseline's latencies of the previous 10 minutes, refreshed each
// minute. It never holds what is compared with it: what is counted in a minute is
// drained before the minute's mark.
type reference struct {
	marks  []stats.Histogram // cumulative, one a minute, oldest first
	marked int64             // when the last was made, Unix ns
	now    *stats.Histogram  // the reference in force; nil: too little is known
}

const (
	referenceMinutes = 10
	minuteNanos      = 60e9
	firstNanos       = 5e9
	// leastReference is how many latencies a reference must have: fewer say
	// nothing of a 99th percentile.
	leastReference = 200
)

func (r *reference) begin(history *stats.Histogram, now int64) {
	r.marks = make([]stats.Histogram, 1, referenceMinutes+2)
	r.marked = now
	if history != nil && history.Count() >= leastReference {
		kept := *history
		r.now = &kept
	}
}

// due reports whether a minute has passed since the last mark. Where there is no
// reference, as after a process began anew, a few seconds are enough.
func (r *reference) due(now int64) bool {
	return now-r.marked >= minuteNanos || r.now == nil && now-r.marked >= firstNanos
}

// mark takes in what the baseline's latencies sum up to since the trial began.
// Where the last minutes have too few, the reference before stands.
func (r *reference) mark(sum *stats.Histogram, now int64) {
	r.marked = now
	r.marks = append(r.marks, *sum)
	if len(r.marks) > referenceMinutes+1 {
		r.marks = append(r.marks[:0], r.marks[1:]...)
	}
	recent := *sum
	recent.Sub(&r.marks[0])
	if recent.Count() >= leastReference {
		r.now = &recent
	}
}

// slowness is from which latency on a request is slow. It lies on an edge of the
// reference's buckets.
type slowness struct {
	bucket [metrics]int   // the first that is slow; stats.Buckets: none
	nanos  [metrics]int64 // where it begins; 0: nowhere
}

// slowness returns the limits by the reference in force.
func (r *reference) slowness() *slowness {
	s := &slowness{bucket: [metrics]int{stats.Buckets, stats.Buckets, stats.Buckets}}
	if r.now != nil {
		s.set(P95, r.now, 0.95)
		s.set(P99, r.now, 0.99)
	}
	return s
}

// set finds the lowest edge that at most the rest beyond q lies above.
func (s *slowness) set(m Metric, h *stats.Histogram, q float64) {
	rest := float64(h.Count()) * (1 - q)
	above, bucket := 0.0, stats.Buckets
	for bucket > 1 && above+float64(h.Counts[bucket-1]) <= rest {
		bucket--
		above += float64(h.Counts[bucket])
	}
	if s.bucket[m] = bucket; bucket < stats.Buckets {
		s.nanos[m] = int64(math.Ceil(stats.LowerEdge(bucket) * 1e9))
	}
}

// by returns the metrics by which a latency is slow.
func (s *slowness) by(bucket int) (f flags) {
	if bucket >= s.bucket[P95] {
		f |= flagOf(P95)
	}
	if bucket >= s.bucket[P99] {
		f |= flagOf(P99)
	}
	return f
}
