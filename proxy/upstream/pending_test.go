package upstream

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// narrow is a configuration with one connection and room to wait.
func narrow(most, pending int, servers ...*server) Config {
	cfg := quietly(servers...)
	cfg.MaxConnections, cfg.MaxPending, cfg.PendingTimeout = most, pending, 5*time.Second
	return cfg
}

func TestPendingAreServedInOrder(t *testing.T) {
	c := start(t, narrow(1, 3, serveTCP(t)), Deps{})
	held := acquire(t, c, Acquire{})
	if _, err := c.Acquire(Acquire{}); err != ErrOverloaded {
		t.Errorf("a request that does not wait: %v", err)
	}
	order := make(chan int, 3)
	var under sync.WaitGroup
	for i := range 3 {
		under.Go(func() {
			conn, err := c.Acquire(Acquire{Wait: true})
			if err != nil {
				t.Error(err)
				return
			}
			order <- i
			conn.Release(Reusable)
		})
		await(t, "one more that waits", func() bool { return c.Pending() == i+1 })
	}
	if _, err := c.Acquire(Acquire{Wait: true}); err != ErrOverloaded {
		t.Errorf("one too many: %v", err)
	}
	held.Release(Reusable)
	under.Wait()
	for want := range 3 {
		if got := <-order; got != want {
			t.Errorf("request %d was served when it was the turn of %d", got, want)
		}
	}
	if c.Pending() != 0 || c.InUse() != 0 {
		t.Errorf("%d pending, %d in use", c.Pending(), c.InUse())
	}
}

func TestPendingEnds(t *testing.T) {
	cfg := narrow(1, 1, serveTCP(t))
	c := start(t, cfg, Deps{})
	held := acquire(t, c, Acquire{})
	if _, err := c.Acquire(Acquire{Wait: true, Within: 10 * time.Millisecond}); err != ErrPendingTimeout {
		t.Errorf("got %v", err)
	}
	left := make(chan struct{})
	close(left)
	if _, err := c.Acquire(Acquire{Wait: true, Left: left}); err != ErrLeft {
		t.Errorf("got %v", err)
	}
	if c.Pending() != 0 {
		t.Errorf("%d pending", c.Pending())
	}
	// More are allowed: who waits is served.
	served := make(chan error)
	go func() {
		conn, err := c.Acquire(Acquire{Wait: true})
		if err == nil {
			conn.Release(Reusable)
		}
		served <- err
	}()
	await(t, "one that waits", func() bool { return c.Pending() == 1 })
	cfg.MaxConnections = 0
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	// Closing wakes who waits.
	cfg.MaxConnections = 1
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	go func() { _, err := c.Acquire(Acquire{Wait: true}); served <- err }()
	await(t, "one that waits", func() bool { return c.Pending() == 1 })
	c.Close()
	if err := <-served; err != ErrNoEndpoint {
		t.Errorf("got %v", err)
	}
	held.Release(Done)
	if c.InUse() != 0 {
		t.Errorf("%d in use", c.InUse())
	}
}

// Many come and go, time out and leave; never are more served at once than may
// be, and no place is lost.
func TestPendingUnderLoad(t *testing.T) {
	const most = 3
	c := start(t, narrow(most, 20, serveTCP(t)), Deps{})
	var now atomic.Int32
	var users sync.WaitGroup
	for u := range 16 {
		users.Go(func() {
			r := rand.New(rand.NewPCG(uint64(u), 2))
			for range 200 {
				left := make(chan struct{})
				opt := Acquire{Wait: r.IntN(4) > 0, Left: left}
				if r.IntN(3) == 0 {
					opt.Within = time.Duration(r.IntN(300)) * time.Microsecond
				}
				if r.IntN(5) == 0 {
					close(left)
				}
				conn, err := c.Acquire(opt)
				if err != nil {
					var slow net.Error
					if err != ErrOverloaded && err != ErrPendingTimeout && err != ErrLeft && !(errors.As(err, &slow) && slow.Timeout()) {
						t.Error(err)
					}
					continue
				}
				if n := now.Add(1); n > most {
					t.Errorf("%d at once", n)
				}
				now.Add(-1)
				conn.Release(Reusable)
			}
		})
	}
	users.Wait()
	if c.Pending() != 0 || c.InUse() != 0 {
		t.Errorf("%d pending, %d in use", c.Pending(), c.InUse())
	}
}

func TestShortageIsToldOnceInAWhile(t *testing.T) {
	var cl clock
	var mu sync.Mutex
	var told []bool
	deps := Deps{
		Now: cl.now,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
		},
		OnEvent: func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == Shortage {
				told = append(told, e.Repeated)
			}
		},
	}
	cfg := quietly()
	cfg.Endpoints = []string{"127.0.0.1:80"}
	c := start(t, cfg, deps)
	for _, after := range []time.Duration{0, time.Second, sayAgainAfter} {
		cl.advance(after)
		if _, err := c.Acquire(Acquire{}); !errors.Is(err, syscall.EMFILE) {
			t.Fatal(err)
		}
	}
	if len(told) != 3 || told[0] || !told[1] || told[2] {
		t.Errorf("told, repeated: %v", told)
	}
	if n, _ := c.Counts(); n != 1 || c.Status()[0].Failures != 0 {
		t.Error("a shortage here was counted against the endpoint")
	}
}
