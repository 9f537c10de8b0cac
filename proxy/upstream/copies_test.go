package upstream

import (
	"errors"
	"testing"
	"time"
)

// copyOf acquires a connection for a copy.
func copyOf(t *testing.T, c *Cluster) *Conn {
	t.Helper()
	conn, err := c.AcquireCopy(Acquire{})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestCopiesHaveConnectionsOfTheirOwn: neither side finds the other's in the pool.
func TestCopiesHaveConnectionsOfTheirOwn(t *testing.T) {
	s := serveTCP(t)
	c := start(t, quietly(s), Deps{})
	request := acquire(t, c, Acquire{})
	mustEcho(t, request)
	request.Release(Reusable)
	first := copyOf(t, c)
	if first == request || first.Reused {
		t.Error("a copy took the connection of a request")
	}
	mustEcho(t, first)
	if st := c.Status()[0]; c.InUse() != 0 || st.Active != 0 || st.Idle != 1 {
		t.Errorf("a copy counts as a request: %d in use, %+v", c.InUse(), st)
	}
	first.Release(Reusable)
	if again := copyOf(t, c); again != first || !again.Reused {
		t.Error("the next copy does not use the connection again")
	} else {
		again.Release(Done)
	}
	if again := acquire(t, c, Acquire{}); again != request {
		t.Error("the next request does not find its connection")
	} else {
		again.Release(Reusable)
	}
	if n := s.accepted.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// TestCopiesOverHTTP2HaveALinkOfTheirOwn, and end with it.
func TestCopiesOverHTTP2HaveALinkOfTheirOwn(t *testing.T) {
	s := serve2(t, "tcp", "127.0.0.1:0", nil)
	c := start(t, speaking2(s), Deps{})
	for range 2 {
		request, copied := acquire(t, c, Acquire{}), copyOf(t, c)
		for _, conn := range []*Conn{request, copied} {
			if _, err := call(conn, "/"); err != nil {
				t.Fatal(err)
			}
			conn.Release(Done)
		}
	}
	if n := s.accepted.Load(); n != 2 {
		t.Errorf("%d connections, want one for requests and one for copies", n)
	}
	c.Close()
	await(t, "both are closed", func() bool { return c.copies.Load() == 0 && c.InUse() == 0 })
}

// TestCopiesLeaveRoom: they take no more than three quarters of the connections
// together with requests, wait for none, and keep none from requests.
func TestCopiesLeaveRoom(t *testing.T) {
	s := serveTCP(t)
	for _, test := range []struct{ most, requests, copies int }{{0, 5, 50}, {1, 0, 0}, {2, 0, 1}, {4, 0, 3}, {4, 1, 2}, {4, 3, 0}, {4, 4, 0}, {100, 50, 25}} {
		cfg := quietly(s)
		cfg.MaxConnections, cfg.MaxPending = test.most, 8
		c := start(t, cfg, Deps{})
		var held []*Conn
		for range test.requests {
			held = append(held, acquire(t, c, Acquire{}))
		}
		for range test.copies {
			held = append(held, copyOf(t, c))
		}
		if test.most > 0 {
			if conn, err := c.AcquireCopy(Acquire{Wait: true}); err != ErrOverloaded {
				t.Errorf("%+v: one copy more: %v, %v", test, conn, err)
			}
			for range test.most - test.requests {
				held = append(held, acquire(t, c, Acquire{}))
			}
		}
		for _, conn := range held {
			conn.Release(Done)
		}
		if c.InUse() != 0 || c.copies.Load() != 0 {
			t.Errorf("%+v: %d requests and %d copies are left", test, c.InUse(), c.copies.Load())
		}
	}
}

// TestCopiesBlameNobody: what fails a copy ejects no endpoint, and what answers
// one forgives none its failures.
func TestCopiesBlameNobody(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	cfg := quietly(a, b)
	cfg.Outlier = OutlierConfig{Consecutive: 3}
	c := start(t, cfg, Deps{})
	for range 50 {
		copyOf(t, c).Release(Failed)
	}
	for _, st := range c.Status() {
		if st.Failures != 0 || !st.EjectedUntil.IsZero() {
			t.Errorf("a copy's failure counts: %+v", st)
		}
	}
	e := c.view.Load().all[0]
	e.inARow.Store(2)
	for range 50 {
		copyOf(t, c).Release(Reusable)
	}
	if e.inARow.Load() != 2 {
		t.Error("an answer to a copy counts as one to a request")
	}
}

func TestCopiesThatCantBeSent(t *testing.T) {
	cfg := quietly()
	cfg.Endpoints = []string{"127.0.0.1:1"} // nobody listens
	cfg.Outlier = OutlierConfig{Consecutive: 1}
	c := start(t, cfg, Deps{})
	var dial *DialError
	if _, err := c.AcquireCopy(Acquire{Within: 10 * time.Second}); !errors.As(err, &dial) {
		t.Errorf("nobody listens: %v", err)
	}
	if st := c.Status()[0]; st.Failures != 0 {
		t.Errorf("a copy's dial counts: %+v", st)
	}
	c.Close()
	if _, err := c.AcquireCopy(Acquire{}); err != ErrNoEndpoint {
		t.Errorf("closed: %v", err)
	}
	if c.copies.Load() != 0 {
		t.Errorf("%d copies are left", c.copies.Load())
	}
}

func TestIdleConnectionsOfCopiesAreReaped(t *testing.T) {
	s := serveTCP(t)
	cfg := quietly(s)
	cfg.IdleTimeout = 40 * time.Millisecond
	c := start(t, cfg, Deps{})
	conn := copyOf(t, c)
	mustEcho(t, conn)
	conn.Release(Reusable)
	await(t, "it is closed", func() bool { return s.open() == 0 })
}
