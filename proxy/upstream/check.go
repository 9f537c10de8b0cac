package upstream

import (
	"context"
	"fmt"
	"io"
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
		e.dropIdle(false)
		c.emit(Down, e, time.Time{}, err)
	}
}

// connects is the check by a connection alone, with all that comes before a
// request.
func (e *Endpoint) connects(ctx context.Context) error {
	w := e.cluster.view.Load().way
	if w.http2 != nil {
		l, err := e.connectLink(ctx, w)
		if err != nil {
			return err
		}
		return l.Close()
	}
	nc, err := e.connectPlainly(ctx, w)
	if err != nil {
		return err
	}
	return nc.Close()
}

// answers returns the check by a GET.
func (e *Endpoint) answers(cfg HealthConfig) func(context.Context) error {
	return e.get(cfg.Path, cfg.Host, "Sluice-Health")
}

// get returns what asks the endpoint for a path in the name of agent; a 2xx or
// 3xx is good. Host is that of HealthConfig.
func (e *Endpoint) get(path, host, agent string) func(context.Context) error {
	host = e.host(host)
	ask := e.asker()
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://endpoint"+path, nil)
		if err != nil {
			return err
		}
		req.Host = host
		req.Header.Set("User-Agent", agent)
		// RoundTrip follows no redirect: a 3xx is the endpoint's own answer.
		resp, err := ask(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode < 200 || resp.StatusCode > 399 {
			return fmt.Errorf("GET %s answered %s", path, resp.Status)
		}
		return nil
	}
}

// host is the Host that the endpoint is asked with, unless given is one.
func (e *Endpoint) host(given string) string {
	switch {
	case given != "":
		return given
	case e.network == "unix":
		return "localhost"
	}
	return e.Authority
}

// asker returns what sends a check, each on a connection of its own that ends
// with the response's body.
func (e *Endpoint) asker() func(*http.Request) (*http.Response, error) {
	plain := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.connectPlainly(ctx, e.cluster.view.Load().way) // over TLS too: the URL's scheme is not asked
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxFields,
	}
	return func(req *http.Request) (*http.Response, error) {
		w := e.cluster.view.Load().way
		if w.http2 == nil {
			return plain.RoundTrip(req)
		}
		l, err := e.connectLink(req.Context(), w)
		if err != nil {
			return nil, err
		}
		if w.tls != nil {
			req.URL.Scheme = "https"
		}
		resp, err := l.RoundTrip(req)
		if err != nil {
			l.Close()
			return nil, err
		}
		resp.Body = &lastBody{resp.Body, l}
		return resp, nil
	}
}

// lastBody is the body after which a link ends.
type lastBody struct {
	io.ReadCloser
	link *link
}

// Close implements io.Closer.
func (b *lastBody) Close() error {
	err := b.ReadCloser.Close()
	b.link.Close()
	return err
}
