package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"sluice/admin/api"
)

// servicePath returns the path of a service and of what is below it.
func servicePath(service string, below ...string) string {
	path := "/v1/services/" + url.PathEscape(service)
	for _, part := range below {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// get reads what a path holds.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, error) {
	out := new(T)
	if _, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// post sends a body; nil: none.
func post[T any](ctx context.Context, c *Client, path string, body any) (*T, error) {
	return send[T](ctx, c, http.MethodPost, path, body)
}

func send[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	out := new(T)
	if _, err := c.do(ctx, call{method: method, path: path, body: body}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Services returns every service.
func (c *Client) Services(ctx context.Context) (*api.Services, error) {
	return get[api.Services](ctx, c, "/v1/services", nil)
}

// Service returns one service. Its Revision is what SetWeights can be bound to.
func (c *Client) Service(ctx context.Context, service string) (*api.Service, error) {
	return get[api.Service](ctx, c, servicePath(service), nil)
}

// Stats returns every counter.
func (c *Client) Stats(ctx context.Context) (*api.Stats, error) {
	return get[api.Stats](ctx, c, "/v1/stats", nil)
}

// SetWeights replaces the weights of a service. match, if not 0, is the
// service's revision that the caller has seen; the call fails with status 412
// if it has moved on.
func (c *Client) SetWeights(ctx context.Context, service string, body api.Weights, match uint64) (*api.Change, error) {
	k := call{method: http.MethodPut, path: servicePath(service, "weights"), body: body, header: http.Header{}}
	if match != 0 {
		k.header.Set("If-Match", strconv.Quote(strconv.FormatUint(match, 10)))
	}
	out := new(api.Change)
	if _, err := c.do(ctx, k, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Rollback gives new sessions back. The answer warns if that is not durable yet.
func (c *Client) Rollback(ctx context.Context, service string, body api.Rollback) (*api.Change, error) {
	return post[api.Change](ctx, c, servicePath(service, "rollback"), body)
}

// CanRollback tells where a rollback could go now, and why not elsewhere.
func (c *Client) CanRollback(ctx context.Context, service string) (*api.CanRollback, error) {
	return get[api.CanRollback](ctx, c, servicePath(service, "rollback"), nil)
}

// SetLevel says which shape is in a service's database now.
func (c *Client) SetLevel(ctx context.Context, service string, body api.Level) (*api.Change, error) {
	return send[api.Change](ctx, c, http.MethodPut, servicePath(service, "level"), body)
}

// SetBarrier keeps traffic from versions that can't read the level, or no longer.
func (c *Client) SetBarrier(ctx context.Context, service string, body api.Barrier) (*api.Change, error) {
	return send[api.Change](ctx, c, http.MethodPut, servicePath(service, "barrier"), body)
}

// PutVersion registers a version, dark, or replaces its spec.
func (c *Client) PutVersion(ctx context.Context, service, version string, body api.VersionSpec) (*api.Change, error) {
	return send[api.Change](ctx, c, http.MethodPut, servicePath(service, "versions", version), body)
}

// RemoveVersion removes a dark version that the API registered.
func (c *Client) RemoveVersion(ctx context.Context, service, version, reason string) (*api.Change, error) {
	k := call{method: http.MethodDelete, path: servicePath(service, "versions", version), header: http.Header{}}
	if reason != "" {
		k.header.Set(api.ReasonHeader, reason)
	}
	out := new(api.Change)
	if _, err := c.do(ctx, k, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Drain starts, prolongs or ends the draining of a version of weight 0.
func (c *Client) Drain(ctx context.Context, service, version string, body api.Drain) (*api.Change, error) {
	return send[api.Change](ctx, c, http.MethodPut, servicePath(service, "versions", version, "drain"), body)
}

// VoidPins makes the pins to a version so far void.
func (c *Client) VoidPins(ctx context.Context, service string, body api.VoidPins) (*api.Change, error) {
	return post[api.Change](ctx, c, servicePath(service, "pins", "void"), body)
}

// History returns the flips of a service, newest first.
func (c *Client) History(ctx context.Context, service string) (*api.History, error) {
	return get[api.History](ctx, c, servicePath(service, "history"), nil)
}

// Audit returns a page of changes, newest first: of one service or, if it is "",
// of all; older than revision before (0: from the newest); about limit of them
// (0: the server's default).
func (c *Client) Audit(ctx context.Context, service string, before uint64, limit int) (*api.Audit, error) {
	query := url.Values{}
	if service != "" {
		query.Set("service", service)
	}
	if before != 0 {
		query.Set("before", strconv.FormatUint(before, 10))
	}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return get[api.Audit](ctx, c, "/v1/audit", query)
}

// Explain tells how a request would be routed.
func (c *Client) Explain(ctx context.Context, body api.ExplainRequest) (*api.Explanation, error) {
	return post[api.Explanation](ctx, c, "/v1/explain", body)
}

// Probe runs journeys against a version: those of the service where none is named.
// A run that failed is no error.
func (c *Client) Probe(ctx context.Context, service, version string, journeys []string) (*api.Probe, error) {
	return post[api.Probe](ctx, c, servicePath(service, "versions", version, "probe"), api.ProbeRequest{Journeys: journeys})
}

// Matrix tells how journeys do against versions: of one service and version, or of
// all where they are "".
func (c *Client) Matrix(ctx context.Context, service, version string) (*api.Matrix, error) {
	query := url.Values{}
	for key, value := range map[string]string{"service": service, "version": version} {
		if value != "" {
			query.Set(key, value)
		}
	}
	return get[api.Matrix](ctx, c, "/v1/matrix", query)
}

// Cell returns the runs of a journey against a version.
func (c *Client) Cell(ctx context.Context, service, version, journey string) (*api.CellHistory, error) {
	path := "/v1/matrix"
	for _, part := range []string{service, version, journey} {
		path += "/" + url.PathEscape(part)
	}
	return get[api.CellHistory](ctx, c, path, nil)
}

// Shadows tells how versions of a service answer copies of requests, beside what
// the clients got; "": all versions that get or got some.
func (c *Client) Shadows(ctx context.Context, service, version string) (*api.Shadows, error) {
	query := url.Values{}
	if version != "" {
		query.Set("version", version)
	}
	return get[api.Shadows](ctx, c, servicePath(service, "shadow"), query)
}

// SignToken signs an override token.
func (c *Client) SignToken(ctx context.Context, body api.TokenRequest) (*api.SignedToken, error) {
	return post[api.SignedToken](ctx, c, "/v1/tokens", body)
}

// Diff tells where the file and the state part.
func (c *Client) Diff(ctx context.Context) (*api.Diff, error) {
	return get[api.Diff](ctx, c, "/v1/diff", nil)
}

// Reload reads the file anew.
func (c *Client) Reload(ctx context.Context) (*api.Reloaded, error) {
	return post[api.Reloaded](ctx, c, "/v1/reload", nil)
}

// Ready tells whether the instance can serve. An instance that can't is no error.
func (c *Client) Ready(ctx context.Context) (*api.Readiness, error) {
	out := new(api.Readiness)
	k := call{method: http.MethodGet, path: "/readyz", accept: http.StatusServiceUnavailable}
	if _, err := c.do(ctx, k, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Health returns nil if the process runs.
func (c *Client) Health(ctx context.Context) error {
	_, err := c.text(ctx, "/healthz")
	return err
}

// Metrics returns the Prometheus exposition.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) { return c.text(ctx, "/metrics") }

// OpenAPI returns the API's OpenAPI document.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) { return c.text(ctx, "/openapi.json") }

func (c *Client) text(ctx context.Context, path string) ([]byte, error) {
	var out []byte
	_, err := c.do(ctx, call{method: http.MethodGet, path: path}, &out)
	return out, err
}
