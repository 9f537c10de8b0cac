package trial

import (
	"testing"
	"time"

	"sluice/stats"
)

// The reference is the baseline's latencies of up to 10 minutes before the minute
// that is counted, and of none at all if they are too few.
func TestReferenceIsOfThePast(t *testing.T) {
	tr, c := newTrial(0.5, nil)
	_, baseline := tr.Arms()
	record := func(n int, nanos int64) {
		for range n {
			ticket := baseline.Begin(&Request{Session: 1, Epoch: 4, Start: c.now}) // from before the trial
			ticket.End(&stats.Outcome{Status: 200, Nanos: nanos, Now: c.now}, false)
		}
	}
	first := func() []Latencies {
		ticket := baseline.Begin(&Request{Session: 2, Epoch: 5, Begins: true, Start: c.now})
		ticket.End(&stats.Outcome{Status: 200, Nanos: 1e9, Now: c.now}, false)
		return tr.Drain(c.time()).Latencies
	}
	sum := func(l []Latencies) (n float64) {
		if len(l) != 1 {
			t.Fatalf("%d batches", len(l))
		}
		for _, of := range l[0].Reference {
			n += of
		}
		return n
	}
	record(199, 1e6)
	if l := first(); len(l) != 0 {
		t.Errorf("without a reference: %d batches", len(l))
	}
	c.pass(time.Minute)
	if l := first(); len(l) != 0 {
		t.Errorf("the minute that ends is compared with itself")
	}
	if got := sum(first()); got != 201 {
		t.Errorf("after a minute the reference has %v latencies, want 199 and two firsts", got)
	}
	for range 12 {
		c.pass(time.Minute)
		record(100, 1e6)
		tr.Drain(c.time())
	}
	if got := sum(first()); got != 1000 {
		t.Errorf("after more than ten minutes it has %v, want those of ten", got)
	}
	// Half of the latencies are in one bucket, none beyond: slow is what lies beyond.
	record(1000, 2e6)
	c.pass(time.Minute)
	tr.Drain(c.time())
	if s := tr.slow.Load(); s.bucket[1][P95] != stats.BucketOf(2e6)+1 || s.nanos[1][P99] < 2e6 {
		t.Errorf("slow from bucket %d (%d ns) on", s.bucket[1][P95], s.nanos[1][P95])
	}
}

// Units that fit nowhere are lost, and told so; memory grows with Drain.
func TestUnitsFindRoomAfterDrain(t *testing.T) {
	tr, c := newTrial(0.5, nil)
	candidate, _ := tr.Arms()
	counted, lost, next := int64(0), int64(0), uint64(0)
	for range 40 {
		for range 1000 {
			next++
			c.ask(candidate, next, broken(c.now))
		}
		in := tr.Drain(c.time())
		counted, lost = counted+in.Candidate.BadSessions, lost+in.Lost
	}
	if counted+lost != 40_000 || lost > 0 {
		t.Errorf("%d bad sessions counted and %d lost of 40000", counted, lost)
	}
	for range 20_000 { // more than fit at once
		next++
		c.ask(candidate, next, broken(c.now))
	}
	if in := tr.Drain(c.time()); in.Candidate.BadSessions != maxEvents || in.Lost != 20_000-maxEvents {
		t.Errorf("at once: %d counted, %d lost", in.Candidate.BadSessions, in.Lost)
	}
	for id := range next {
		if tr.units.get(id+1)&flagOf(Errors) == 0 {
			t.Fatalf("session %d is forgotten", id+1)
		}
	}
}

// A full set of units takes no more, and does not hang.
func TestUnitsHaveABound(t *testing.T) {
	var u units
	u.init()
	marked := 0
	for id := range uint64(1_000_000) {
		if _, ok := u.mark(id+1, seen); ok {
			marked++
		}
		if id%1000 == 0 {
			u.grow()
		}
	}
	if marked < unitShards*mostUnits*7/10 || marked > unitShards*mostUnits*3/4 {
		t.Errorf("%d units fit", marked)
	}
	if u.get(1) != seen || u.get(3_000_000) != 0 || int64(marked) != u.n.Load() {
		t.Errorf("the first is %v, an unknown one %v, of %d", u.get(1), u.get(3_000_000), u.n.Load())
	}
}

// Clients that can't be told apart are tempered by connection.
func TestDispersionOfUnknownClients(t *testing.T) {
	tr, c := newTrial(0.5, nil)
	candidate, _ := tr.Arms()
	for connection, bad := range []int{1, 1, 3, 5} { // Σy²/Σy = 36/10
		for range bad {
			ticket := candidate.Begin(&Request{Epoch: 5, Start: c.now, Connection: uint32(connection)})
			ticket.End(broken(c.now), false)
		}
	}
	in := tr.Drain(c.time())
	if in.Dispersion != 3.6 || len(in.Events) != 10 || in.Candidate.Sessions != 10 {
		t.Errorf("dispersion %v over %d events", in.Dispersion, len(in.Events))
	}
	for connection := range uint32(2 * maxConnections) {
		ticket := candidate.Begin(&Request{Epoch: 5, Start: c.now, Connection: connection})
		ticket.End(broken(c.now), false)
	}
	if in := tr.Drain(c.time()); in.Lost != maxConnections {
		t.Errorf("%d lost of %d connections too many", in.Lost, maxConnections)
	}
}

