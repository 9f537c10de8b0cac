package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/proxy/h1"
	"sluice/proxy/limit"
	"sluice/proxy/sock"
)

// ListenerConfig is where and how the server listens. Zero durations take the
// defaults.
type ListenerConfig struct {
	Name    string // for logs
	Address string // "host:port", ":port" or "unix:/path"
	TLS     *tls.Config

	// HTTP/2 is served over TLS where its NextProtos offer "h2", and without
	// TLS, to clients that begin with it, where H2C is set. NoH1 refuses
	// HTTP/1.
	H2C, NoH1 bool

	// TrustedProxies are the networks whose X-Forwarded-*, Forwarded and
	// Sluice-* fields are believed.
	TrustedProxies []netip.Prefix

	HeadTimeout time.Duration // from a request's first byte to the end of its head; 10 s
	IdleTimeout time.Duration // without a request; 75 s
	BodyTimeout time.Duration // without a byte moving in a body, either way; 60 s
	// RequestTimeout is for how long a client is waited for in a request's body,
	// all waits together; 0: no limit.
	RequestTimeout time.Duration
	// MinBodyRate is how many bytes a second a client has to send of a request's
	// body, or to take of a response's, on average over the time that it is waited
	// for, after 5 s of it; 0: no limit.
	MinBodyRate int64
	BodyBytes   int64     // longest request body; 0: no limit
	Limits      h1.Limits // of request heads; those of responses are h1.DefaultLimits

	// ProxyProtocol says whether trusted proxies tell whose connection it is.
	ProxyProtocol ProxyMode
	// Connections is how many may be open at once; more wait in the kernel's
	// queue. 0: half as many as the limit of descriptors allows; any other number
	// holds up to all of those.
	Connections int
	// ConnectionsPerClient is how many one client may have open, an IPv6 client
	// being a /64; more are closed at once. Trusted proxies may have any number.
	// 0: no limit.
	ConnectionsPerClient int
	// ClientRate is how often a client may ask, over all its connections; more
	// is answered 429. The zero rate is no limit.
	ClientRate limit.Rate
	// RedirectHTTPS is the port that all requests to a listener without TLS are
	// sent to over https; 0: they are served.
	RedirectHTTPS int
	// Challenge returns the answer to an ACME challenge, by the host and the path
	// that are asked, and false if it knows none. Nil: it knows none.
	Challenge func(host, path string) (answer string, known bool)
	// ForwardCertificate sends a client's certificate to endpoints, as Client-Cert
	// (RFC 9440); its identity goes there always.
	ForwardCertificate bool
	// HSTS is the Strict-Transport-Security of responses over TLS that have
	// none; "": none.
	HSTS string

	clients *limit.Clients // for ClientRate; kept from one configuration to the next
}

// Defaults of a ListenerConfig.
const (
	DefaultHeadTimeout = 10 * time.Second
	DefaultIdleTimeout = 75 * time.Second
	DefaultBodyTimeout = 60 * time.Second
)

// withDefaults fills in the zero values.
func (c ListenerConfig) withDefaults() *ListenerConfig {
	if c.HeadTimeout == 0 {
		c.HeadTimeout = DefaultHeadTimeout
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = DefaultBodyTimeout
	}
	return &c
}

// key tells whether an open listener can go on under another configuration: if
// the address is the same. Port 0 is a port of its own for each name.
func (c *ListenerConfig) key() string {
	if strings.HasSuffix(c.Address, ":0") && !strings.HasPrefix(c.Address, unixPrefix) {
		return c.Address + " " + c.Name
	}
	return c.Address
}

// unixPrefix begins the address of a Unix socket.
const unixPrefix = "unix:"

// listener is one open socket. Its configuration may change while it is open;
// connections keep the one that they were accepted under.
type listener struct {
	srv     *Server
	net     net.Listener
	config  atomic.Pointer[ListenerConfig]
	closing atomic.Bool
	ended   chan struct{} // closed when accept has returned

	open       atomic.Int64  // connections
	freed      chan struct{} // gets a token when one has ended
	complained time.Time     // when the log was last told that connections wait
}

