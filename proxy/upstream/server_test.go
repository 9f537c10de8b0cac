package upstream

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an endpoint for tests: it answers each line with the same line,
// and any line that begins with GET as an HTTP server whose status can be set.
type server struct {
	address  string // as an endpoint
	l        net.Listener
	status   atomic.Int32
	accepted atomic.Int32
	tasks    sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	heads  []string // the lines of HTTP requests
}

func serve(t testing.TB, network, address string) *server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, network, l)
}

// serveOn is serve on a listener.
func serveOn(t testing.TB, network string, l net.Listener) *server {
	s := &server{l: l, address: l.Addr().String(), conns: map[net.Conn]bool{}}
	if network == "unix" {
		s.address = "unix:" + s.address
	}
	s.status.Store(200)
	s.tasks.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

func serveTCP(t testing.TB) *server { return serve(t, "tcp", "127.0.0.1:0") }

func (s *server) accept() {
	for {
		nc, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			nc.Close()
		} else {
			s.conns[nc] = true
			s.accepted.Add(1)
			s.tasks.Go(func() { s.answer(nc) })
		}
		s.mu.Unlock()
	}
}

func (s *server) answer(nc net.Conn) {
	defer func() {
		nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
	}()
	r := bufio.NewReader(nc)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if len(line) > 4 && line[:4] == "GET " {
			for line != "\r\n" && err == nil {
				s.mu.Lock()
				s.heads = append(s.heads, line)
				s.mu.Unlock()
				line, err = r.ReadString('\n')
			}
			fmt.Fprintf(nc, "HTTP/1.1 %d X\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n", s.status.Load())
			continue
		}
		if _, err := nc.Write([]byte(line)); err != nil {
			return
		}
	}
}

func (s *server) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.heads...)
}

// hangUp closes all connections from the server's side.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		nc.Close()
	}
}

func (s *server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *server) stop() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.l.Close()
	s.hangUp()
	s.tasks.Wait()
}

// quietly is a configuration without health checks.
func quietly(servers ...*server) Config {
	cfg := Config{Service: "web", Version: "v1", Health: HealthConfig{Disabled: true}, IdleTimeout: time.Minute}
	for _, s := range servers {
		cfg.Endpoints = append(cfg.Endpoints, s.address)
	}
	return cfg
}

func start(t testing.TB, cfg Config, deps Deps) *Cluster {
	t.Helper()
	c, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func acquire(t testing.TB, c *Cluster, opt Acquire) *Conn {
	t.Helper()
	conn, err := c.Acquire(opt)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// echo sends a line and reads it back.
func echo(conn *Conn, line string) error {
	conn.SetTimeout(5 * time.Second)
	if _, err := conn.Exchange([]byte(line), &conn.In); err != nil {
		return err
	}
	for conn.In.Len() < len(line) {
		if err := conn.Fill(&conn.In); err != nil {
			return err
		}
	}
	if got := string(conn.In.Bytes()); got != line {
		return fmt.Errorf("got %q for %q", got, line)
	}
	conn.In.Consume(len(line))
	return nil
}

func mustEcho(t testing.TB, conn *Conn) {
	t.Helper()
	if err := echo(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
}

// await waits until something holds, for ten seconds at most.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not seen within 10 s: %s", what)
		}
	}
}

// events records what a cluster tells.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	e.all = append(e.all, ev)
	e.mu.Unlock()
}

// has returns the first event of a kind about an endpoint.
func (e *events) has(kind EventKind, endpoint string) (Event, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Kind == kind && ev.Endpoint == endpoint {
			return ev, true
		}
	}
	return Event{}, false
}

// clock is a clock that a test sets.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_000_000, 0).Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// socketPath returns a path short enough for a Unix socket.
func socketPath(t testing.TB) string {
	dir, err := os.MkdirTemp("", "up")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}
