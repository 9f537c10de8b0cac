package sock

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/proxy/buffer"
)

// rester is a connection that rests whenever it can.
type rester struct {
	pair
	b     buffer.Buffer
	rests atomic.Int64
	done  chan error
}

// run answers what comes, with rests between.
func (r *rester) run() {
	err := repeat(r.c, &r.b)
	for err == ErrResting {
		r.rests.Add(1)
		if r.c.Rest() {
			return
		}
		err = repeat(r.c, &r.b)
	}
	r.b.Free()
	r.done <- err
}

func newRester(t testing.TB, p pair) *rester {
	r := &rester{pair: p, done: make(chan error, 1)}
	p.c.MayRest(r.run)
	go r.run()
	return r
}

// awaitRest waits until the connection rests; the sweeper is helped along.
func (r *rester) awaitRest(t testing.TB) {
	t.Helper()
	await(t, "the rest", func() bool {
		r.c.shard.rescue()
		return r.c.Resting()
	})
}

// age makes a rest one that has lasted for so long.
func (r *rester) age(d int64) {
	resting.mu.Lock()
	defer resting.mu.Unlock()
	r.c.restedAt = Now() - d
}

// After a long rest another follows as soon as all is handled, after a short one
// the connection waits.
func TestTheNextRestFollowsALongOne(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		r := newRester(t, p)
		r.awaitRest(t)
		for range 3 {
			before := r.rests.Load()
			r.age(longRest)
			p.say(t, "hello")
			p.hear(t, "hello")
			await(t, "the next rest", func() bool { return r.rests.Load() > before && p.c.Resting() })
		}
		before := r.rests.Load()
		r.age(0)
		p.say(t, "hello")
		p.hear(t, "hello")
		await(t, "a wait", func() bool { return p.c.blind.Load() != seeing || p.c.Resting() })
		if r.rests.Load() != before {
			t.Error("it rests after a short rest")
		}
		p.peer.Close()
		soon(t, "the end", r.done)
	})
}

func TestRestingConnectionsWakeForBytes(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		r := newRester(t, p)
		r.awaitRest(t) // before anything was said
		for _, text := range []string{"one", "two", "three"} {
			p.say(t, text)
			p.hear(t, text)
			r.awaitRest(t)
		}
		p.say(t, "the end")
		p.hear(t, "the end")
		if err := soon(t, "the end of Each", r.done); err != nil {
			t.Errorf("Each returned %v", err)
		}
		if n := r.rests.Load(); n < 4 {
			t.Errorf("it rested %d times, want 4", n)
		}
	})
}

func TestRestingConnectionsWakeForTheirEnd(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		r := newRester(t, p)
		p.say(t, "hello")
		p.hear(t, "hello")
		r.awaitRest(t)
		p.peer.Close()
		if err := soon(t, "the end", r.done); err != io.EOF {
			t.Errorf("Each returned %v", err)
		}
	})
}

// Whatever makes reads fail ends a rest, and is not undone by it.
func TestRestingConnectionsWakeWhenReadsAreMadeToFail(t *testing.T) {
	for name, act := range map[string]func(*Conn){
		"stop":    (*Conn).StopReading,
		"abort":   (*Conn).Abort,
		"timeout": func(c *Conn) { c.SetTimeout(Tick) },
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, p pair) {
				r := newRester(t, p)
				r.awaitRest(t)
				act(p.c)
				if err := soon(t, "the end", r.done); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Each returned %v", err)
				}
			})
		})
	}
}

func TestNobodyRestsWhoseReadsFail(t *testing.T) {
	for name, act := range map[string]func(*Conn){
		"stop":    (*Conn).StopReading,
		"abort":   (*Conn).Abort,
		"timeout": func(c *Conn) { c.deadline.Store(expired) },
	} {
		p := tcpPair(t)
		act(p.c)
		p.c.MayRest(func() { t.Error("woken") })
		if p.c.Rest() || p.c.Resting() {
			t.Errorf("%s: the connection rests", name)
		}
	}
	p := tcpPair(t)
	p.c.Close()
	p.c.MayRest(func() { t.Error("woken") })
	if p.c.Rest() {
		t.Error("a closed connection rests")
	}
}

