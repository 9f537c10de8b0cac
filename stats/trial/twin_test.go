package trial

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/stats"
)

// The twin keeps every request in a list and counts by looking through all of
// them.

// seenRequest is a request as the twin remembers it.
type seenRequest struct {
	arm     int
	session uint64
	start   int64
	flip    int           // how many flips there had been
	atRisk  [metrics]bool // when it began
	found   [metrics]bool // to be bad, while it was under way
	begins  uint64        // the epoch whose session it begins; 0: none
	ticket  Ticket        // of the fast one
	cohort  bool
}

type twin struct {
	share    float64
	epoch    uint64
	since    uint64
	flips    int
	flipped  int64
	requests []*seenRequest
	left     [metrics]map[uint64]bool
	sum      Increments
	windows  map[uint64]float64 // share by epoch
	sessions map[uint64]*SessionCount
	first    map[float64]map[int][2]float64 // by share and bucket: the candidate's, all
	run      int
}

func secondsBetween(from, to int64) int64 { return to/1e9 - from/1e9 }

// shareAt is s by the words of the specification.
func (w *twin) shareAt(m Metric, now int64, own *seenRequest) float64 {
	n, c := 0.0, 0.0
	for _, r := range w.requests {
		if r == own || !r.cohort || !r.atRisk[m] || r.flip != w.flips || secondsBetween(r.start, now) > 10 {
			continue
		}
		if n++; r.arm == candidate {
			c++
		}
	}
	return (c + 50*w.share) / (n + 50)
}

// newer returns how many epochs came after one.
func (w *twin) newer(than uint64) (n int) {
	for epoch := range w.windows {
		if epoch > than {
			n++
		}
	}
	return n
}

// bad takes in that a request is bad by a metric.
func (w *twin) bad(m Metric, r *seenRequest, now int64) {
	counts := []*Counts{&w.sum.Candidate, &w.sum.Baseline}[r.arm]
	if m == Errors {
		counts.Bad++
		if r.arm == candidate {
			w.run++
			w.sum.FailuresInARow = max(w.sum.FailuresInARow, w.run)
		}
	}
	if w.left[m][r.session] {
		return
	}
	w.left[m][r.session] = true
	e := Event{Metric: m, E: 1, S: w.shareAt(m, now, r)}
	if r.arm == candidate {
		e.X = 1
	}
	if m == Errors {
		counts.BadSessions++
	}
	w.sum.Events = append(w.sum.Events, e)
}

// The reference of these tests: 6% take 10 ms or more, 1.5% take 50.
func twinHistory() *stats.Histogram {
	var h stats.Histogram
	for i := range 1000 {
		switch {
		case i < 15:
			h.Record(50e6)
		case i < 60:
			h.Record(10e6)
		default:
			h.Record(1e6)
		}
	}
	return &h
}

const twinObjective = int64(200e6)

// twinSlower is what the candidate of these tests may be slower: three buckets.
const twinSlower = 1.14

// slow reports whether a latency of an arm is bad by a metric, for itself.
func slow(m Metric, arm int, nanos int64) bool {
	bucket := stats.BucketOf(nanos)
	if arm == candidate {
		bucket -= 3
	}
	switch m {
	case Errors:
		return nanos > twinObjective
	case P95:
		return bucket > stats.BucketOf(10e6)
	}
	return bucket > stats.BucketOf(50e6)
}

// side is the fast one and the twin, fed with the same.
type side struct {
	t    *rapid.T
	c    *clock
	fast *Trial
	slow *twin
	open []*seenRequest
}

func newSide(t *rapid.T) *side {
	s := &side{t: t, c: &clock{start}}
	bad := DefaultBad()
	bad.Latency = time.Duration(twinObjective)
	s.fast = New(Config{Bad: bad, History: twinHistory(), Slower: twinSlower, Now: s.c.time, Shards: rapid.SampledFrom([]int{1, 4}).Draw(t, "shards")})
	s.slow = &twin{windows: map[uint64]float64{}, sessions: map[uint64]*SessionCount{}, first: map[float64]map[int][2]float64{}}
	for m := range s.slow.left {
		s.slow.left[m] = map[uint64]bool{}
	}
	return s
}

func (s *side) flip() {
	s.c.now++
	w := s.slow
	w.epoch += rapid.Uint64Range(1, 3).Draw(s.t, "epochs")
	share := rapid.SampledFrom([]float64{0, 0.05, 0.25, 0.5, 1}).Draw(s.t, "share")
	s.fast.Flip(w.epoch, share)
	if len(w.windows) == 0 || share != w.share {
		w.flips++
		w.flipped = s.c.now
	}
	w.share = share
	w.windows[w.epoch] = share
	if w.since == 0 && share > 0 {
		w.since = w.epoch
	}
	s.c.now++
}

func (s *side) begin() {
	if len(s.slow.windows) == 0 || len(s.open) > 20 {
		return
	}
	r := &seenRequest{arm: rapid.IntRange(0, 1).Draw(s.t, "arm"), session: rapid.Uint64Range(1, 30).Draw(s.t, "session"), start: s.c.now, flip: s.slow.flips}
	if slices.ContainsFunc(s.open, func(o *seenRequest) bool { return o.session == r.session }) {
		return
	}
	epoch := s.slow.epoch - rapid.Uint64Range(0, min(1, s.slow.epoch)).Draw(s.t, "age")
	share, known := s.slow.windows[epoch]
	begins := known && rapid.Bool().Draw(s.t, "begins")
	arm := &s.fast.arms[r.arm]
	r.ticket = arm.Begin(&Request{Session: r.session, Epoch: epoch, Begins: begins, Start: s.c.now, Connection: uint32(r.session)})
	r.cohort = s.slow.since > 0 && epoch >= s.slow.since
	for m := range metrics {
		r.atRisk[m] = !s.slow.left[m][r.session]
	}
	if begins && r.cohort {
		r.begins = epoch
		n := s.slow.sessions[epoch]
		if n == nil {
			n = &SessionCount{Epoch: epoch, W: share}
			s.slow.sessions[epoch] = n
		}
		n.All++
		if r.arm == candidate {
			n.Candidate++
		}
	}
	s.slow.requests = append(s.slow.requests, r)
	s.open = append(s.open, r)
}

