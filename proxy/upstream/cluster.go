package upstream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"sluice/proxy/sock"
	"sluice/proxy/upstream/resolve"
)

// Deps is what a Cluster takes from outside. Every field may be nil.
type Deps struct {
	// Dial opens connections, those of health checks too; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now times ejections and events; nil is time.Now.
	Now func() time.Time
	// Rand draws the endpoints; it must be safe for concurrent use. Nil is
	// math/rand/v2.
	Rand func() uint64
	// Log takes the events; nil drops them.
	Log *zap.Logger
	// LookUp finds names in the DNS; nil is a resolve.Resolver that asks
	// Config.DNSServers.
	LookUp func(context.Context, resolve.Name) (resolve.Answer, error)
	// OnEvent is called for each event, by various goroutines. It must be
	// quick, and must not call Update or Close.
	OnEvent func(Event)
}

// Cluster is the endpoints of one version. It is safe for concurrent use.
type Cluster struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	now     func() time.Time
	rand    func() uint64
	log     *zap.Logger
	onEvent func(Event)
	lookUp  func(context.Context, resolve.Name) (resolve.Answer, error)

	view         atomic.Pointer[view]
	busy         atomic.Int64  // connections in use
	copies       atomic.Int64  // those in use by copies of requests, which are not in busy
	turn         atomic.Uint64 // of RoundRobin
	pending      pending       // requests that wait for a connection
	shortageSaid atomic.Int64  // when a want of file descriptors was logged, Unix time in ns; 0: never
	failingSaid  atomic.Int64  // the same for an endpoint that fails and is kept

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	// mu guards what changes: the replacement of view, and the fields of
	// Endpoint that say so. Requests take it only when they eject.
	mu      sync.Mutex
	closed  bool
	lookups map[string]*lookup // by endpoint
}

// view is what a request sees, whole and unchanging.
type view struct {
	cfg     Config
	way     *way
	all     []*Endpoint // in the order of the configuration
	usable  []*Endpoint // those neither down nor ejected, of the first tier that has any
	healthy int         // those neither down nor ejected, of all tiers
	uneven  *uneven     // how usable differ; nil: they are alike
	// unsettled is closed when it is known whether there are any endpoints;
	// nil: it is known.
	unsettled chan struct{}
}

// New returns a cluster whose health checks run until Close. The error is
// Validate's.
func New(cfg Config, deps Deps) (*Cluster, error) {
	c := &Cluster{dial: deps.Dial, now: deps.Now, rand: deps.Rand, log: deps.Log, onEvent: deps.OnEvent, lookUp: deps.LookUp, lookups: map[string]*lookup{}}
	if c.dial == nil {
		c.dial = new(net.Dialer).DialContext
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.rand == nil {
		c.rand = rand.Uint64
	}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.view.Store(&view{})
	if err := c.Update(cfg); err != nil {
		c.cancel()
		return nil, err
	}
	c.tasks.Go(c.maintain)
	return c, nil
}

// Update changes the configuration. Endpoints that stay keep their pool, their
// health and their ejection. The idle connections of those that go are closed
// at once, busy ones at Release. On an error nothing changes.
func (c *Cluster) Update(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("service %q, version %q: %w", cfg.Service, cfg.Version, err)
	}
	cfg = cfg.withDefaults()
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return fmt.Errorf("service %q, version %q: its endpoints are closed", cfg.Service, cfg.Version)
	}
	old := c.view.Load()
	w, err := newWay(&cfg, &old.cfg, old.way)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	c.follow(&old.cfg, &cfg)
	end := c.install(cfg, w)
	c.mu.Unlock()
	end()
	return nil
}

// install publishes the view of a configuration and of what was found in the
// DNS. What it returns ends the work, and is to be called without mu, which the
// caller holds.
func (c *Cluster) install(cfg Config, w *way) (end func()) {
	old := c.view.Load()
	next, changed := &view{cfg: cfg, way: w}, w != old.way
	for _, p := range c.places(&cfg) {
		next.all = append(next.all, c.endpoint(old, p))
	}
	if len(next.all) == 0 && c.unsettled() {
		next.unsettled = old.unsettled
		or(&next.unsettled, make(chan struct{}))
	} else if old.unsettled != nil {
		defer close(old.unsettled)
	}
	var gone []*Endpoint
	for _, e := range old.all {
		if !slices.Contains(next.all, e) {
			gone = append(gone, c.remove(e))
		}
	}
	returned := c.returnExcess(next)
	c.publish(next)
	for _, e := range next.all {
		c.startChecks(e, changed || old.cfg.Health != cfg.Health)
	}
	return func() {
		c.pending.mu.Lock()
		c.grant() // more connections may be allowed now
		c.pending.mu.Unlock()
		for _, e := range gone {
			e.dropIdle(true)
		}
		if changed { // what was opened otherwise is not used again
			for _, e := range next.all {
				e.dropIdle(false)
			}
		}
		for _, e := range returned {
			c.emit(Returned, e, time.Time{}, nil)
		}
	}
}

// endpoint returns the endpoint at a place, the old one if there is one. The
// caller holds mu.
func (c *Cluster) endpoint(old *view, p place) *Endpoint {
	i := slices.IndexFunc(old.all, func(e *Endpoint) bool { return e.Address == p.address && e.Authority == p.authority })
	var e *Endpoint
	if i >= 0 {
		e = old.all[i]
	} else {
		e = &Endpoint{Address: p.address, Authority: p.authority, cluster: c, hash: xxhash.Sum64String(p.address)}
		e.network, e.address, _ = parseEndpoint(p.address)
		if len(old.all) > 0 {
			e.warmUp(c.now())
		}
	}
	e.source, e.weight, e.tier = p.source, p.weight, p.tier
	return e
}

