package trial

import (
	"runtime"
	"sync/atomic"

	"sluice/stats"
)

// Arm is one version's side of a trial, which the data path counts in.
type Arm struct {
	trial  *Trial
	index  int
	shards []armShard
	flight flight
	// The candidate's failures in a row, now and at most since the last Drain.
	run, longest atomic.Int64
}

// armShard counts for some of the connections.
type armShard struct {
	requests, bad atomic.Uint64
	// latency is of all the baseline's requests, cohort or not: the reference is
	// made of them.
	latency *[stats.Buckets]atomic.Uint64
	_       [104]byte
}

func (a *Arm) init(t *Trial, index int) {
	a.trial, a.index = t, index
	a.shards = make([]armShard, t.shards)
	if index == baseline {
		for i := range a.shards {
			a.shards[i].latency = new([stats.Buckets]atomic.Uint64)
		}
	}
}

func (a *Arm) shard(connection uint32) *armShard {
	return &a.shards[int(connection)&(len(a.shards)-1)]
}

// shardsOf rounds a number of shards up to a power of two.
func shardsOf(n int) int {
	const most = 16
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	shards := 1
	for shards < min(n, most) {
		shards *= 2
	}
	return shards
}

// Request is what an arm must know of a request that begins.
type Request struct {
	// Session is the session of its pin; 0: it has none.
	Session uint64
	// Client stands for the client where there is no session; 0: it is not known
	// either. Then every request is a unit of its own, and Drain tells how far
	// they failed together.
	Client uint64
	// Epoch is that in which the pin was made; the service's where there is none.
	Epoch uint64
	// Begins says that the request makes its session's pin, to a version to which
	// the session was drawn by weight.
	Begins bool
	// Joins says that it makes the pin of a session that was drawn to its side of a
	// release set in another service. How many come on from there is the versions'
	// doing, so these are compared by the share that they are seen to have.
	Joins bool
	// Start is in Unix ns.
	Start int64
	// Connection is a number of the client's connection.
	Connection uint32
}

// unit returns who is at risk; 0: nobody else than this request.
func (r *Request) unit() uint64 {
	if r.Session != 0 {
		return r.Session
	}
	return r.Client
}

// Ticket is a request under way. The zero value is one that is not counted.
type Ticket struct {
	arm        *Arm
	unit       uint64
	start      int64
	connect    int64  // ns that it took to connect to the version's endpoint
	began      *begun // where the session counts that the request begins; nil: it begins none
	connection uint32
	slot       uint32
	cohort     bool
}

// Counted reports whether End has to be called.
func (t *Ticket) Counted() bool { return t.arm != nil }

// Begin counts a request that is about to go to the version, which it was led to by
// its pin or by the split. Its ticket is to be given to End. Requests of sessions
// from before the trial are no part of the comparison.
func (a *Arm) Begin(r *Request) Ticket {
	t := Ticket{arm: a, connection: r.Connection, start: r.Start}
	if r.Epoch < a.trial.since.Load() {
		return t
	}
	t.cohort, t.unit = true, r.unit()
	left := a.trial.units.get(t.unit)
	if r.Begins || r.Joins || r.Session == 0 && a.trial.meets(t.unit, left) {
		t.began = a.assign(r)
	}
	a.trial.exposure.Load().add(r.Connection, a.index, left, r.Start)
	if t.slot = a.flight.claim(r.Connection, t.unit, r.Start-a.trial.born); t.slot == 0 {
		a.trial.lost.Add(1)
	}
	return t
}

// assign counts a session that begins with a request, and returns where; nil: its
// epoch is none of the latest.
func (a *Arm) assign(r *Request) *begun {
	w := a.trial.windowOf(r.Epoch)
	if w == nil {
		a.trial.lost.Add(1)
		return nil
	}
	b := &w.drawn
	if r.Joins {
		b = &w.joined
	}
	b.sessions[a.index].Add(1)
	return b
}

// meets reports whether a unit that no pin tells is met for the first time.
func (t *Trial) meets(unit uint64, known flags) bool {
	switch {
	case unit == 0:
		return true
	case known&seen != 0:
		return false
	}
	was, ok := t.units.mark(unit, seen)
	if !ok {
		t.lost.Add(1)
		t.rouse()
	}
	return ok && was&seen == 0
}

