package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// startChecks begins an endpoint's health checks unless they run; anew ends
// those that run first. Without checks every endpoint is up. The caller holds
// mu.
func (c *Cluster) startChecks(e *Endpoint, anew bool) {
	if e.stop != nil && !anew {
		return
	}
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
	cfg := c.view.Load().cfg.Health
	if cfg.Disabled {
		if e.health.down {
			defer c.refresh()
		}
		e.health, e.lastErr = health{}, nil
		return
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(c.ctx)
	check := e.connects
	if cfg.Path != "" {
		check = e.answers(cfg)
	}
	c.tasks.Go(func() { c.checks(ctx, e, cfg, check) })
}

// checks asks after an endpoint's health at once and then at each interval.
func (c *Cluster) checks(ctx context.Context, e *Endpoint, cfg HealthConfig, check func(context.Context) error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		limited, cancel := context.WithTimeout(ctx, cfg.Timeout)
		err := check(limited)
		cancel()
		c.checked(ctx, e, err)
		timer.Reset(jitter(cfg.Interval, c.rand()))
	}
}

// jitter returns d give or take a tenth, so that checks begun together don't
// stay together.
func jitter(d time.Duration, r uint64) time.Duration {
	tenth := uint64(d / 10)
	return d - time.Duration(tenth) + time.Duration(r%(2*tenth+1))
}

// checked takes in the result of a check, unless the checks were ended.
func (c *Cluster) checked(ctx context.Context, e *Endpoint, err error) {
	c.mu.Lock()
	if ctx.Err() != nil {
		c.mu.Unlock()
		return
	}
	e.lastErr = err
	changed := false
	if err == nil || !isLocal(err) {
		cfg := &c.view.Load().cfg.Health
		changed = e.health.observe(err == nil, cfg.Fall, cfg.Rise)
	}
	if changed {
		if err == nil {
			e.warmUp(c.now())
		}
		c.refresh()
	}
	c.mu.Unlock()

	switch {
	case changed && err == nil:
		c.emit(Up, e, time.Time{}, nil)
	case changed:
		closeAll(e.pool.popAll(false))
		c.emit(Down, e, time.Time{}, err)
	}
}

// connects is the check by a connection alone.
func (e *Endpoint) connects(ctx context.Context) error {
	nc, err := e.connectPlainly(ctx, e.cluster.view.Load())
	if err != nil {
		return err
	}
	return nc.Close()
}

// answers returns the check by a GET.
func (e *Endpoint) answers(cfg HealthConfig) func(context.Context) error {
	host := cfg.Host
	switch {
	case host != "":
	case e.network == "unix":
		host = "localhost"
	default:
		host = e.Authority
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.connectPlainly(ctx, e.cluster.view.Load()) // over TLS too: the URL's scheme is not asked
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://endpoint"+cfg.Path, nil)
		if err != nil {
			return err
		}
		req.Host = host
		req.Header.Set("User-Agent", "Sluice-Health")
		// RoundTrip follows no redirect: a 3xx is the endpoint's own answer.
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode < 200 || resp.StatusCode > 399 {
			return fmt.Errorf("GET %s answered %s", cfg.Path, resp.Status)
		}
		return nil
	}
}
