package upstream

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/proxy/sock"
)

func TestConnectionIsReused(t *testing.T) {
	for _, s := range []*server{serveTCP(t), serve(t, "unix", socketPath(t)), serve(t, "tcp", "[::1]:0")} {
		c := start(t, quietly(s), Deps{})
		first := acquire(t, c, Acquire{})
		if first.Reused || first.Endpoint.Address != s.address {
			t.Fatalf("first connection: reused %v, endpoint %s", first.Reused, first.Endpoint.Address)
		}
		mustEcho(t, first)
		first.Release(Reusable)
		second := acquire(t, c, Acquire{})
		if second != first || !second.Reused {
			t.Errorf("%s: the pooled connection is not reused", s.address)
		}
		mustEcho(t, second)
		second.Release(Reusable)
		if n := s.accepted.Load(); n != 1 {
			t.Errorf("%s: %d connections, want 1", s.address, n)
		}
	}
}

func TestFreshConnectionIsDialled(t *testing.T) {
	s := serveTCP(t)
	c := start(t, quietly(s), Deps{})
	acquire(t, c, Acquire{}).Release(Reusable)
	conn := acquire(t, c, Acquire{MustBeFresh: true})
	defer conn.Release(Done)
	if conn.Reused {
		t.Error("a pooled connection was given where a fresh one was asked for")
	}
	if st := c.Status()[0]; st.Idle != 1 || st.Connections != 2 || st.Active != 1 {
		t.Errorf("status: %+v", st)
	}
}

func TestLastUsedIsTakenFirst(t *testing.T) {
	c := start(t, quietly(serveTCP(t)), Deps{})
	a, b := acquire(t, c, Acquire{}), acquire(t, c, Acquire{})
	a.Release(Reusable)
	b.Release(Reusable)
	if got := acquire(t, c, Acquire{}); got != b {
		t.Error("not the connection used last")
	} else {
		got.Release(Done)
	}
}

func TestDeadPooledConnectionsAreReplaced(t *testing.T) {
	s := serveTCP(t)
	c := start(t, quietly(s), Deps{})
	var conns []*Conn
	for range 3 {
		conn := acquire(t, c, Acquire{})
		mustEcho(t, conn)
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		conn.Release(Reusable)
	}
	s.hangUp()
	await(t, "the end of the pooled connections", func() bool {
		return !conns[0].Quiet() && !conns[1].Quiet() && !conns[2].Quiet()
	})
	conn := acquire(t, c, Acquire{Check: true})
	if conn.Reused {
		t.Fatal("a dead connection was given out")
	}
	mustEcho(t, conn)
	conn.Release(Reusable)
	if st := c.Status()[0]; st.Connections != 1 || st.Idle != 1 {
		t.Errorf("dead connections were kept: %+v", st)
	}
}

// Without Check, a connection that was idle for longer than a moment is looked
// at all the same.
func TestDeadConnectionIsSeenAfterAMoment(t *testing.T) {
	s := serveTCP(t)
	c := start(t, quietly(s), Deps{})
	conn := acquire(t, c, Acquire{})
	mustEcho(t, conn)
	conn.Release(Reusable)
	since := sock.Now()
	s.hangUp()
	await(t, "the clock's next tick", func() bool { return sock.Now()-since >= checkAfter && !conn.Quiet() })
	again := acquire(t, c, Acquire{})
	defer again.Release(Done)
	if again.Reused {
		t.Error("a dead connection was given out")
	}
}

func TestOutcomesThatClose(t *testing.T) {
	for _, tt := range []struct {
		outcome  Outcome
		idle     int
		failures uint64
	}{
		{Reusable, 1, 0},
		{Done, 0, 0},
		{Failed, 0, 1},
		{Failed | Reusable, 0, 1},
		{BadStatus, 0, 1},
		{BadStatus | Reusable, 1, 1},
		{Unknown, 0, 0},
		{Unknown | Reusable, 0, 0},
	} {
		c := start(t, quietly(serveTCP(t)), Deps{})
		conn := acquire(t, c, Acquire{})
		conn.Release(tt.outcome)
		conn.Release(tt.outcome) // a second one does nothing
		if st := c.Status()[0]; st.Idle != tt.idle || st.Connections != tt.idle || st.Failures != tt.failures || st.Active != 0 {
			t.Errorf("outcome %b: %+v", tt.outcome, st)
		}
		if n := c.busy.Load(); n != 0 {
			t.Errorf("outcome %b: %d in use", tt.outcome, n)
		}
	}
}