// remove marks an endpoint that is no longer configured. The caller holds mu.
func (c *Cluster) remove(e *Endpoint) *Endpoint {
	e.removed = true
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
	return e
}

// publish lets requests see a view, with its usable endpoints worked out anew.
// The caller holds mu.
func (c *Cluster) publish(next *view) {
	next.healthy = next.choose((*Endpoint).usable)
	if next.healthy == 0 {
		// Those that are up are all ejected, since the others went down after
		// that. An endpoint that fails some requests is better than none.
		next.choose(func(e *Endpoint) bool { return !e.health.down })
	}
	next.uneven = newUneven(next.usable, next.cfg.SlowStart, c.now())
	c.view.Store(next)
}

// choose makes the endpoints usable that are fit and in the first tier that has
// any. It returns how many are fit.
func (v *view) choose(fit func(*Endpoint) bool) (count int) {
	v.usable = nil
	for _, e := range v.all {
		if !fit(e) {
			continue
		}
		count++
		switch {
		case len(v.usable) == 0 || e.tier == v.usable[0].tier:
			v.usable = append(v.usable, e)
		case e.tier < v.usable[0].tier:
			v.usable = []*Endpoint{e}
		}
	}
	return count
}

// refresh publishes the same configuration after an endpoint changed. The
// caller holds mu.
func (c *Cluster) refresh() {
	v := c.view.Load()
	c.publish(&view{cfg: v.cfg, way: v.way, all: v.all, unsettled: v.unsettled})
}

// Close ends the health checks and closes the idle connections; busy ones are
// closed at Release. It returns when all goroutines of the cluster have ended.
func (c *Cluster) Close() {
	c.mu.Lock()
	c.closed = true
	v := c.view.Load()
	for _, e := range v.all {
		c.remove(e)
	}
	c.view.Store(&view{cfg: v.cfg, way: v.way})
	clear(c.lookups)
	c.mu.Unlock()

	c.cancel()
	for _, e := range v.all {
		e.dropIdle(true)
	}
	c.tasks.Wait()
}

// Usable reports whether there is an endpoint that is neither down nor ejected.
// Of a version that has just come it says so until the first lookup of its
// names is over.
func (c *Cluster) Usable() bool {
	v := c.view.Load()
	return len(v.usable) > 0 || v.unsettled != nil
}

// HasChoice reports whether there are two endpoints or more that can be asked now.
func (c *Cluster) HasChoice() bool { return len(c.view.Load().usable) > 1 }

// InUse returns how many connections are between Acquire and Release: the
// version's requests in flight.
func (c *Cluster) InUse() int64 { return c.busy.Load() }

// Counts returns how many endpoints are neither down nor ejected, and how many
// there are.
func (c *Cluster) Counts() (healthy, total int) {
	v := c.view.Load()
	return v.healthy, len(v.all)
}

// EndpointStatus is where an endpoint stands.
type EndpointStatus struct {
	Address      string    `json:"address"`
	Source       string    `json:"source,omitempty"`       // the name of the configuration that it was found by; "": it stands there itself
	Healthy      bool      `json:"healthy"`                // by its health checks
	EjectedUntil time.Time `json:"ejected_until,omitzero"` // zero: not ejected
	Active       int       `json:"active"`                 // requests, those that wait for a dial included
	Idle         int       `json:"idle"`                   // connections in the pool
	Connections  int       `json:"connections"`            // connections open, idle ones included
	Failures     uint64    `json:"failures"`               // failed requests and dials since the start
	HealthError  string    `json:"health_error,omitempty"` // of the newest check; "" if it succeeded
}

// Status returns where each endpoint stands, in the order of the
// configuration.
func (c *Cluster) Status() []EndpointStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.view.Load()
	status := make([]EndpointStatus, len(v.all))
	for i, e := range v.all {
		s := &status[i]
		*s = EndpointStatus{
			Address:     e.Address,
			Source:      e.source,
			Healthy:     !e.health.down,
			Active:      int(e.active.Load()),
			Idle:        e.pool.len(),
			Connections: int(e.open.Load()),
			Failures:    e.failures.Load(),
		}
		if e.ejection.on {
			s.EjectedUntil = e.ejection.until
		}
		if e.lastErr != nil {
			s.HealthError = e.lastErr.Error()
		}
	}
	return status
}

// maintain closes connections that were idle for too long and calls ejected
// endpoints back, until Close.
func (c *Cluster) maintain() {
	timer := time.NewTimer(c.view.Load().cfg.pace())
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-timer.C:
		}
		v := c.view.Load()
		c.reap(v)
		c.recall()
		c.endSlowStart(v)
		timer.Reset(v.cfg.pace())
	}
}

// pace is how often maintain looks: often enough to be a quarter late at most,
// and once a second where that is more often still.
func (cfg Config) pace() time.Duration {
	return max(10*time.Millisecond, min(time.Second, cfg.IdleTimeout/4, cfg.Outlier.Base/4))
}

// reap closes the connections that were idle for too long.
func (c *Cluster) reap(v *view) {
	before := sock.Now() - int64(v.cfg.IdleTimeout)
	for _, e := range v.all {
		closeAll(e.pool.popBefore(before))
		closeAll(e.copies.pool.popBefore(before))
	}
}
