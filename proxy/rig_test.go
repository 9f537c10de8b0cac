package proxy

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/stats"
	"sluice/stats/trial"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" && !slices.ContainsFunc(os.Args, func(arg string) bool { return strings.Contains(arg, "test.parallel") }) {
		flag.Set("test.parallel", "16") // what runs side by side here waits more than it works
	}
	goleak.VerifyTestMain(m)
}

// rig is a proxy over real sockets: one service "web" whose versions lead to
// the given addresses, separated by commas where a version has several.
type rig struct {
	t        testing.TB
	srv      *Server
	stats    *stats.Registry
	addr     string
	clusters map[string]*upstream.Cluster
	listener ListenerConfig
	settings Settings
	tags     func(version string) map[string]string
	arms     map[string]*trial.Arm // by version
	shadows  map[string]*Shadow    // by version
	service  routing.ServiceConfig
	upstream upstream.Config // but the names and the endpoints
	deps     upstream.Deps
	keys     []routing.Key
	options  Options
}

// option changes a rig before it starts.
type option func(*rig)

// newRig starts a proxy in front of the versions, each with equal weight unless
// an option says otherwise.
func newRig(t testing.TB, versions map[string]string, options ...option) *rig {
	t.Helper()
	r := &rig{t: t, clusters: map[string]*upstream.Cluster{}}
	r.stats = stats.New(stats.Options{Reasons: routing.ReasonNames()})
	r.listener = ListenerConfig{Name: "test", Address: "127.0.0.1:0"}
	r.service = routing.ServiceConfig{Name: "web", Epoch: 1}
	r.upstream.Health.Disabled = true
	r.upstream.ConnectTimeout = 10 * time.Second                                                // for loaded machines
	r.options = Options{Stats: r.stats, Access: AccessLog{Mode: AccessOff}, OverloadTarget: -1} // loaded machines are no reason to refuse
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		r.service.Versions = append(r.service.Versions, routing.VersionConfig{Name: name, Weight: 1})
	}
	for _, o := range options {
		o(r)
	}
	for name, addresses := range versions {
		cfg := r.upstream
		cfg.Service, cfg.Version = "web", name
		if addresses != "" {
			cfg.Endpoints = strings.Split(addresses, ",")
		}
		cluster, err := upstream.New(cfg, r.deps)
		if err != nil {
			t.Fatal(err)
		}
		r.clusters[name] = cluster
	}
	r.srv = New(r.options)
	r.srv.Swap(r.table())
	if err := r.srv.Listen([]ListenerConfig{r.listener}); err != nil {
		t.Fatal(err)
	}
	r.addr = r.srv.Addrs()["test"].String()
	t.Cleanup(r.stop)
	return r
}

// table builds the routing table from the rig as it is now.
func (r *rig) table() *Table {
	r.t.Helper()
	var targets []Target
	for i := range r.service.Versions {
		v := &r.service.Versions[i]
		v.Slot = i
		target := Target{Cluster: r.clusters[v.Name], Stats: r.stats.Version("web", v.Name), Settings: r.settings, Shape: v.Writes, Arm: r.arms[v.Name], Shadow: r.shadows[v.Name]}
		if r.tags != nil {
			target.Tags = r.tags(v.Name)
		}
		targets = append(targets, target)
	}
	snapshot, err := routing.Build(routing.Config{
		Routes:   []routing.Route{{Service: "web"}},
		Services: []routing.ServiceConfig{r.service},
		Keys:     r.keys,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return NewTable(snapshot, targets)
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		r.t.Errorf("shutdown: %v", err)
	}
	for _, c := range r.clusters {
		c.Close()
	}
}

// backend starts an HTTP server for a test and returns its address.
func backend(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// client returns an HTTP client without cookies whose connections end with the
// test.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

// get asks for a path and returns the response and its body.
func (r *rig) get(c *http.Client, path string, fields ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest("GET", "http://"+r.addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	return r.do(c, req)
}

// do sends a request and returns the response and its body.
func (r *rig) do(c *http.Client, req *http.Request) (*http.Response, string) {
	r.t.Helper()
	res, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(body)
}

// dial opens a raw connection to the proxy.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(time.Minute))
	r.t.Cleanup(func() { nc.Close() })
	return nc
}

// dialTLS opens a raw connection over TLS to the proxy.
func (r *rig) dialTLS(config *tls.Config) *tls.Conn {
	r.t.Helper()
	c := tls.Client(r.dial(), config)
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}
