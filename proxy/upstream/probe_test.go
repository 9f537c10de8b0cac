package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func probe(t *testing.T, c *Cluster) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Probe(ctx)
}

func TestProbeAsksEveryEndpoint(t *testing.T) {
	a, b, unix := serveTCP(t), serveTCP(t), serve(t, "unix", socketPath(t))
	cfg := quietly(a, b, unix)
	cfg.Health.Host = "shop.example.com"
	c := start(t, cfg, Deps{})
	if n, err := probe(t, c); n != 3 || err != nil {
		t.Errorf("%d asked, error %v", n, err)
	}
	for _, s := range []*server{a, b, unix} {
		if head := strings.Join(s.lines()[:3], ""); head != "GET / HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Sluice-Probe\r\n" {
			t.Errorf("asked %q", head)
		}
	}
	a.status.Store(302)
	if _, err := probe(t, c); err != nil {
		t.Error(err)
	}
	b.status.Store(500)
	if n, err := probe(t, c); n != 3 || err == nil || err.Error() != "endpoint "+b.address+": GET / answered 500 X" {
		t.Errorf("%d asked, error %v", n, err)
	}
	if healthy, _ := c.Counts(); healthy != 3 {
		t.Errorf("%d healthy after probes", healthy)
	}
	cfg.Health.Path = "/ready"
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := probe(t, c); err == nil || !strings.Contains(err.Error(), "GET /ready answered 500") {
		t.Error(err)
	}
}

// TestProbePassesOver endpoints that are down: whether enough are up is not its
// business, but one must be.
func TestProbePassesOverWhatIsDown(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	cfg := quietly(a, b)
	cfg.Health = HealthConfig{Interval: time.Millisecond}
	c := start(t, cfg, Deps{})
	b.stop()
	await(t, "one endpoint down", func() bool { n, _ := c.Counts(); return n == 1 })
	if n, err := probe(t, c); n != 1 || err != nil {
		t.Errorf("%d asked, error %v", n, err)
	}
	a.stop()
	await(t, "both down", func() bool { n, _ := c.Counts(); return n == 0 })
	if n, err := probe(t, c); n != 0 || !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("%d asked, error %v", n, err)
	}
}

func TestProbeOverTLS(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, "tcp", "127.0.0.1:0", a.serverConfig("127.0.0.1"))
	cfg := quietly(s)
	cfg.TLS = &TLSConfig{CA: a.pem}
	c := start(t, cfg, Deps{})
	if n, err := probe(t, c); n != 1 || err != nil {
		t.Errorf("%d asked, error %v", n, err)
	}
	cfg.TLS = &TLSConfig{CA: newAuthority(t).pem}
	c = start(t, cfg, Deps{})
	if _, err := probe(t, c); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an endpoint that nobody vouches for: %v", err)
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	c := start(t, Config{Endpoints: []string{"127.0.0.1:1"}, Health: HealthConfig{Disabled: true}}, Deps{Dial: stuck})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Probe(ctx); err == nil {
		t.Error("passed")
	}
}

func TestProbeOverHTTP2(t *testing.T) {
	s := serve2(t, "tcp", "127.0.0.1:0", nil)
	cfg := speaking2(s)
	cfg.Health.Path = "/healthz"
	c := start(t, cfg, Deps{})
	if n, err := probe(t, c); n != 1 || err != nil || s.checks.Load() != 1 {
		t.Errorf("%d asked, error %v", n, err)
	}
	s.status.Store(503)
	if _, err := probe(t, c); err == nil || !strings.Contains(err.Error(), "answered 503") {
		t.Error(err)
	}
}

// A body can be read to its end, over HTTP/2 and TLS too, and its connection
// ends with it.
func TestAsk(t *testing.T) {
	a := newAuthority(t)
	for _, secure := range []*TLSConfig{nil, {CA: a.pem}} {
		var server *tls.Config
		if secure != nil {
			server = a.serverConfig("127.0.0.1")
		}
		s := serve2(t, "tcp", "127.0.0.1:0", server)
		cfg := speaking2(s)
		cfg.TLS, cfg.Health.Host = secure, "shop.test"
		c := start(t, cfg, Deps{})
		n, err := c.Ask(t.Context(), func(ctx context.Context, e Asked) error {
			req, err := http.NewRequestWithContext(ctx, "GET", "http://"+e.Host+"/cart", nil)
			if err != nil {
				return err
			}
			resp, err := e.Send(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if want := fmt.Sprintf("HTTP/2.0 GET shop.test /cart, TLS %v", secure != nil); string(body) != want || e.Address != s.address {
				t.Errorf("%s answers %q, want %q", e.Address, body, want)
			}
			return err
		})
		if n != 1 || err != nil {
			t.Errorf("%d asked, error %v", n, err)
		}
	}
}
