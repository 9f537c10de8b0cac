package upstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/proxy/head"
)

// server2 is an endpoint that speaks HTTP/2 alone.
type server2 struct {
	address  string // as an endpoint
	status   atomic.Int32
	accepted atomic.Int32
	checks   atomic.Int32  // GET /healthz
	holds    atomic.Int32  // GET /hold
	hold     chan struct{} // what that waits for
}

// serve2 starts a server, over TLS if there is a configuration.
func serve2(t testing.TB, network, address string, secure *tls.Config, change ...func(*http.Server)) *server2 {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server2{address: l.Addr().String(), hold: make(chan struct{})}
	if network == "unix" {
		s.address = "unix:" + s.address
	}
	s.status.Store(200)
	hs := &http.Server{Handler: s, TLSConfig: secure, Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.accepted.Add(1)
			}
		}}
	hs.Protocols.SetHTTP2(secure != nil)
	hs.Protocols.SetUnencryptedHTTP2(secure == nil)
	for _, c := range change {
		c(hs)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if secure != nil {
			hs.ServeTLS(l, "", "")
		} else {
			hs.Serve(l)
		}
	}()
	t.Cleanup(func() { hs.Close(); <-done })
	return s
}

// ServeHTTP tells how it was asked.
func (s *server2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthz":
		s.checks.Add(1)
		w.WriteHeader(int(s.status.Load()))
		return
	case "/hold":
		s.holds.Add(1)
		select {
		case <-s.hold:
		case <-r.Context().Done():
		}
	}
	fmt.Fprintf(w, "%s %s %s %s, TLS %v", r.Proto, r.Method, r.Host, r.URL.Path, r.TLS != nil)
}

// speaking2 is a configuration for HTTP/2.
func speaking2(s *server2) Config {
	return Config{Service: "web", Version: "v1", HTTP2: true, Health: HealthConfig{Disabled: true}, Endpoints: []string{s.address}}
}

// call asks for a path and returns the body of the answer.
func call(conn *Conn, path string) (string, error) {
	conn.SetTimeout(10 * time.Second)
	var res head.Response
	if err := conn.Call([]byte("GET "+path+" HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"), Call{}, &res); err != nil {
		return "", err
	}
	if res.Status != 200 {
		return "", fmt.Errorf("answered %d", res.Status)
	}
	for {
		switch err := conn.Fill(&conn.In); err {
		case nil:
		case io.EOF:
			return string(conn.In.Bytes()), nil
		default:
			return "", err
		}
	}
}

// HTTP/2 is spoken over every kind of address, plain and over TLS, by requests,
// which share one connection, and by checks.
func TestHTTP2EndpointsOfEveryKind(t *testing.T) {
	a := newAuthority(t)
	for _, kind := range []struct{ network, address, name string }{{"tcp", "127.0.0.1:0", "127.0.0.1"}, {"tcp", "[::1]:0", "::1"}, {"unix", "", "localhost"}} {
		for _, secure := range []*tls.Config{nil, a.serverConfig(kind.name)} {
			address := kind.address
			if kind.network == "unix" {
				address = socketPath(t)
			}
			s := serve2(t, kind.network, address, secure)
			cfg := speaking2(s)
			if secure != nil {
				cfg.TLS = &TLSConfig{CA: a.pem}
			}
			c := start(t, cfg, Deps{})
			want := fmt.Sprintf("HTTP/2.0 GET shop.example.com /x, TLS %v", secure != nil)
			for range 3 {
				conn := acquire(t, c, Acquire{})
				if got, err := call(conn, "/x"); err != nil || got != want {
					t.Fatalf("%s: got %q, %v", s.address, got, err)
				}
				conn.Release(Reusable)
			}
			if n := s.accepted.Load(); n != 1 {
				t.Errorf("%s: %d connections for requests", s.address, n)
			}
			cfg.Health = HealthConfig{Path: "/healthz", Interval: 5 * time.Millisecond}
			if err := c.Update(cfg); err != nil {
				t.Fatal(err)
			}
			await(t, "checks over HTTP/2", func() bool { return s.checks.Load() > 2 })
			if st := c.Status()[0]; !st.Healthy || st.HealthError != "" {
				t.Errorf("%s: %+v", s.address, st)
			}
			s.status.Store(500)
			await(t, "a failed check", func() bool { return !c.Usable() })
			if st := c.Status()[0]; !strings.Contains(st.HealthError, "answered 500") {
				t.Errorf("%s: %+v", s.address, st)
			}
			s.status.Store(200)
			await(t, "its return", c.Usable)
			conn := acquire(t, c, Acquire{})
			if got, err := call(conn, "/x"); err != nil || got != want {
				t.Errorf("%s: afterwards %q, %v", s.address, got, err)
			}
			conn.Release(Done)
		}
	}
}

