package sock

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"sluice/proxy/buffer"
)

func TestTimeout(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		const d = 3 * Tick
		began := time.Now()
		p.c.SetTimeout(d)
		var b buffer.Buffer
		err := p.c.Fill(&b)
		took := time.Since(began)
		if !errors.Is(err, os.ErrDeadlineExceeded) || !p.c.TimedOut() {
			t.Fatalf("got %v, timed out %v", err, p.c.TimedOut())
		}
		// The clock may be a tick behind when the deadline is set.
		if took < d-2*Tick || took > 10*time.Second {
			t.Errorf("a timeout of %v took %v", d, took)
		}
		// What begins later fails too, and nothing takes it back.
		for _, d := range []time.Duration{0, time.Hour} {
			p.c.SetTimeout(d)
			if _, err := p.c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || !p.c.TimedOut() {
				t.Errorf("after SetTimeout(%v): %v, timed out %v", d, err, p.c.TimedOut())
			}
		}
	})
}

func TestExchangeTimesOut(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		p.c.SetTimeout(2 * Tick)
		n, err := p.c.Exchange([]byte("hello"), new(buffer.Buffer))
		if n != 5 || !errors.Is(err, os.ErrDeadlineExceeded) || !p.c.TimedOut() {
			t.Errorf("got %d, %v, timed out %v", n, err, p.c.TimedOut())
		}
		p.hear(t, "hello")
	})
}

func TestTimeoutIsRenewedAndCancelled(t *testing.T) {
	renewed, cancelled, later := tcpPair(t), tcpPair(t), tcpPair(t)
	const d = 4 * Tick
	cancelled.c.SetTimeout(d)
	cancelled.c.SetTimeout(0)
	later.c.SetTimeout(time.Hour)
	began := time.Now()
	for time.Since(began) < 3*d {
		renewed.c.SetTimeout(d)
		tick := Now()
		await(t, "the next tick", func() bool { return Now() != tick })
	}
	for name, p := range map[string]pair{"renewed": renewed, "cancelled": cancelled, "of an hour": later} {
		p.say(t, "x")
		if err := p.c.Fill(new(buffer.Buffer)); err != nil || p.c.TimedOut() {
			t.Errorf("the timeout %s came: %v", name, err)
		}
	}
	later.c.SetTimeout(Tick) // sooner than all that the sweeper has noted
	await(t, "the timeout brought forward", later.c.TimedOut)
}

func TestNowFollowsTheClock(t *testing.T) {
	tcpPair(t)
	for range 5 {
		before := time.Since(start)
		tick := Now()
		if tick > int64(before)+int64(time.Millisecond) {
			t.Fatalf("the clock is ahead: %v at %v", time.Duration(tick), before)
		}
		await(t, "the next tick", func() bool { return Now() > tick })
	}
}

// The sweeper ends with the last connection and starts with the next, whose
// deadlines must not be counted from when the clock stood still.
func TestSweeperComesAndGoes(t *testing.T) {
	for range 3 {
		p := tcpPair(t)
		if !sweeper.running.Load() {
			t.Fatal("a connection is open and the sweeper doesn't run")
		}
		p.c.SetTimeout(time.Hour)
		if behind := time.Since(start) - time.Duration(Now()); behind > 5*time.Second {
			t.Errorf("the clock is %v behind", behind)
		}
		p.c.Close()
		await(t, "the sweeper's end", func() bool { return !sweeper.running.Load() })
	}
}

// Connections come and go at once while the sweeper starts and stops under
// them: none may be forgotten, and none timed out by a clock that stood still.
func TestSweeperUnderChurn(t *testing.T) {
	var users sync.WaitGroup
	for range 6 {
		users.Go(func() {
			for i := range 60 {
				ends := connect(t, "tcp", "127.0.0.1:0")
				c := New(ends[0])
				d := time.Hour
				if i%20 == 19 {
					d = time.Millisecond
				}
				c.SetTimeout(d)
				if d == time.Millisecond {
					if err := c.Fill(new(buffer.Buffer)); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("a timeout never came: %v", err)
					}
				} else if c.TimedOut() {
					t.Error("timed out an hour early")
				}
				c.Close()
				ends[1].Close()
			}
		})
	}
	users.Wait()
	if n := sweeper.watched.Load(); n != 0 {
		t.Errorf("%d connections are watched after all were closed", n)
	}
	for i := range sweeper.shards {
		s := &sweeper.shards[i]
		s.mu.Lock()
		if len(s.conns) != 0 {
			t.Errorf("shard %d holds %d connections", i, len(s.conns))
		}
		s.mu.Unlock()
	}
}
