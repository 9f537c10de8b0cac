package upstream

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestUpdateKeepsWhatStays(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	c := start(t, quietly(a), Deps{})
	conn := acquire(t, c, Acquire{})
	mustEcho(t, conn)
	conn.Release(Reusable)
	if err := c.Update(quietly(b, a)); err != nil {
		t.Fatal(err)
	}
	status := c.Status()
	if len(status) != 2 || status[0].Address != b.address || status[1].Idle != 1 {
		t.Fatalf("status after update: %+v", status)
	}
	again := acquire(t, c, Acquire{Avoid: c.view.Load().all[0]})
	if again != conn {
		t.Error("the pool of the endpoint that stayed is gone")
	}
	again.Release(Reusable)
}

func TestRemovedEndpointDrains(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	c := start(t, quietly(a), Deps{})
	idle, busy := acquire(t, c, Acquire{}), acquire(t, c, Acquire{})
	mustEcho(t, idle)
	mustEcho(t, busy)
	idle.Release(Reusable)
	if err := c.Update(quietly(b)); err != nil {
		t.Fatal(err)
	}
	await(t, "the idle connection closed", func() bool { return a.open() == 1 })
	mustEcho(t, busy) // it finishes
	busy.Release(Reusable)
	await(t, "the busy connection closed after use", func() bool { return a.open() == 0 })
	conn := acquire(t, c, Acquire{})
	if conn.Endpoint.Address != b.address {
		t.Errorf("a removed endpoint is used: %s", conn.Endpoint.Address)
	}
	conn.Release(Done)
}

func TestBadUpdateChangesNothing(t *testing.T) {
	a := serveTCP(t)
	c := start(t, quietly(a), Deps{})
	acquire(t, c, Acquire{}).Release(Reusable)
	err := c.Update(Config{Service: "web", Version: "v1", Endpoints: []string{"dns://x"}})
	if err == nil || !strings.HasPrefix(err.Error(), `service "web", version "v1": endpoint "dns://x"`) {
		t.Fatalf("got %v", err)
	}
	if st := c.Status(); len(st) != 1 || st[0].Idle != 1 {
		t.Errorf("status: %+v", st)
	}
}

func TestClose(t *testing.T) {
	s := serveTCP(t)
	c := start(t, quietly(s), Deps{})
	idle, busy := acquire(t, c, Acquire{}), acquire(t, c, Acquire{})
	mustEcho(t, busy)
	idle.Release(Reusable)
	c.Close()
	c.Close()
	if c.Usable() {
		t.Error("usable after Close")
	}
	if _, err := c.Acquire(Acquire{}); err != ErrNoEndpoint {
		t.Errorf("Acquire after Close: %v", err)
	}
	if err := c.Update(quietly(s)); err == nil {
		t.Error("Update after Close works")
	}
	mustEcho(t, busy)
	busy.Release(Reusable)
	await(t, "all connections closed", func() bool { return s.open() == 0 })
}

func TestNoEndpoints(t *testing.T) {
	c := start(t, Config{}, Deps{})
	if _, err := c.Acquire(Acquire{}); err != ErrNoEndpoint || c.Usable() {
		t.Errorf("got %v, usable %v", err, c.Usable())
	}
}

func TestOutlierIsEjectedAndReturns(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	cfg := quietly(a, b)
	cfg.Outlier.Base = 40 * time.Millisecond // also how often the clock is looked at
	var cl clock
	var ev events
	c := start(t, cfg, Deps{Now: cl.now, OnEvent: ev.add})
	endpoint := func(i int) *Endpoint { return c.view.Load().all[i] }
	fail := func(i, times int, o Outcome) {
		for range times {
			acquire(t, c, Acquire{Avoid: endpoint(1 - i)}).Release(o)
		}
	}
	fail(0, 4, Failed)
	fail(0, 1, Unknown)
	if n, _ := c.Counts(); n != 2 {
		t.Fatal("ejected after four failures")
	}
	fail(0, 1, Reusable) // a success: count anew
	fail(0, 4, BadStatus|Reusable)
	if n, _ := c.Counts(); n != 2 {
		t.Fatal("a success does not end the row of failures")
	}
	fail(0, 1, Failed)
	if n, total := c.Counts(); n != 1 || total != 2 {
		t.Fatalf("%d of %d usable after five failures", n, total)
	}
	e, ok := ev.has(Ejected, a.address)
	if !ok || e.Until.Sub(cl.now()) != cfg.Outlier.Base || e.Service != "web" || e.Version != "v1" {
		t.Errorf("event: %+v, %v", e, ok)
	}
	if st := c.Status()[0]; !st.EjectedUntil.Equal(e.Until) || !st.Healthy || st.Failures != 9 {
		t.Errorf("status: %+v", st)
	}
	for range 20 {
		conn := acquire(t, c, Acquire{})
		if conn.Endpoint.Address == a.address {
			t.Fatal("the ejected endpoint is chosen")
		}
		conn.Release(Reusable)
	}
	fail(1, 20, Failed)
	if !c.Usable() {
		t.Fatal("the last usable endpoint was ejected")
	}
	cl.advance(cfg.Outlier.Base)
	await(t, "the endpoint's return", func() bool { n, _ := c.Counts(); return n == 2 })
	await(t, "the event", func() bool { _, ok := ev.has(Returned, a.address); return ok })
	if st := c.Status()[0]; !st.EjectedUntil.IsZero() {
		t.Errorf("status: %+v", st)
	}
	fail(0, 5, Failed) // begun anew, and twice as long
	if st := c.Status()[0]; st.EjectedUntil.Sub(cl.now()) != 2*cfg.Outlier.Base {
		t.Errorf("second ejection lasts %v", st.EjectedUntil.Sub(cl.now()))
	}
}