// An endpoint that doesn't agree to HTTP/2 is told apart, by requests and by
// checks without a path too.
func TestEndpointsWithoutHTTP2(t *testing.T) {
	a := newAuthority(t)
	only1 := a.serverConfig("127.0.0.1")
	only1.NextProtos = []string{"http/1.1"}
	wrong := a.serverConfig("elsewhere.internal")
	for _, test := range []struct {
		address string
		secure  bool
		says    string
	}{
		{serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1")).address, true, "(ALPN)"},
		{serveTLS(t, "tcp", "127.0.0.1:0", only1).address, true, ""}, // the server refuses the handshake, in words of its own
		{serve2(t, "tcp", "127.0.0.1:0", wrong).address, true, "TLS handshake"},
		{serveTCP(t).address, false, "HTTP/2: the endpoint doesn't greet"},
		{serve2(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1")).address, false, "HTTP/2: the endpoint doesn't greet"},
	} {
		cfg := Config{Service: "web", Version: "v1", HTTP2: true, Endpoints: []string{test.address}, ConnectTimeout: 500 * time.Millisecond,
			Health: HealthConfig{Interval: 5 * time.Millisecond, Fall: 1}}
		if test.secure {
			cfg.TLS = &TLSConfig{CA: a.pem}
		}
		c := start(t, cfg, Deps{})
		await(t, "a failed check", func() bool { return !c.Usable() })
		if st := c.Status()[0]; !strings.Contains(st.HealthError, test.says) {
			t.Errorf("%s: the check says %q, want %q", test.address, st.HealthError, test.says)
		}
		cfg.Health = HealthConfig{Disabled: true}
		quiet := start(t, cfg, Deps{})
		_, err := quiet.Acquire(Acquire{})
		var dial *DialError
		if !errors.As(err, &dial) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %q", test.address, err, test.says)
		}
		if st := quiet.Status()[0]; st.Connections != 0 || st.Failures != 1 {
			t.Errorf("%s: %+v", test.address, st)
		}
	}
}

// As many connections are opened as the requests at once need, and none more.
func TestConnectionsByTheEndpointsLimit(t *testing.T) {
	s := serve2(t, "tcp", "127.0.0.1:0", nil, func(hs *http.Server) { hs.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2} })
	c := start(t, speaking2(s), Deps{})
	var conns []*Conn
	for range 5 {
		conns = append(conns, acquire(t, c, Acquire{}))
	}
	if n := s.accepted.Load(); n != 3 {
		t.Errorf("%d connections for 5 requests of which each takes 2", n)
	}
	for _, conn := range conns {
		if _, err := call(conn, "/x"); err != nil {
			t.Error(err)
		}
		conn.Release(Done)
	}
	// What was reserved and not used is free again, too.
	for range 3 {
		for i := range conns {
			conns[i] = acquire(t, c, Acquire{})
		}
		for _, conn := range conns {
			conn.Release(Unknown)
		}
	}
	if n := s.accepted.Load(); n != 3 {
		t.Errorf("%d connections in the end", n)
	}
}

// A changed configuration is that of new requests; those under way finish where
// they are, and the old connection ends with them.
func TestChangedTLSLetsStreamsFinish(t *testing.T) {
	a := newAuthority(t)
	s := serve2(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1", "other.internal"))
	cfg := speaking2(s)
	cfg.TLS = &TLSConfig{CA: a.pem}
	c := start(t, cfg, Deps{})
	held := acquire(t, c, Acquire{})
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := call(held, "/hold")
		answers <- answer{text, err}
	}()
	await(t, "the request", func() bool { return s.holds.Load() == 1 })
	cfg.TLS = &TLSConfig{CA: a.pem, ServerName: "other.internal"}
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	next := acquire(t, c, Acquire{})
	if _, err := call(next, "/x"); err != nil {
		t.Error(err)
	}
	next.Release(Done)
	if n := s.accepted.Load(); n != 2 {
		t.Errorf("%d connections, want another for the new configuration", n)
	}
	close(s.hold)
	if got := <-answers; got.err != nil || !strings.Contains(got.text, "/hold") {
		t.Errorf("the request under way: %+v", got)
	}
	held.Release(Done)
	await(t, "the end of the old connection", func() bool { return c.Status()[0].Connections == 1 })
}