func TestWaitsOfOthersGoOn(t *testing.T) {
	p := tcpPair(t)
	done := running(p) // without MayRest
	for range 5 {
		p.c.shard.rescue()
	}
	p.say(t, "the end")
	p.hear(t, "the end")
	if err := soon(t, "the end of Each", done); err != nil {
		t.Errorf("Each returned %v", err)
	}
}

// pressed sends waits of a shard to rest as fast as can be, until stop.
func pressed(c *Conn) (stop func()) {
	var over atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for !over.Load() {
			c.shard.rescue()
			runtime.Gosched()
		}
	})
	return func() { over.Store(true); done.Wait() }
}

// Bytes that come at any moment of going to rest are answered.
func TestNothingIsLostWhileGoingToRest(t *testing.T) {
	rounds := 3000
	if testing.Short() || raceEnabled {
		rounds = 600
	}
	onEach(t, func(t *testing.T, p pair) {
		r := newRester(t, p)
		defer pressed(p.c)()
		for i := range rounds {
			for range i % 97 { // at another moment each time
				runtime.Gosched()
			}
			if i%3 == 0 {
				r.age(longRest)
			}
			p.say(t, "hello")
			p.hear(t, "hello")
		}
		p.say(t, "the end")
		p.hear(t, "the end")
		if err := soon(t, "the end of Each", r.done); err != nil {
			t.Errorf("Each returned %v", err)
		}
		if r.rests.Load() == 0 {
			t.Error("it never rested")
		}
	})
}

// So is the end of the stream behind them, and a stop, an abort, a timeout.
func TestNoEndIsLostWhileGoingToRest(t *testing.T) {
	rounds := 200
	if testing.Short() || raceEnabled {
		rounds = 50
	}
	for name, act := range map[string]func(pair){
		"end":     func(p pair) { p.peer.Write([]byte("x")); p.peer.Close() },
		"stop":    func(p pair) { p.c.StopReading() },
		"abort":   func(p pair) { p.c.Abort() },
		"timeout": func(p pair) { p.c.SetTimeout(1) },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range rounds {
				p := tcpPair(t)
				r := newRester(t, p)
				stop := pressed(p.c)
				for range i % 61 {
					runtime.Gosched()
				}
				act(p)
				soon(t, "the end", r.done)
				stop()
				p.c.Close()
				p.peer.Close()
			}
		})
	}
}

// A crowd at rest has no goroutines, and each of it wakes.
func TestACrowdRests(t *testing.T) {
	const crowd = 200
	before := runtime.NumGoroutine()
	var all []*rester
	for range crowd {
		all = append(all, newRester(t, tcpPair(t)))
	}
	for _, r := range all {
		r.awaitRest(t)
	}
	await(t, "the end of the goroutines", func() bool { return runtime.NumGoroutine() < before+10 })
	for _, r := range all {
		r.say(t, "the end")
	}
	for _, r := range all {
		r.hear(t, "the end")
		if err := soon(t, "the end of Each", r.done); err != nil {
			t.Errorf("Each returned %v", err)
		}
	}
}

// BenchmarkRest is what going to rest and waking add to a question.
func BenchmarkRest(b *testing.B) {
	p := tcpPair(b)
	r := newRester(b, p)
	answer := make([]byte, 5)
	ask := func() {
		p.peer.Write([]byte("hello"))
		io.ReadFull(p.peer, answer)
	}
	rested := func() {
		for !p.c.Resting() {
			if p.c.blind.CompareAndSwap(waiting, quiet) {
				p.c.dismiss()
			}
			runtime.Gosched()
		}
	}
	b.Run("awake", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ask()
		}
	})
	b.Run("resting", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rested()
			ask()
		}
	})
	p.peer.Close()
	<-r.done
}