func TestLeftoverBytesAreNeverReused(t *testing.T) {
	s := serveTCP(t)
	c := start(t, quietly(s), Deps{})
	conn := acquire(t, c, Acquire{})
	if _, err := conn.Exchange([]byte("hello\n"), &conn.In); err != nil {
		t.Fatal(err)
	}
	conn.Release(Reusable)
	if st := c.Status()[0]; st.Connections != 0 {
		t.Errorf("a connection with unread bytes was kept: %+v", st)
	}

	// The same where the bytes are still in the socket.
	conn = acquire(t, c, Acquire{})
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	await(t, "the answer", func() bool { return !conn.Quiet() })
	conn.Release(Reusable)
	again := acquire(t, c, Acquire{Check: true})
	defer again.Release(Done)
	if again.Reused {
		t.Error("a connection with unread bytes in its socket was given out")
	}
}

func TestTimedOutConnectionIsNotReused(t *testing.T) {
	c := start(t, quietly(serveTCP(t)), Deps{})
	conn := acquire(t, c, Acquire{})
	conn.SetTimeout(time.Millisecond)
	if err := conn.Fill(&conn.In); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Fill: %v", err)
	}
	conn.Release(Reusable)
	if st := c.Status()[0]; st.Idle != 0 || st.Connections != 0 {
		t.Errorf("kept: %+v", st)
	}
}

// The timeout of a request must not end its connection while it is idle.
func TestPooledConnectionOutlivesTheRequestsTimeout(t *testing.T) {
	c := start(t, quietly(serveTCP(t)), Deps{})
	conn := acquire(t, c, Acquire{})
	conn.SetTimeout(2 * sock.Tick)
	conn.Release(Reusable)
	since := sock.Now()
	await(t, "five ticks", func() bool { return sock.Now()-since > int64(5*sock.Tick) })
	again := acquire(t, c, Acquire{})
	if !again.Reused || again.TimedOut() {
		t.Fatal("the pooled connection was timed out")
	}
	mustEcho(t, again)
	again.Release(Reusable)
}

func TestIdleConnectionsAreReaped(t *testing.T) {
	s := serveTCP(t)
	cfg := quietly(s)
	cfg.IdleTimeout = 100 * time.Millisecond
	c := start(t, cfg, Deps{})
	for _, conn := range []*Conn{acquire(t, c, Acquire{}), acquire(t, c, Acquire{})} {
		mustEcho(t, conn)
		conn.Release(Reusable)
	}
	busy := acquire(t, c, Acquire{MustBeFresh: true})
	await(t, "idle connections closed", func() bool { return c.Status()[0].Idle == 0 && s.open() == 1 })
	mustEcho(t, busy)
	busy.Release(Done)
}

func TestPoolIsBounded(t *testing.T) {
	cfg := quietly(serveTCP(t))
	cfg.MaxIdlePerEndpoint = 2
	c := start(t, cfg, Deps{})
	var conns []*Conn
	for range 4 {
		conns = append(conns, acquire(t, c, Acquire{}))
	}
	for _, conn := range conns {
		conn.Release(Reusable)
	}
	if st := c.Status()[0]; st.Idle != 2 || st.Connections != 2 {
		t.Errorf("status: %+v, want 2 idle", st)
	}
}

