package trial

import (
	"testing"
	"time"

	"sluice/stats"
)

// start is a moment on a full second, in Unix ns.
const start = int64(1_790_000_000e9)

// clock is a moment that tests move.
type clock struct{ now int64 }

func (c *clock) time() time.Time { return time.Unix(0, c.now) }

func (c *clock) pass(d time.Duration) { c.now += int64(d) }

// newTrial returns a trial whose candidate has a share from epoch 5 on.
func newTrial(share float64, change func(*Config)) (*Trial, *clock) {
	c := &clock{start}
	cfg := Config{Bad: DefaultBad(), Now: c.time, Shards: 1}
	if change != nil {
		change(&cfg)
	}
	t := New(cfg)
	t.Flip(5, share)
	return t, c
}

func ok(now int64) *stats.Outcome {
	return &stats.Outcome{Status: 200, Nanos: 1e6, Now: now}
}

func broken(now int64) *stats.Outcome {
	return &stats.Outcome{Status: 500, Nanos: 1e6, Now: now}
}

// ask makes a request of a session that began in epoch 5, at the clock's moment.
func (c *clock) ask(a *Arm, session uint64, o *stats.Outcome) {
	t := a.Begin(&Request{Session: session, Epoch: 5, Start: c.now})
	t.End(o, false)
}

func TestASessionsEventIsItsFirstBadRequest(t *testing.T) {
	tr, c := newTrial(0.5, nil)
	candidate, baseline := tr.Arms()
	for range 3 {
		c.ask(candidate, 1, broken(c.now))
	}
	c.ask(baseline, 2, ok(c.now))
	c.ask(baseline, 2, broken(c.now))
	in := tr.Drain(c.time())
	// The first request was at risk when it began, the two that followed were not.
	want := []Event{{Errors, 1, 1, 25.0 / 50}, {Errors, 0, 1, 26.0 / 52}}
	if len(in.Events) != 2 || in.Events[0] != want[0] || in.Events[1] != want[1] {
		t.Errorf("events %v, want %v", in.Events, want)
	}
	if in.Candidate != (Counts{Requests: 3, Bad: 3, BadSessions: 1}) || in.Baseline != (Counts{Requests: 2, Bad: 1, BadSessions: 1}) {
		t.Errorf("counted %+v and %+v", in.Candidate, in.Baseline)
	}
	if in.FailuresInARow != 3 || in.Dispersion != 1 || in.Lost != 0 {
		t.Errorf("%d failures in a row, dispersion %v, %d lost", in.FailuresInARow, in.Dispersion, in.Lost)
	}
	if again := tr.Drain(c.time()); len(again.Events) != 0 || again.Candidate != (Counts{}) || again.FailuresInARow != 3 {
		t.Errorf("a second time: %+v", again)
	}
}

// Sessions that join from another service count by the share that they are seen to
// have, before the batch, and apart from those that were drawn here.
func TestSessionsThatJoin(t *testing.T) {
	var history stats.Histogram
	history.Counts[stats.BucketOf(1e6)] = 1000
	tr, c := newTrial(0.5, func(cfg *Config) { cfg.History = &history })
	candidate, baseline := tr.Arms()
	session := uint64(0)
	begin := func(a *Arm, n int, joins bool) {
		for range n {
			session++
			ticket := a.Begin(&Request{Session: session, Epoch: 5, Begins: !joins, Joins: joins, Start: c.now})
			ticket.End(ok(c.now), false)
		}
	}
	begin(candidate, 3, false)
	begin(candidate, 10, true)
	begin(baseline, 40, true)
	in := tr.Drain(c.time())
	if want := (SessionCount{Epoch: 5, Candidate: 3, All: 3, W: 0.5}); len(in.Sessions) != 2 || in.Sessions[0] != want {
		t.Errorf("drawn: %+v, want %+v", in.Sessions, want)
	}
	if want := (SessionCount{Epoch: 5, Candidate: 10, All: 50, W: 0.5, Joined: true}); in.Sessions[1] != want {
		t.Errorf("joined: %+v, want %+v", in.Sessions[1], want)
	}
	if in.Candidate.Sessions != 13 || in.Baseline.Sessions != 40 || len(in.Latencies) != 2 || in.Latencies[0].Share != 0.5 || in.Latencies[1].Share != 0.5 {
		t.Errorf("%+v, %+v, %d batches", in.Candidate, in.Baseline, len(in.Latencies))
	}
	begin(candidate, 1, true)
	in = tr.Drain(c.time())
	if want := (10 + 25.0) / (50 + 50); len(in.Latencies) != 1 || in.Latencies[0].Share != want {
		t.Errorf("then at a share of %v, want %v", in.Latencies[0].Share, want)
	}
	// One that gets no answer has joined too, once, though its pin isn't made.
	for range 2 {
		candidate.Fail(&Request{Session: 1000, Epoch: 5, Joins: true, Start: c.now})
	}
	in = tr.Drain(c.time())
	if want := (SessionCount{Epoch: 5, Candidate: 1, All: 1, W: 0.5, Joined: true}); len(in.Sessions) != 1 || in.Sessions[0] != want || in.Candidate.BadSessions != 1 {
		t.Errorf("%+v, %+v", in.Sessions, in.Candidate)
	}
}
