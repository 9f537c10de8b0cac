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
