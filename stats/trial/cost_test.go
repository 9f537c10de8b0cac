package trial

import (
	"sync"
	"testing"
	"time"

	"sluice/stats"
)

func TestCountingAllocatesNothing(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	tr, c := newTrial(0.5, func(cfg *Config) { cfg.History = twinHistory() })
	candidate, _ := tr.Arms()
	session := uint64(0)
	if n := testing.AllocsPerRun(2000, func() {
		session++
		ticket := candidate.Begin(&Request{Session: session, Epoch: 5, Begins: true, Start: c.now})
		ticket.End(&stats.Outcome{Status: 500, Nanos: 80e6, Now: c.now}, false)
		candidate.Fail(&Request{Client: session, Epoch: 5, Start: c.now})
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// BenchmarkArm is what a request costs that is part of a trial.
func BenchmarkArm(b *testing.B) {
	for name, prepare := range map[string]func(*Arm){
		"nobody is bad": func(*Arm) {},
		"some are bad": func(a *Arm) {
			for i := range uint64(2000) {
				a.Fail(&Request{Session: 1000 + i, Epoch: 5, Start: start})
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			tr, _ := newTrial(0.5, func(cfg *Config) { cfg.History = twinHistory() })
			_, a := tr.Arms()
			prepare(a)
			tr.Drain(time.Unix(0, start))
			o := stats.Outcome{Status: 200, Nanos: 1e6, Now: start}
			b.ReportAllocs()
			for b.Loop() {
				ticket := a.Begin(&Request{Session: 7, Epoch: 5, Start: start, Connection: 3})
				ticket.End(&o, false)
			}
		})
	}
}

// Many connections at once, while Drain and Flip go on: what comes out is what
// went in. The race detector watches.
func TestManyConnectionsAtOnce(t *testing.T) {
	tr, c := newTrial(0.5, func(cfg *Config) { cfg.Shards = 4; cfg.History = twinHistory(); cfg.Bad.Latency = time.Second })
	const workers, requests = 8, 2000
	var running sync.WaitGroup
	for w := range uint32(workers) {
		running.Go(func() {
			for i := range uint64(requests) {
				a := &tr.arms[i%2]
				ticket := a.Begin(&Request{Session: uint64(w)<<32 | i/4 + 1, Epoch: 5, Begins: i%4 < 2, Start: c.now, Connection: w})
				o := ok(c.now)
				if i%8 < 2 {
					o = broken(c.now)
				}
				ticket.End(o, false)
			}
		})
	}
	var candidate, baseline Counts
	events, lost := 0, int64(0)
	take := func() {
		in := tr.Drain(c.time())
		for _, s := range []struct{ to, from *Counts }{{&candidate, &in.Candidate}, {&baseline, &in.Baseline}} {
			s.to.Requests += s.from.Requests
			s.to.Bad += s.from.Bad
			s.to.Sessions += s.from.Sessions
			s.to.BadSessions += s.from.BadSessions
		}
		events += len(in.Events)
		lost += in.Lost
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	for going := true; going; {
		select {
		case <-tr.Wake():
			take()
		case <-ended:
			going = false
		}
	}
	take()
	const each = workers * requests / 2
	if candidate.Requests != each || baseline.Requests != each || candidate.Bad != each/4 || baseline.Bad != each/4 ||
		candidate.Sessions != each/2 || baseline.Sessions != each/2 {
		t.Errorf("counted %+v and %+v", candidate, baseline)
	}
	// Both requests that begin a session are bad in every other session: one is its
	// event, unless it was lost.
	if n := int64(events) + lost; n != each/4 || candidate.BadSessions+baseline.BadSessions != int64(events) {
		t.Errorf("%d events and %d lost, want %d", events, lost, each/4)
	}
}
