package trial

import (
	"time"

	"sluice/stats"
)

// Event is first bad requests: X of the candidate's sessions out of E of both
// versions', at the candidate's share of exposure S.
type Event struct {
	Metric Metric
	X, E   int
	S      float64
}

// Increments is what was counted since the last Drain.
type Increments struct {
	Events    []Event
	Latencies []Latencies // one for each share that sessions were assigned at
	Sessions  []SessionCount
	Candidate Counts
	Baseline  Counts
	// FailuresInARow is the longest row of the candidate's failures, from before
	// the last Drain on where it went on.
	FailuresInARow int
	// Dispersion is how much less the events of clients that can't be told apart
	// say than as many that fail independently would: Σy²/Σy over the events of
	// each connection, since the trial began. 1: they are told apart.
	Dispersion float64
	// Lost is how often something was not counted, or a request not watched, for
	// want of room.
	Lost int64
}

// Counts is one version's part of the cohort.
type Counts struct {
	Requests, Bad         int64 // requests that ended, and those of them that were errors
	Sessions, BadSessions int64 // that began, and that had their first error
}

// Latencies are of the requests that began sessions, by the buckets of
// stats.Histogram: the candidate's, those of both, and those that the baseline had
// before. Share was the candidate's when the sessions were assigned; of those that
// joined, it is the part that was seen of them before.
type Latencies struct {
	Share                     float64
	Candidate, All, Reference []float64
}

// SessionCount is the sessions that an epoch assigned while the candidate's share
// was W. Those that Joined were assigned in other services: of them W doesn't say
// how many should be the candidate's.
type SessionCount struct {
	Epoch          uint64
	Candidate, All int64
	W              float64
	Joined         bool
}

const (
	// maxEvents is how many events there may be between two calls of Drain. The
	// last quarter is kept for errors, which are what can't wait.
	maxEvents     = 4096
	maxSlowEvents = maxEvents / 4 * 3
)

// note keeps an event for Drain.
func (t *Trial) note(e Event, unit uint64, connection uint32) {
	t.mu.Lock()
	kept := len(t.events) < maxSlowEvents || e.Metric == Errors && len(t.events) < maxEvents
	if kept {
		t.events = append(t.events, e)
	}
	if unit == 0 && !t.clients.add(connection) {
		kept = false
	}
	t.mu.Unlock()
	if !kept {
		t.lost.Add(1)
	}
	t.rouse()
}

// Drain returns what was counted since the last call. Requests under way that
// have taken too long by now are counted too. It belongs to one goroutine, which
// calls it at least each second and whenever Wake says so. What it returns is the
// caller's until the next call.
func (t *Trial) Drain(now time.Time) Increments {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.findHanging(now.UnixNano())
	in := Increments{Dispersion: 1}
	t.drainEvents(&in)
	t.drainCounts(&in)
	t.drainWindows(&in)
	in.Lost = t.lost.Swap(0)
	t.refresh(now.UnixNano())
	t.units.grow()
	return in
}

// findHanging counts the requests under way that are bad already.
func (t *Trial) findHanging(now int64) {
	slow := t.slow.Load()
	for i := range t.arms {
		a, limits := &t.arms[i], slow.nanos[i]
		if limits[Errors] = t.rules.latency; limits[Errors] > 0 {
			limits[Errors]++ // an objective may be reached
		}
		a.flight.hanging(now-t.born, limits, func(m Metric, unit uint64, since int64) {
			a.bad(flagOf(m), unit, t.born+since, now, 0)
		})
	}
}

func (t *Trial) drainEvents(in *Increments) {
	t.mu.Lock()
	in.Events, t.events, t.spare = t.events, t.spare[:0], t.events
	in.Dispersion = t.clients.value()
	t.mu.Unlock()
	for _, e := range in.Events {
		if e.Metric == Errors {
			in.Candidate.BadSessions += int64(e.X)
			in.Baseline.BadSessions += int64(e.E - e.X)
		}
	}
}