// Connected notes that so many ns of the request's time went into a new connection
// to the endpoint. The tests of latency leave them out: a candidate's pool is cold
// while its baseline's is warm, and at a small share of sessions it stays so, since
// idle connections are closed after seconds. An objective of the service counts them.
func (t *Ticket) Connected(nanos int64) { t.connect = max(nanos, 0) }

// End counts a request that has ended. o.Nanos is how long it took and o.Now when
// it ended; marked says that the response had one of Headers. A zero ticket
// counts nothing.
func (t *Ticket) End(o *stats.Outcome, marked bool) {
	a := t.arm
	if a == nil {
		return
	}
	bucket := stats.BucketOf(max(0, o.Nanos-t.connect))
	shard := a.shard(t.connection)
	if shard.latency != nil {
		shard.latency[bucket].Add(1)
	}
	if !t.cohort {
		return
	}
	var found flags
	if t.slot != 0 {
		found = a.flight.release(t.slot)
	}
	shard.requests.Add(1)
	if t.began != nil {
		t.began.first[a.index][bucket].Add(1)
	}
	slow := a.trial.slow.Load().by(a.index, bucket)
	if a.trial.rules.broken(o, marked) {
		slow |= flagOf(Errors)
	} else {
		a.succeeded()
	}
	if slow &^= found; slow != 0 {
		a.bad(slow, t.unit, t.start, o.Now, t.connection)
	}
}

// Drop gives up a request of which nothing can be told.
func (t *Ticket) Drop() {
	if t.slot != 0 {
		t.arm.flight.release(t.slot)
	}
	*t = Ticket{}
}

// Fail counts a request that the version was to answer, and could not for want of
// an endpoint. A session that it would have begun may come again.
func (a *Arm) Fail(r *Request) {
	if r.Epoch < a.trial.since.Load() {
		return
	}
	unit := r.unit()
	left := a.trial.units.get(unit)
	if (r.Begins || r.Joins || r.Session == 0) && a.trial.meets(unit, left) {
		a.assign(r)
	}
	a.shard(r.Connection).requests.Add(1)
	a.bad(flagOf(Errors), unit, 0, r.Start, r.Connection)
	a.trial.exposure.Load().add(r.Connection, a.index, left, r.Start)
}

// Headers returns the fields of a response that make it bad, for whoever has the
// response.
func (t *Ticket) Headers() []Header {
	if t.arm == nil {
		return nil
	}
	return t.arm.trial.rules.headers
}

// bad takes in a request that is bad by some metrics.
func (a *Arm) bad(by flags, unit uint64, began, now int64, connection uint32) {
	if by&flagOf(Errors) != 0 {
		a.shard(connection).bad.Add(1)
		a.failed()
	}
	for m := range Metric(metrics) {
		if by&flagOf(m) != 0 {
			a.leave(m, unit, began, now, connection)
		}
	}
}

// leave takes a unit out of a metric's risk set, which is an event if it was in
// there.
func (a *Arm) leave(m Metric, unit uint64, began, now int64, connection uint32) {
	t := a.trial
	if unit != 0 {
		if t.units.get(unit)&flagOf(m) != 0 {
			return
		}
		was, ok := t.units.mark(unit, flagOf(m))
		if was&flagOf(m) != 0 {
			return
		}
		if !ok {
			t.lost.Add(1)
			t.rouse()
			return
		}
	}
	e := Event{Metric: m, E: 1, S: t.exposure.Load().at(m, now, a.index, began)}
	if a.index == candidate {
		e.X = 1
	}
	t.note(e, unit, connection)
}

// failed counts a failure of the candidate in a row.
func (a *Arm) failed() {
	if a.index != candidate {
		return
	}
	run := a.run.Add(1)
	for longest := a.longest.Load(); run > longest && !a.longest.CompareAndSwap(longest, run); longest = a.longest.Load() {
	}
	a.trial.rouse()
}

// succeeded ends a row of failures. It reads alone where there is none.
func (a *Arm) succeeded() {
	if a.index == candidate && a.run.Load() != 0 {
		a.run.Store(0)
	}
}