// More requests under way than are watched are counted when they end.
func TestRequestsUnderWayHaveABound(t *testing.T) {
	tr, c := newTrial(0.5, func(cfg *Config) { cfg.Bad.Latency = time.Second })
	candidate, _ := tr.Arms()
	var tickets []Ticket
	for i := range uint64(2 * flightSlots) {
		tickets = append(tickets, candidate.Begin(&Request{Session: i + 1, Epoch: 5, Start: c.now, Connection: uint32(i)}))
	}
	c.pass(2 * time.Second)
	in := tr.Drain(c.time())
	if in.Candidate.Bad+in.Lost < 2*flightSlots || in.Candidate.Bad < flightSlots*9/10 {
		t.Errorf("%d seen to hang, %d lost", in.Candidate.Bad, in.Lost)
	}
	bad := in.Candidate.Bad
	for i := range tickets {
		tickets[i].End(&stats.Outcome{Status: 200, Nanos: 2e9, Now: c.now}, false)
	}
	if bad += tr.Drain(c.time()).Candidate.Bad; bad != 2*flightSlots {
		t.Errorf("%d were bad in the end, want %d", bad, 2*flightSlots)
	}
	for i := range candidate.flight.slots {
		if candidate.flight.slots[i].word.Load() != 0 {
			t.Fatal("a slot is still taken")
		}
	}
}

// What is dropped leaves nothing behind.
func TestDrop(t *testing.T) {
	tr, c := newTrial(0.5, nil)
	candidate, _ := tr.Arms()
	ticket := candidate.Begin(&Request{Session: 1, Epoch: 5, Start: c.now})
	ticket.Drop()
	ticket.Drop()
	ticket.End(broken(c.now), false)
	if in := tr.Drain(c.time()); ticket.Counted() || in.Candidate != (Counts{}) {
		t.Errorf("counted %+v", in.Candidate)
	}
}

// Nothing counts before the candidate has a share, nor what a later process may
// not know.
func TestCountingBegins(t *testing.T) {
	tr, c := newTrial(0, nil)
	_, baseline := tr.Arms()
	c.ask(baseline, 1, broken(c.now))
	if in := tr.Drain(c.time()); in.Baseline != (Counts{}) {
		t.Errorf("before the first share: %+v", in.Baseline)
	}
	tr.Flip(6, 0.5)
	tr.Flip(5, 0.9) // late
	tr.CountFrom(3)
	c.ask(baseline, 1, broken(c.now))
	if in := tr.Drain(c.time()); in.Baseline != (Counts{}) {
		t.Errorf("of an epoch before: %+v", in.Baseline)
	}
	ask := func(epoch uint64) int64 {
		ticket := baseline.Begin(&Request{Session: 1, Epoch: epoch, Start: c.now})
		ticket.End(broken(c.now), false)
		return tr.Drain(c.time()).Baseline.Requests
	}
	if ask(6) != 1 {
		t.Error("the first epoch does not count")
	}
	tr.CountFrom(8)
	if ask(7) != 0 || ask(8) != 1 {
		t.Error("the cohort does not begin anew")
	}
}

// TestConnectionsAreNoLatency: the time that a new connection took counts for an
// objective alone.
func TestConnectionsAreNoLatency(t *testing.T) {
	var history stats.Histogram
	history.Counts[stats.BucketOf(1e6)] = 1000
	tr, c := newTrial(0.5, func(cfg *Config) { cfg.History, cfg.Bad.Latency = &history, 30*time.Millisecond })
	candidate, _ := tr.Arms()
	for session, nanos := range []int64{11e6, 41e6} {
		ticket := candidate.Begin(&Request{Session: uint64(session) + 1, Epoch: 5, Start: c.now})
		ticket.Connected(nanos - 1e6)
		ticket.End(&stats.Outcome{Status: 200, Nanos: nanos, Now: c.now}, false)
	}
	ticket := candidate.Begin(&Request{Session: 3, Epoch: 5, Start: c.now})
	ticket.End(&stats.Outcome{Status: 200, Nanos: 11e6, Now: c.now}, false)
	var events [metrics]int
	for _, e := range tr.Drain(c.time()).Events {
		events[e.Metric]++
	}
	if want := ([metrics]int{Errors: 1, P95: 1, P99: 1}); events != want {
		t.Errorf("events %v, want %v", events, want)
	}
}

// What the candidate may be slower is no slow request of its, whether it has ended
// or hangs, and is one of the baseline's.
func TestTheCandidateMayBeSlower(t *testing.T) {
	var history stats.Histogram
	history.Counts[stats.BucketOf(100e6)] = 1000 // of 4.4%: slow is what lies beyond
	for slower, want := range map[float64][2]int{0: {2, 2}, 1: {2, 2}, 1.5: {0, 2}, 1e9: {0, 2}} {
		tr, c := newTrial(0.5, func(cfg *Config) { cfg.History, cfg.Slower = &history, slower })
		candidate, baseline := tr.Arms()
		session, events := uint64(0), [2]int{}
		begin := func(a *Arm) Ticket {
			session++
			return a.Begin(&Request{Session: session, Epoch: 5, Start: c.now})
		}
		for _, a := range []*Arm{candidate, baseline} {
			ended := begin(a)
			ended.End(&stats.Outcome{Status: 200, Nanos: 140e6, Now: c.now + 140e6}, false)
		}
		hang := []Ticket{begin(candidate), begin(baseline)}
		c.pass(140 * time.Millisecond)
		for _, e := range tr.Drain(c.time()).Events {
			if e.Metric == P95 {
				events[e.E-e.X]++
			}
		}
		if events != want {
			t.Errorf("%v times as slow: %v events of candidate and baseline, want %v", slower, events, want)
		}
		for i := range hang {
			hang[i].Drop()
		}
	}
}
