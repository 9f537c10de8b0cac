package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// maxProbes is how many endpoints are probed at a time.
const maxProbes = 16

// Probe asks each endpoint that is neither down nor ejected for the path of the
// health checks, "/" where they have none, and returns how many there are. A 2xx
// or 3xx passes. The rest is as with Ask.
func (c *Cluster) Probe(ctx context.Context) (asked int, err error) {
	return c.each(ctx, func(ctx context.Context, e *Endpoint, cfg HealthConfig) error {
		return e.get(cmp.Or(cfg.Path, "/"), cfg.Host, "Sluice-Probe")(ctx)
	})
}

// Asked is an endpoint that can be asked.
type Asked struct {
	Address string // as the configuration names it
	Host    string // the Host of its health checks
	Send    func(*http.Request) (*http.Response, error)
	// Secure opens a connection that a TLS handshake comes next on, and says how
	// the endpoint is asked and verified; ErrPlain where it speaks no TLS.
	Secure func(context.Context) (net.Conn, *tls.Config, error)
}

// ErrPlain is returned by Asked.Secure for endpoints that speak no TLS.
var ErrPlain = errors.New("the endpoint speaks no TLS")

// secure is Asked.Secure.
func (e *Endpoint) secure(ctx context.Context) (net.Conn, *tls.Config, error) {
	w := e.cluster.view.Load().way
	if w.tls == nil {
		return nil, nil, ErrPlain
	}
	nc, err := e.reach(ctx, w, Origin{})
	return nc, e.named(w.tls), err
}

// Ask calls f for each endpoint that is neither down nor ejected, some at the same
// time, and returns how many there are. Requests go the way of all others (TLS, HTTP/2, the PROXY protocol's header), on connections of
// their own; no redirect is followed, and nothing that is found counts for
// health. The error names the first endpoint, in the order of the configuration,
// for which f fails; it is ErrNoEndpoint where there is none to ask.
func (c *Cluster) Ask(ctx context.Context, f func(context.Context, Asked) error) (asked int, err error) {
	return c.each(ctx, func(ctx context.Context, e *Endpoint, cfg HealthConfig) error {
		return f(ctx, Asked{Address: e.Address, Host: e.host(cfg.Host), Send: e.asker(), Secure: e.secure})
	})
}

// each calls f for each healthy endpoint, maxProbes at a time.
func (c *Cluster) each(ctx context.Context, f func(context.Context, *Endpoint, HealthConfig) error) (asked int, err error) {
	healthy, cfg := c.healthy()
	if len(healthy) == 0 {
		return 0, ErrNoEndpoint
	}
	errs := make([]error, len(healthy))
	room := make(chan struct{}, maxProbes)
	var tasks sync.WaitGroup
	for i, e := range healthy {
		room <- struct{}{}
		tasks.Go(func() {
			defer func() { <-room }()
			if err := f(ctx, e, cfg); err != nil {
				errs[i] = fmt.Errorf("endpoint %s: %w", e.Address, err)
			}
		})
	}
	tasks.Wait()
	return len(healthy), cmp.Or(errs...)
}

// healthy returns the endpoints that are neither down nor ejected.
func (c *Cluster) healthy() ([]*Endpoint, HealthConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.view.Load()
	var healthy []*Endpoint
	for _, e := range v.all {
		if e.usable() {
			healthy = append(healthy, e)
		}
	}
	return healthy, v.cfg.Health
}
