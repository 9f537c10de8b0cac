// Package proxy is the data path: it accepts connections, reads requests,
// decides by the routing table which version of a service answers, and brings
// the answer back.
//
// A request's way: listener.accept, conn1.serve, h1.ReadRequest,
// exchange.serve: beginRequest, admit, decide (routing.Decide), forward
// (acquire, send, awaitResponse, relay), record.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/proxy/limit"
	"sluice/routing"
	"sluice/stats"
)

// Options are what a Server needs. Stats is required.
type Options struct {
	Stats  *stats.Registry
	Log    *zap.Logger // nil: none
	Access AccessLog
	Trace  Tracing
	// MaxConnections is how many connections clients may have at once, over all
	// listeners; 0: what the limit of descriptors allows, two each and some to
	// spare, one each where a listener is told its number.
	MaxConnections int
	// OverloadTarget is how long work that is ready may wait for its turn before
	// requests are refused with 503; 0: DefaultOverloadTarget; below 0: any time.
	OverloadTarget time.Duration
	// Shadows bound the copies of requests. The zero value takes the defaults.
	Shadows ShadowLimits

	probe func() (time.Duration, error) // for tests: how long ready work waits
	load  func() int                    // for tests: connections and streams
	// Inherit returns a socket that the process was given for a listener, and
	// not yet asked for: by its predecessor or the service manager. Nil, or nil
	// returned: the server binds the address itself.
	Inherit func(name, network, address string) net.Listener
}

// Server accepts connections on its listeners and serves what comes.
type Server struct {
	stats     *stats.Registry
	log       *zap.Logger
	access    accessLog
	tracing   tracing
	table     atomic.Pointer[Table]
	dateCache atomic.Pointer[dateText]
	began     time.Time // the zero of exchange.moment
	streams   streams
	turn      atomic.Uint32 // numbers connections, for the counters' shards
	workers   workers
	leaving   atomic.Bool // each connection's next request is its last
	shadows   shadows
	inherit   func(name, network, address string) net.Listener
	uncounted *stats.Version // what synthetic requests are counted in; nobody reads it

	mu        sync.Mutex
	listeners map[string]*listener // by ListenerConfig.key
	conns     map[clientConn]struct{}
	stopping  bool          // Shutdown has begun: no listener is opened any more
	stopped   bool          // the listeners are closed: no connection is taken any more
	holders   limit.Holders // of connections, by client
	clients   atomic.Int64  // connections of all listeners
	mostOpen  int64         // of them
	mostAtAll int64         // of them, while a listener accepts that is told its number
	// firstGrace is the constant of that name; tests have others.
	firstGrace time.Duration
	overload   overload
	running    sync.WaitGroup // accept loops and connections
}

// New returns a server without listeners, that serves nothing until Swap.
func New(opt Options) *Server {
	s := &Server{
		stats: opt.Stats, log: opt.Log, inherit: opt.Inherit, began: time.Now(),
		listeners: map[string]*listener{}, conns: map[clientConn]struct{}{}, uncounted: opt.Stats.Apart(),
		firstGrace: firstGrace,
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.mostOpen, s.mostAtAll = defaultConnections(); opt.MaxConnections > 0 {
		s.mostOpen, s.mostAtAll = int64(opt.MaxConnections), int64(opt.MaxConnections)
	}
	s.newOverload(opt)
	s.shadows.init(opt.Shadows)
	s.access, s.tracing = newAccessLog(opt.Access), newTracing(opt.Trace)
	s.Swap(NewTable(emptySnapshot(), nil))
	return s
}

// emptySnapshot is the table of a server that was told nothing yet: every
// request is answered 404.
func emptySnapshot() *routing.Snapshot {
	s, err := routing.Build(routing.Config{})
	if err != nil {
		panic("proxy: the empty routing table must build: " + err.Error())
	}
	return s
}

// Swap replaces the table, for every request that begins from now on.
func (s *Server) Swap(t *Table) { s.table.Store(t) }

// Table returns the table in force.
func (s *Server) Table() *Table { return s.table.Load() }

// countToken counts the overrides that were not believed.
func (s *Server) countToken(o routing.TokenOutcome) {
	if o != routing.TokenValid && o != routing.OverrideValid {
		s.stats.OverrideIgnored(o.String())
	}
}

// forget drops a connection that has ended.
func (s *Server) forget(c clientConn, p *peer) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	if p.counted {
		s.holders.Give(p.addr.Addr())
	}
	c.listener().left()
	s.running.Done()
}

// admit takes a new connection in, unless the server has stopped.
func (s *Server) admit(c clientConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.conns[c] = struct{}{}
	s.running.Add(1)
	return true
}

// Shutdown stops accepting, lets the requests under way finish, and then
// closes everything. Connections that wait for a request are closed at once,
// unless one has come. When ctx ends first, what is left is cut off and the
// error says how much.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, l := range s.dropListeners() {
		l.close()
	}
	s.endOverload()
	s.shadows.stop()
	defer s.shadows.await(ctx)
	s.mu.Lock()
	s.stopped = true
	for c := range s.conns {
		c.stop()
	}
	s.mu.Unlock()
	defer s.endTunnels(ctx)()
	if s.Await(ctx) {
		return nil
	}
	return s.cutOff()
}

// CutOffError is returned by Shutdown when its time ran out.
type CutOffError struct {
	Connections int // that were still busy
}

// Error says how many connections were cut off.
func (e *CutOffError) Error() string {
	return fmt.Sprintf("the time to stop ran out: %d busy connections were cut off", e.Connections)
}

// errStopped is returned by Listen after Shutdown.
var errStopped = errors.New("proxy: the server has stopped")