func TestEjectionLimits(t *testing.T) {
	servers := []*server{serveTCP(t), serveTCP(t), serveTCP(t), serveTCP(t)}
	failAll := func(c *Cluster) {
		for _, e := range c.view.Load().all {
			for range 5 {
				c.failed(e)
			}
		}
	}
	for _, tt := range []struct {
		servers int
		outlier OutlierConfig
		usable  int
	}{
		{1, OutlierConfig{}, 1},
		{2, OutlierConfig{}, 1},
		{4, OutlierConfig{}, 2},
		{4, OutlierConfig{MaxPercent: 100}, 1},
		{4, OutlierConfig{MaxPercent: 1}, 3},
		{4, OutlierConfig{Consecutive: 6}, 4},
		{4, OutlierConfig{Disabled: true}, 4},
	} {
		cfg := quietly(servers[:tt.servers]...)
		cfg.Outlier = tt.outlier
		c := start(t, cfg, Deps{})
		failAll(c)
		if n, _ := c.Counts(); n != tt.usable {
			t.Errorf("%+v, %d endpoints: %d usable, want %d", tt.outlier, tt.servers, n, tt.usable)
		}
	}

	// A configuration that allows fewer brings some back.
	var ev events
	c := start(t, quietly(servers...), Deps{OnEvent: ev.add})
	failAll(c)
	if err := c.Update(quietly(servers[:2]...)); err != nil {
		t.Fatal(err)
	}
	if n, _ := c.Counts(); n != 1 {
		t.Errorf("%d of 2 usable after the update, want 1", n)
	}
	if _, ok := ev.has(Returned, servers[0].address); !ok {
		t.Error("the one ejected first was not the one that returned")
	}
	cfg := quietly(servers[:2]...)
	cfg.Outlier.Disabled = true
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	if n, _ := c.Counts(); n != 2 {
		t.Errorf("%d of 2 usable with ejection off, want 2", n)
	}
}

// Many goroutines use a cluster whose endpoints change, fail and hang up.
// Every answer must belong to its question.
func TestUseUnderChange(t *testing.T) {
	fds := openFiles(t)
	servers := []*server{serveTCP(t), serveTCP(t), serve(t, "unix", socketPath(t))}
	cfg := quietly(servers...)
	cfg.MaxIdlePerEndpoint = 3
	cfg.Health = HealthConfig{Path: "/healthz", Interval: 5 * time.Millisecond}
	cfg.Outlier = OutlierConfig{Base: 20 * time.Millisecond}
	c := start(t, cfg, Deps{OnEvent: func(Event) {}})

	var users sync.WaitGroup
	for u := range 8 {
		users.Go(func() {
			r := rand.New(rand.NewPCG(uint64(u), 1))
			for range 300 {
				conn, err := c.Acquire(Acquire{Check: r.IntN(2) == 0, MustBeFresh: r.IntN(20) == 0})
				if err != nil {
					continue // none is usable at times
				}
				err = echo(conn, strings.Repeat("x", 1+r.IntN(9))+"\n")
				switch {
				case err != nil && strings.HasPrefix(err.Error(), "got "):
					t.Error(err)
					conn.Release(Failed)
				case err != nil:
					conn.Release(Failed)
				default:
					conn.Release([]Outcome{Reusable, Reusable, Reusable, Done, BadStatus | Reusable, Unknown}[r.IntN(6)])
				}
			}
		})
	}
	done := make(chan struct{})
	var changes sync.WaitGroup
	changes.Go(func() {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			next := cfg
			next.Endpoints = cfg.Endpoints[:1+i%3]
			next.Health.Disabled = i%7 == 0
			if err := c.Update(next); err != nil {
				t.Error(err)
			}
			servers[i%3].hangUp()
			c.Status()
			c.Counts()
		}
	})
	users.Wait()
	close(done)
	changes.Wait()
	c.Close()
	if n := c.busy.Load(); n != 0 {
		t.Errorf("%d connections in use after all were released", n)
	}
	for _, s := range servers {
		s.stop()
	}
	await(t, "as many open files as before", func() bool { return openFiles(t) <= fds })
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc on this system")
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// An endpoint that was ejected serves again at once when no other is up.
func TestAnEjectedEndpointIsBetterThanNone(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	cfg := quietly(a, b)
	cfg.Outlier.Base = time.Hour
	c := start(t, cfg, Deps{})
	first, second := c.view.Load().all[0], c.view.Load().all[1]
	for range DefaultConsecutive {
		acquire(t, c, Acquire{Avoid: second}).Release(Failed)
	}
	for range DefaultFall {
		c.checked(t.Context(), second, errors.New("no answer"))
	}
	if healthy, _ := c.Counts(); healthy != 0 || !c.Usable() {
		t.Fatalf("%d healthy, usable: %v", healthy, c.Usable())
	}
	conn := acquire(t, c, Acquire{})
	if conn.Endpoint != first {
		t.Errorf("%s serves, which is down", conn.Endpoint.Address)
	}
	conn.Release(Reusable)
	for range DefaultRise {
		c.checked(t.Context(), second, nil)
	}
	conn = acquire(t, c, Acquire{})
	defer conn.Release(Reusable)
	if conn.Endpoint != second {
		t.Error("the ejection does not hold any more, though another endpoint is up")
	}
}