func (t *Trial) drainCounts(in *Increments) {
	for i, to := range []*Counts{&in.Candidate, &in.Baseline} {
		for j := range t.arms[i].shards {
			s := &t.arms[i].shards[j]
			to.Requests += int64(s.requests.Swap(0))
			to.Bad += int64(s.bad.Swap(0))
		}
	}
	c := &t.arms[candidate]
	in.FailuresInARow = int(max(c.longest.Swap(0), c.run.Load()))
}

// drainWindows takes the sessions of each epoch, newest first, and forgets the
// oldest epochs.
func (t *Trial) drainWindows(in *Increments) {
	w := t.window.Load()
	for kept := 1; w != nil; kept++ {
		if kept == maxWindows {
			w.before.Store(nil)
		}
		t.drainWindow(w, in)
		w = w.before.Load()
	}
}

func (t *Trial) drainWindow(w *window, in *Increments) {
	t.drainBegun(w, &w.drawn, w.share, in)
	joined := t.drainBegun(w, &w.joined, w.joinedShare(), in)
	w.seen[candidate] += joined[candidate]
	w.seen[baseline] += joined[baseline]
}

// joinedShare is the candidate's part of the sessions that have joined, by those that
// were drained, the weights counting for some.
func (w *window) joinedShare() float64 {
	return (w.seen[candidate] + prior*w.share) / (w.seen[candidate] + w.seen[baseline] + prior)
}

// drainBegun takes what was counted of sessions of a window, and returns how many
// latencies these were, by arm.
func (t *Trial) drainBegun(w *window, of *begun, share float64, in *Increments) (latencies [2]float64) {
	c, b := int64(of.sessions[candidate].Swap(0)), int64(of.sessions[baseline].Swap(0))
	if c+b > 0 {
		in.Candidate.Sessions += c
		in.Baseline.Sessions += b
		in.Sessions = append(in.Sessions, SessionCount{Epoch: w.epoch, Candidate: c, All: c + b, W: w.share, Joined: of == &w.joined})
	}
	l := Latencies{Share: share, Candidate: make([]float64, stats.Buckets), All: make([]float64, stats.Buckets)}
	for bucket := range stats.Buckets {
		c, b := of.takeFirst(candidate, bucket), of.takeFirst(baseline, bucket)
		l.Candidate[bucket], l.All[bucket] = c, c+b
		latencies[candidate] += c
		latencies[baseline] += b
	}
	if latencies[candidate]+latencies[baseline] == 0 || t.reference.now == nil {
		return latencies // without a reference there is nothing to bet by
	}
	l.Reference = make([]float64, stats.Buckets)
	for bucket, n := range t.reference.now.Counts {
		l.Reference[bucket] = float64(n)
	}
	in.Latencies = append(in.Latencies, l)
	return latencies
}

func (b *begun) takeFirst(arm, bucket int) float64 {
	if b.first[arm][bucket].Load() == 0 {
		return 0
	}
	return float64(b.first[arm][bucket].Swap(0))
}

// refresh renews the reference at each minute's mark, after what was counted was
// drained.
func (t *Trial) refresh(now int64) {
	if !t.reference.due(now) {
		return
	}
	var sum stats.Histogram
	for i := range t.arms[baseline].shards {
		latency := t.arms[baseline].shards[i].latency
		for bucket := range latency {
			sum.Counts[bucket] += latency[bucket].Load()
		}
	}
	t.reference.mark(&sum, now)
	t.slow.Store(t.reference.slowness())
}

// dispersion counts the events of units that can't be told apart by the
// connection that they came over, as the nearest to a client.
type dispersion struct {
	counts       map[uint32]uint32 // has room for maxConnections from the beginning
	sum, squares float64
}

const maxConnections = 1024

func newDispersion() dispersion { return dispersion{counts: make(map[uint32]uint32, maxConnections)} }

// add counts an event of a connection. It reports false for one too many.
func (d *dispersion) add(connection uint32) bool {
	n, has := d.counts[connection]
	if !has && len(d.counts) >= maxConnections {
		return false
	}
	d.counts[connection] = n + 1
	d.sum++
	d.squares += 2*float64(n) + 1
	return true
}

// value is Σy²/Σy.
func (d *dispersion) value() float64 {
	if d.sum == 0 {
		return 1
	}
	return d.squares / d.sum
}
