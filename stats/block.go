package stats

import "sync/atomic"

// counter numbers the plain counters of a block.
type counter int

// The counters. The first 8 share a cache line; most requests touch no other.
// What ends stands before what begins, so that a reader who goes in order
// never sees more ends than beginnings.
const (
	tunnelsClosed counter = iota
	begun
	micros // sum of durations
	bytesIn
	bytesOut
	retries
	aborted
	failoversTaken
	firstError // one for each kind of upstream error, from Connect on
)

// The counters behind the errors.
const (
	tunnelsOpened = firstError + counter(upstreamErrors) + iota
	pinsMade
	pinsMoved
	pinsVoided
	failedOver
	ejections
	lookupFailures
	overloaded
	hedges
	hedgesWon
	shielded
	fellBack
	streamsClosed
	firstShadow // one for each fate of a copy
	counters    = firstShadow + counter(shadows)
)

// block is one shard's counters of one version. Its first and last counters
// keep a cache line's distance from whatever lies beside it in memory, so that
// cores which count in different shards do not slow each other down.
type block struct {
	_        [64]byte
	counters [counters]atomic.Uint64
	minute   minute
	latency  [Buckets]atomic.Uint64
	requests []atomic.Uint64 // by reason, then class
	_        [64]byte
}

// newBlock makes a block for a number of reasons.
func newBlock(reasons int) *block {
	// Whole cache lines: the allocator aligns blocks of that size to lines.
	cells := (reasons*classes + 7) / 8 * 8
	return &block{requests: make([]atomic.Uint64, cells)}
}

// record counts a finished request.
func (b *block) record(o *Outcome, reason int, now int64) {
	b.requests[reason*classes+int(classOf(o.Status))].Add(1)
	b.latency[BucketOf(o.Nanos)].Add(1)
	b.counters[micros].Add(toMicros(o.Nanos))
	b.minute.add(now)
	if o.BytesIn > 0 {
		b.counters[bytesIn].Add(uint64(o.BytesIn))
	}
	if o.BytesOut > 0 {
		b.counters[bytesOut].Add(uint64(o.BytesOut))
	}
	if o.Retries|o.UpstreamError|uint8(o.Flags) != 0 {
		b.recordTrouble(o)
	}
}

// recordTrouble counts what most requests do not have.
func (b *block) recordTrouble(o *Outcome) {
	b.counters[retries].Add(uint64(o.Retries))
	if k := int(o.UpstreamError); k > 0 && k <= upstreamErrors {
		b.counters[firstError+counter(k)-1].Add(1)
	}
	if o.Flags&Aborted != 0 {
		b.counters[aborted].Add(1)
	}
	if o.Flags&Failover != 0 {
		b.counters[failoversTaken].Add(1)
	}
	if o.Flags&Shielded != 0 {
		b.counters[shielded].Add(1)
	}
	if o.Flags&FellBack != 0 {
		b.counters[fellBack].Add(1)
	}
}

// sums is what the shards of one or more versions add up to.
type sums struct {
	counters [counters]uint64
	requests []uint64 // by reason, then class
	minute   uint64
	latency  Histogram
}

// newSums makes sums for a number of reasons.
func newSums(reasons int) *sums { return &sums{requests: make([]uint64, reasons*classes)} }

// reset empties the sums for another version.
func (s *sums) reset() {
	clear(s.requests)
	*s = sums{requests: s.requests}
}

// add adds a block. Begun requests are read before finished ones: a reader that
// is held up in between sees too few in flight, at worst none, and never the
// thousands that came and went meanwhile.
func (s *sums) add(b *block, now int64) {
	for i := range s.counters {
		s.counters[i] += b.counters[i].Load()
	}
	for i := range s.requests {
		s.requests[i] += b.requests[i].Load()
	}
	for i := range s.latency.Counts {
		s.latency.Counts[i] += b.latency[i].Load()
	}
	s.latency.Micros += b.counters[micros].Load()
	s.minute += b.minute.sum(now)
}

// merge adds other sums.
func (s *sums) merge(o *sums) {
	for i := range s.requests {
		s.requests[i] += o.requests[i]
	}
	for i := range s.counters {
		s.counters[i] += o.counters[i]
	}
	s.latency.Merge(&o.latency)
	s.minute += o.minute
}

// finished returns how many requests have ended.
func (s *sums) finished() uint64 {
	var n uint64
	for _, c := range s.requests {
		n += c
	}
	return n
}

// inFlight returns how many requests have begun and not ended. A caller that
// ends on another shard than it began can make it wrong for a moment, not
// negative.
func (s *sums) inFlight() uint64 { return less(s.counters[begun], s.finished()) }

// tunnels returns how many tunnels are open.
func (s *sums) tunnels() uint64 { return less(s.counters[tunnelsOpened], s.counters[tunnelsClosed]) }

// less returns a-b, or 0 if b is the larger.
func less(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}
