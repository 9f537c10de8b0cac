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
	// tolerated is by how many buckets the candidate may be slower.
	tolerated int
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

// slowness is from which latency on a request is slow, by arm. The baseline's limits
// lie on an edge of the reference's buckets, the candidate's so many buckets above as
// it may be slower.
type slowness struct {
	bucket [2][metrics]int   // the first that is slow; stats.Buckets: none
	nanos  [2][metrics]int64 // where it begins; 0: nowhere
}

// slowness returns the limits by the reference in force.
func (r *reference) slowness() *slowness {
	s := &slowness{}
	for arm := range s.bucket {
		s.bucket[arm] = [metrics]int{stats.Buckets, stats.Buckets, stats.Buckets}
	}
	if r.now != nil {
		s.set(P95, edgeBeyond(r.now, 0.95), r.tolerated)
		s.set(P99, edgeBeyond(r.now, 0.99), r.tolerated)
	}
	return s
}

// edgeBeyond finds the lowest edge that at most the rest beyond q lies above.
func edgeBeyond(h *stats.Histogram, q float64) (bucket int) {
	rest := float64(h.Count()) * (1 - q)
	above := 0.0
	for bucket = stats.Buckets; bucket > 1 && above+float64(h.Counts[bucket-1]) <= rest; {
		bucket--
		above += float64(h.Counts[bucket])
	}
	return bucket
}

// set notes a limit of the baseline's, and the candidate's so many buckets above.
func (s *slowness) set(m Metric, bucket, tolerated int) {
	for arm, edge := range [2]int{candidate: bucket + tolerated, baseline: bucket} {
		if edge < stats.Buckets {
			s.bucket[arm][m], s.nanos[arm][m] = edge, int64(math.Ceil(stats.LowerEdge(edge)*1e9))
		}
	}
}

// by returns the metrics by which a latency of an arm is slow.
func (s *slowness) by(arm, bucket int) (f flags) {
	if bucket >= s.bucket[arm][P95] {
		f |= flagOf(P95)
	}
	if bucket >= s.bucket[arm][P99] {
		f |= flagOf(P99)
	}
	return f
}