func (s *side) end() {
	if len(s.open) == 0 {
		return
	}
	i := rapid.IntRange(0, len(s.open)-1).Draw(s.t, "which")
	r := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	o := &stats.Outcome{Status: rapid.SampledFrom([]int{200, 404, 500}).Draw(s.t, "status"), Now: s.c.now, Nanos: s.c.now - r.start}
	if rapid.IntRange(0, 5).Draw(s.t, "aborted") == 0 {
		o.Flags = stats.Aborted
	}
	r.ticket.End(o, false)
	if !r.cohort {
		return
	}
	w := s.slow
	counts := []*Counts{&w.sum.Candidate, &w.sum.Baseline}[r.arm]
	counts.Requests++
	if r.begins > 0 && w.newer(r.begins) < maxWindows {
		share := w.windows[r.begins]
		if w.first[share] == nil {
			w.first[share] = map[int][2]float64{}
		}
		n := w.first[share][stats.BucketOf(o.Nanos)]
		n[1]++
		if r.arm == candidate {
			n[0]++
		}
		w.first[share][stats.BucketOf(o.Nanos)] = n
	}
	broken := slow(Errors, r.arm, o.Nanos) || o.Flags == 0 && o.Status == 500
	if !broken && r.arm == candidate {
		w.run = 0
	}
	for m := range Metric(metrics) {
		if (m == Errors && broken || m != Errors && slow(m, r.arm, o.Nanos)) && !r.found[m] {
			w.bad(m, r, s.c.now)
		}
	}
}

func (s *side) drain() {
	w := s.slow
	for _, r := range s.open {
		for m := range Metric(metrics) {
			if r.cohort && slow(m, r.arm, s.c.now-r.start) && !r.found[m] {
				r.found[m] = true
				w.bad(m, r, s.c.now)
			}
		}
	}
	got, want := s.fast.Drain(s.c.time()), w.sum
	want.FailuresInARow = max(want.FailuresInARow, w.run)
	w.sum = Increments{}
	byAll := func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.X, b.X), cmp.Compare(a.S, b.S))
	}
	slices.SortFunc(got.Events, byAll)
	slices.SortFunc(want.Events, byAll)
	if !slices.Equal(got.Events, want.Events) {
		s.t.Fatalf("events %v, want %v", got.Events, want.Events)
	}
	for _, n := range w.sessions {
		want.Candidate.Sessions += n.Candidate
		want.Baseline.Sessions += n.All - n.Candidate
	}
	if got.Candidate != want.Candidate || got.Baseline != want.Baseline || got.FailuresInARow != want.FailuresInARow || got.Dispersion != 1 || got.Lost != 0 {
		s.t.Fatalf("counted %+v %+v, %d in a row, %d lost; want %+v %+v, %d", got.Candidate, got.Baseline, got.FailuresInARow, got.Lost,
			want.Candidate, want.Baseline, want.FailuresInARow)
	}
	s.checkSessions(got.Sessions)
	s.checkLatencies(got.Latencies)
}

func (s *side) checkSessions(got []SessionCount) {
	w := s.slow
	for _, n := range got {
		if want := w.sessions[n.Epoch]; want == nil || *want != n {
			s.t.Fatalf("sessions %+v, want %+v", n, want)
		}
		delete(w.sessions, n.Epoch)
	}
	if len(w.sessions) > 0 {
		s.t.Fatalf("no sessions for %v", w.sessions)
	}
}

func (s *side) checkLatencies(got []Latencies) {
	sum := map[float64]map[int][2]float64{}
	for _, l := range got {
		if sum[l.Share] == nil {
			sum[l.Share] = map[int][2]float64{}
		}
		for b := range l.All {
			if l.All[b] > 0 {
				n := sum[l.Share][b]
				sum[l.Share][b] = [2]float64{n[0] + l.Candidate[b], n[1] + l.All[b]}
			}
		}
		if math.Abs(l.Reference[stats.BucketOf(10e6)]-45) > 0 {
			s.t.Fatalf("the reference is another")
		}
	}
	if len(sum) != len(s.slow.first) {
		s.t.Fatalf("latencies %v, want %v", sum, s.slow.first)
	}
	for share, want := range s.slow.first {
		for b, n := range want {
			if sum[share][b] != n {
				s.t.Fatalf("latencies %v, want %v", sum, s.slow.first)
			}
		}
	}
	clear(s.slow.first)
}

func TestTrialIsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSide(t)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			switch rapid.IntRange(0, 15).Draw(t, "step") {
			case 0:
				if s.slow.since == 0 || rapid.IntRange(0, 2).Draw(t, "often") == 0 {
					s.drain() // few epochs between two calls
					s.flip()
				}
			case 1, 2:
				s.drain()
			case 3, 4, 5:
				s.c.now += rapid.SampledFrom([]int64{1e6, 12e6, 60e6, 300e6, 1e9, 9e9, 11e9}).Draw(t, "time")
			case 6, 7, 8, 9:
				s.end()
			default:
				s.begin()
			}
		}
		s.drain()
	})
}