func TestMaxConnections(t *testing.T) {
	cfg := quietly(serveTCP(t))
	cfg.MaxConnections = 2
	c := start(t, cfg, Deps{})
	a, b := acquire(t, c, Acquire{}), acquire(t, c, Acquire{})
	for range 3 {
		if _, err := c.Acquire(Acquire{}); err != ErrOverloaded {
			t.Fatalf("third connection: %v, want ErrOverloaded", err)
		}
	}
	a.Release(Reusable)
	acquire(t, c, Acquire{}).Release(Reusable)
	cfg.MaxConnections = 0
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	acquire(t, c, Acquire{}).Release(Reusable)
	b.Release(Reusable)
}

func TestDialFailure(t *testing.T) {
	s := serveTCP(t)
	s.stop()
	c := start(t, quietly(s), Deps{})
	_, err := c.Acquire(Acquire{})
	var de *DialError
	if !errors.As(err, &de) || de.Endpoint.Address != s.address || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("got %v", err)
	}
	if want := "connect to " + s.address + ": "; err.Error()[:len(want)] != want {
		t.Errorf("error %q does not name the endpoint", err)
	}
	if st := c.Status()[0]; st.Active != 0 || st.Connections != 0 || st.Failures != 1 || c.busy.Load() != 0 {
		t.Errorf("status: %+v", st)
	}
}

// stuck is a dialer that gives up only when it is told to.
func stuck(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestDialTimeout(t *testing.T) {
	cfg := Config{Endpoints: []string{"127.0.0.1:1"}, ConnectTimeout: 20 * time.Millisecond, Health: HealthConfig{Disabled: true}}
	c := start(t, cfg, Deps{Dial: stuck})
	began := time.Now()
	_, err := c.Acquire(Acquire{})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	if st := c.Status()[0]; st.Failures != 1 {
		t.Errorf("a timeout is not counted: %+v", st)
	}
}

func TestCloseEndsADial(t *testing.T) {
	cfg := Config{Endpoints: []string{"127.0.0.1:1"}, ConnectTimeout: time.Hour, Health: HealthConfig{Disabled: true}}
	c := start(t, cfg, Deps{Dial: stuck})
	failed := make(chan error)
	go func() {
		_, err := c.Acquire(Acquire{})
		failed <- err
	}()
	await(t, "the dial", func() bool { return c.Status()[0].Active == 1 })
	c.Close()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Want of descriptors here must not eject endpoints there.
func TestLocalFailureIsNotTheEndpoints(t *testing.T) {
	cfg := Config{Endpoints: []string{"127.0.0.1:1", "127.0.0.1:2"}, Health: HealthConfig{Interval: time.Millisecond, Fall: 1}}
	var dials sync.WaitGroup
	dials.Add(50)
	left := 50
	var mu sync.Mutex
	c := start(t, cfg, Deps{Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if left > 0 {
			left--
			dials.Done()
		}
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("socket", syscall.EMFILE)}
	}})
	for range 20 {
		if _, err := c.Acquire(Acquire{}); !errors.Is(err, syscall.EMFILE) {
			t.Fatal(err)
		}
	}
	dials.Wait()
	if healthy, _ := c.Counts(); healthy != 2 {
		t.Errorf("%d endpoints usable, want 2", healthy)
	}
	for _, st := range c.Status() {
		if st.Failures != 0 {
			t.Errorf("failures were counted: %+v", st)
		}
	}
	await(t, "the check's error", func() bool { return c.Status()[0].HealthError != "" })
}

// TestAHurriedDialOfALink: a request with little time waits no longer for a
// connection over HTTP/2, which is still dialled, for those that have more, and
// not counted against the endpoint.
func TestAHurriedDialOfALink(t *testing.T) {
	c := start(t, Config{Service: "s", Version: "v", Endpoints: []string{"127.0.0.1:1"}, HTTP2: true, ConnectTimeout: time.Minute, Health: HealthConfig{Disabled: true}}, Deps{Dial: stuck})
	begun := time.Now()
	for range 2 {
		_, err := c.Acquire(Acquire{Within: 10 * time.Millisecond})
		var dial *DialError
		if !errors.As(err, &dial) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := c.Status()[0].Failures; n != 0 || c.InUse() != 0 {
		t.Errorf("%d failures counted, %d connections in use", n, c.InUse())
	}
}
