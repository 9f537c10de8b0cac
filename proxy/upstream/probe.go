package upstream

import (
	"cmp"
	"context"
	"fmt"
	"sync"
)

// maxProbes is how many endpoints are probed at a time.
const maxProbes = 16

// Probe asks each endpoint that is neither down nor ejected for the path of the
// health checks, "/" where they have none, and returns how many there are. A 2xx
// or 3xx passes. It goes the way of requests (TLS, HTTP/2, the PROXY protocol's
// header), on connections of its own. The error names the first endpoint, in the
// order of the configuration, that fails; it is ErrNoEndpoint where there is
// none to ask. Nothing that it finds counts for health.
func (c *Cluster) Probe(ctx context.Context) (asked int, err error) {
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
			if err := e.get(cmp.Or(cfg.Path, "/"), cfg.Host, "Sluice-Probe")(ctx); err != nil {
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
