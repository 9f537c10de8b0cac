package upstream

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestEndpointDiesAndReturns(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	cfg := quietly(a, b)
	cfg.Health = HealthConfig{Interval: 5 * time.Millisecond}
	var ev events
	c := start(t, cfg, Deps{OnEvent: ev.add})
	conn := acquire(t, c, Acquire{Avoid: c.view.Load().all[1]})
	mustEcho(t, conn)
	conn.Release(Reusable)
	a.stop()
	await(t, "the endpoint down", func() bool { n, _ := c.Counts(); return n == 1 })
	await(t, "the event", func() bool { e, ok := ev.has(Down, a.address); return ok && e.Err != nil })
	await(t, "its idle connections closed", func() bool { return c.Status()[0].Connections == 0 })
	if st := c.Status()[0]; st.Healthy || !strings.Contains(st.HealthError, "refused") {
		t.Errorf("status: %+v", st)
	}
	b.stop()
	await(t, "nothing usable", func() bool { return !c.Usable() })
	if _, err := c.Acquire(Acquire{}); err != ErrNoEndpoint {
		t.Errorf("got %v, want ErrNoEndpoint", err)
	}
	serve(t, "tcp", a.address)
	await(t, "the endpoint's return", c.Usable)
	await(t, "the event", func() bool { _, ok := ev.has(Up, a.address); return ok })
	if st := c.Status()[0]; !st.Healthy || st.HealthError != "" {
		t.Errorf("status: %+v", st)
	}
}

func TestCheckByGET(t *testing.T) {
	for _, s := range []*server{serveTCP(t), serve(t, "unix", socketPath(t))} {
		cfg := quietly(s)
		cfg.Health = HealthConfig{Path: "/healthz?deep=1", Interval: 2 * time.Millisecond}
		c := start(t, cfg, Deps{})
		for _, tt := range []struct {
			status int32
			good   bool
		}{{503, false}, {200, true}, {404, false}, {204, true}, {500, false}, {302, true}, {400, false}, {399, true}} {
			s.status.Store(tt.status)
			await(t, s.l.Addr().Network()+" after "+time.Duration(tt.status).String(), func() bool { return c.Usable() == tt.good })
			if st := c.Status()[0]; !tt.good && !strings.Contains(st.HealthError, "GET /healthz?deep=1 answered") {
				t.Errorf("status: %+v", st)
			}
		}
		head := strings.Join(s.lines()[:2], "")
		host := "localhost"
		if s.l.Addr().Network() == "tcp" {
			host = s.address
		}
		if want := "GET /healthz?deep=1 HTTP/1.1\r\nHost: " + host + "\r\n"; head != want {
			t.Errorf("asked %q, want %q", head, want)
		}
		for _, line := range s.lines() {
			if strings.Contains(line, "/elsewhere") {
				t.Fatal("a redirect was followed")
			}
		}
	}
}

func TestCheckSendsHost(t *testing.T) {
	s := serveTCP(t)
	cfg := quietly(s)
	cfg.Health = HealthConfig{Path: "/", Host: "shop.example.com", Interval: time.Hour}
	start(t, cfg, Deps{})
	await(t, "the first check, at once", func() bool { return len(s.lines()) >= 2 })
	if got := s.lines()[1]; got != "Host: shop.example.com\r\n" {
		t.Errorf("got %q", got)
	}
}

// An endpoint that takes connections and never answers is down by GET.
func TestCheckTimesOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the kernel takes connections, no one else does
	c := start(t, Config{
		Endpoints: []string{l.Addr().String()},
		Health:    HealthConfig{Path: "/", Interval: time.Millisecond, Timeout: 10 * time.Millisecond},
	}, Deps{})
	await(t, "the endpoint down", func() bool { return !c.Usable() })
}

func TestChecksFollowTheConfiguration(t *testing.T) {
	s := serveTCP(t)
	s.status.Store(500)
	cfg := quietly(s)
	cfg.Health = HealthConfig{Path: "/", Interval: time.Millisecond}
	c := start(t, cfg, Deps{})
	await(t, "the endpoint down", func() bool { return !c.Usable() })

	same := cfg
	same.MaxConnections = 9
	if err := c.Update(same); err != nil {
		t.Fatal(err)
	}
	if c.Usable() {
		t.Error("an update that does not concern health brought the endpoint back")
	}
	cfg.Health.Disabled = true
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	if st := c.Status()[0]; !c.Usable() || st.HealthError != "" {
		t.Errorf("without checks an endpoint is up; got %+v", st)
	}
	cfg.Health = HealthConfig{Interval: time.Millisecond} // a connection is enough now
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	n := s.accepted.Load()
	await(t, "ten more checks", func() bool { return s.accepted.Load() > n+10 })
	if !c.Usable() {
		t.Error("the check by connection failed")
	}
}

// Close ends checks that are under way, and waits for them.
func TestCloseEndsChecks(t *testing.T) {
	var running atomic.Int32
	c := start(t, Config{Endpoints: []string{"127.0.0.1:1"}, Health: HealthConfig{Timeout: time.Hour}}, Deps{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			running.Add(1)
			defer running.Add(-1)
			return stuck(ctx, network, address)
		},
	})
	await(t, "the check under way", func() bool { return running.Load() == 1 })
	c.Close()
	if n := running.Load(); n != 0 {
		t.Errorf("%d checks run after Close", n)
	}
}