// Listen makes the open listeners those of configs: it opens new ones, keeps
// those whose address stays (for port 0: whose name does too), and closes the
// rest, whose connections finish what they are at. If one can't be opened
// nothing changes.
func (s *Server) Listen(configs []ListenerConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errStopped
	}
	next := make(map[string]*listener, len(configs))
	var opened []*listener
	for _, c := range configs {
		l := s.listeners[c.key()]
		if l == nil {
			var err error
			if l, err = s.open(&c); err != nil {
				for _, o := range opened {
					o.net.Close()
				}
				return fmt.Errorf("listener %s: %w", c.Name, err)
			}
			opened = append(opened, l)
		}
		next[c.key()] = l
	}
	for _, c := range configs {
		next[c.key()].configure(c.withDefaults())
	}
	s.beginOverload()
	for _, l := range opened {
		s.running.Add(1)
		go l.accept()
	}
	for key, l := range s.listeners {
		if next[key] == nil {
			s.retire(l)
		}
	}
	s.listeners = next
	return nil
}

// configure puts a configuration in force for the connections to come. What
// clients did under the one before still counts where the rate stays.
func (l *listener) configure(c *ListenerConfig) {
	if old := l.config.Load(); old != nil && old.ClientRate == c.ClientRate {
		c.clients = old.clients
	} else {
		c.clients = limit.NewClients(c.ClientRate)
	}
	l.config.Store(c)
}

// retire closes a listener that the configuration dropped and lets its
// connections end after the request that they are at.
func (s *Server) retire(l *listener) {
	l.closing.Store(true)
	go l.close()
	for c := range s.conns {
		if c.listener() == l {
			c.stop()
		}
	}
}

// open binds an address, unless the process was given a socket for it.
func (s *Server) open(c *ListenerConfig) (*listener, error) {
	network, addr := split(c.Address)
	if s.inherit != nil {
		if ln := s.inherit(c.Name, network, addr); ln != nil {
			return newListener(s, ln), nil
		}
	}
	if network == "unix" {
		removeStale(addr)
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	return newListener(s, ln), nil
}

func newListener(s *Server, ln net.Listener) *listener {
	return &listener{srv: s, net: ln, ended: make(chan struct{}), freed: make(chan struct{}, 1)}
}

// removeStale removes a Unix socket that nobody answers, as a process that was
// killed leaves it behind.
func removeStale(path string) {
	if fi, err := os.Lstat(path); err != nil || fi.Mode()&os.ModeSocket == 0 {
		return
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return
	}
	os.Remove(path)
}

// Addrs returns the addresses of the open listeners by their names.
func (s *Server) Addrs() map[string]net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make(map[string]net.Addr, len(s.listeners))
	for _, l := range s.listeners {
		addrs[l.config.Load().Name] = l.net.Addr()
	}
	return addrs
}

// Bounds of the pause after a failed accept, so that a process out of file
// descriptors neither spins nor stays deaf.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// accept takes connections until the listener is closed.
func (l *listener) accept() {
	defer l.srv.running.Done()
	defer close(l.ended)
	pause := minAcceptPause
	for {
		l.awaitRoom()
		nc, err := l.net.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
			l.take(nc)
		case errors.Is(err, net.ErrClosed) || l.closing.Load():
			return
		default:
			reason := pauseReason(err)
			l.pause(reason, zap.Error(err))
			if reason == "descriptors" {
				l.srv.stats.DescriptorsExhausted()
				l.makeRoom(severe)
			}
			time.Sleep(pause)
			pause = min(2*pause, maxAcceptPause)
		}
	}
}

// take begins to serve a connection.
func (l *listener) take(nc net.Conn) {
	srv := l.srv
	config := l.config.Load()
	c := &conn1{srv: srv, from: l}
	c.peer = newPeer(config, tcpAddr(nc.RemoteAddr()), srv.turn.Add(1))
	c.peer.local = tcpAddr(nc.LocalAddr())
	if config.TLS != nil {
		c.sock = sock.NewTLS(nc, tls.Server, config.TLS)
	} else {
		c.sock = sock.New(nc)
	}
	if l.enter(c) {
		go c.start()
	}
}

// enter counts a connection among the listener's, or closes it if the server has
// stopped; it reports which.
func (l *listener) enter(c *conn1) bool {
	if !l.srv.admit(c) {
		c.sock.Close()
		return false
	}
	if l.closing.Load() {
		c.stop() // it came too late for retire to find it
	}
	if l.srv.leaving.Load() {
		c.drain() // too late for Leave, likewise
	}
	l.entered()
	return true
}

// drainTime is how long a listener that closes still takes the connections
// that the kernel has accepted on its behalf.
const drainTime = 10 * time.Millisecond

// close stops accepting. Connections that wait in the kernel's queue would be
// reset by closing the socket; they are taken first.
func (l *listener) close() {
	l.closing.Store(true)
	if d, ok := l.net.(interface{ SetDeadline(time.Time) error }); ok && d.SetDeadline(time.Now().Add(drainTime)) == nil {
		<-l.ended
	}
	l.net.Close()
	<-l.ended
}
