package tracing

import (
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector keeps what exporters send, by HTTP or by gRPC.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
	mu      sync.Mutex
	spans   []*tracepb.Span
	service string
	keys    []string // that came along
	refuse  atomic.Int64
	held    chan struct{} // answers wait for it, if set
}

func (c *collector) keep(req *collectorpb.ExportTraceServiceRequest, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, key)
	for _, r := range req.ResourceSpans {
		for _, a := range r.Resource.Attributes {
			if a.Key == "service.name" {
				c.service = a.Value.GetStringValue()
			}
		}
		for _, s := range r.ScopeSpans {
			c.spans = append(c.spans, s.Spans...)
		}
	}
}

func (c *collector) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans)
}

// Export implements OTLP/gRPC.
func (c *collector) Export(ctx context.Context, req *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	m, _ := metadata.FromIncomingContext(ctx)
	c.keep(req, strings.Join(m.Get("x-key"), ","))
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// ServeHTTP implements OTLP/HTTP.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.held != nil {
		select {
		case <-c.held:
		case <-r.Context().Done():
			return
		}
	}
	if status := c.refuse.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	unzipped, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(unzipped)
	var req collectorpb.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil || r.URL.Path != "/base/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, fmt.Sprint(err, r.URL.Path), http.StatusBadRequest)
		return
	}
	c.keep(&req, r.Header.Get("X-Key"))
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// rig is an exporter whose losses and log are kept.
type rig struct {
	*Exporter
	exported, dropped atomic.Int64
	logs              *observer.ObservedLogs
	once              sync.Once
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	r := &rig{}
	core, logs := observer.New(zap.InfoLevel)
	r.logs, c.Log = logs, zap.New(core)
	c.Exported = func(n int) { r.exported.Add(int64(n)) }
	c.Dropped = func(n int) { r.dropped.Add(int64(n)) }
	c.Service, c.Headers = "edge", map[string]string{"X-Key": "secret"}
	var err error
	if r.Exporter, err = New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.end)
	return r
}

func (r *rig) end() { r.once.Do(r.Close) }

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("still not so: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// request is a span of which there is something to say.
func request() *Span {
	return &Span{
		Trace: [16]byte{1, 15: 2}, ID: [8]byte{3}, Parent: [8]byte{4}, TraceState: "a=b", Start: time.Unix(1_800_000_000, 5), Total: time.Second,
		Connect: time.Millisecond, Wait: time.Millisecond / 2, Listener: "public", Client: netip.MustParseAddr("192.0.2.1"),
		Scheme: "https", Method: "GET", Host: "shop.example.com:8443", Path: "/a", Proto: "2", UserAgent: "curl", Status: 502,
		BytesIn: 1, BytesOut: 2, Route: "/a", Service: "web", Version: "v2", Tags: map[string]string{"team": "shop", "commit": "3f2a9c1"}, RequestID: "r-1", Reason: "split", Endpoint: "127.0.0.1:9001", Retries: 1, Failure: errors.New("reset"),
	}
}

// overHTTP starts a collector for OTLP/HTTP and returns its URL.
func overHTTP(t *testing.T, c *collector) string {
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return s.URL + "/base/"
}

func TestSpansReachACollector(t *testing.T) {
	grpcCollector := func(t *testing.T, c *collector) Config {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := grpc.NewServer()
		collectorpb.RegisterTraceServiceServer(s, c)
		ended := make(chan struct{})
		go func() { s.Serve(ln); close(ended) }()
		t.Cleanup(func() { s.Stop(); <-ended })
		return Config{Endpoint: "grpc://" + ln.Addr().String()}
	}
	tlsCollector := func(t *testing.T, c *collector) Config {
		s := httptest.NewTLSServer(c)
		t.Cleanup(s.Close)
		roots := x509.NewCertPool()
		roots.AddCert(s.Certificate())
		return Config{Endpoint: s.URL + "/base", Roots: roots}
	}
	for name, start := range map[string]func(*testing.T, *collector) Config{
		"http":  func(t *testing.T, c *collector) Config { return Config{Endpoint: overHTTP(t, c)} },
		"https": tlsCollector, "grpc": grpcCollector,
	} {
		t.Run(name, func(t *testing.T) {
			var c collector
			r := newRig(t, start(t, &c))
			r.Record(request())
			eventually(t, "the span arrives", func() bool { return c.count() == 1 && r.exported.Load() == 1 })
			r.Record(&Span{})
			r.end()
			if c.count() != 2 || r.dropped.Load() != 0 || c.service != "edge" || c.keys[0] != "secret" {
				t.Errorf("%d spans of %q with %q, %d lost", c.count(), c.service, c.keys, r.dropped.Load())
			}
			if want := request().encode(); !proto.Equal(c.spans[0], want) {
				t.Errorf("got %v, want %v", c.spans[0], want)
			}
		})
	}
}

// TestACollectorThatFails: spans are lost and counted; the log tells of the
// first, and when the next comes through.
func TestACollectorThatFails(t *testing.T) {
	var c collector
	c.refuse.Store(http.StatusBadRequest) // which is not tried again
	r := newRig(t, Config{Endpoint: overHTTP(t, &c)})
	for i := range int64(2) {
		r.Record(request())
		eventually(t, "it is lost", func() bool { return r.dropped.Load() == i+1 })
	}
	c.refuse.Store(0)
	r.Record(request())
	eventually(t, "one comes through", func() bool { return r.exported.Load() == 1 })
	r.end()
	if all := r.logs.All(); len(all) != 2 || all[0].Level != zap.WarnLevel || all[1].Level != zap.InfoLevel || strings.Contains(fmt.Sprint(all), "secret") {
		t.Errorf("logged %v", all)
	}
}

// TestACollectorThatStandsStill: nobody waits for it, what waits is bounded, and
// the stop is not held up for long.
func TestACollectorThatStandsStill(t *testing.T) {
	c := collector{held: make(chan struct{})}
	r := newRig(t, Config{Endpoint: overHTTP(t, &c)})
	const sent = maxQueue + 4*maxBatch
	start := time.Now()
	for range sent {
		r.Record(request())
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("recording took %v", took)
	}
	if r.dropped.Load() == 0 || len(r.queue) > maxQueue {
		t.Errorf("%d lost, %d wait", r.dropped.Load(), len(r.queue))
	}
	start = time.Now()
	r.end()
	if took := time.Since(start); took > 2*closeTime {
		t.Errorf("the stop took %v", took)
	}
	if got := r.dropped.Load(); got != sent {
		t.Errorf("%d of %d lost", got, sent)
	}
	close(c.held)
}

func TestACollectorThatIsNotThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	for _, scheme := range []string{"http://", "grpc://"} {
		r := newRig(t, Config{Endpoint: scheme + ln.Addr().String()})
		r.Record(request())
		r.end()
		if r.dropped.Load() != 1 {
			t.Errorf("%s: %d lost", scheme, r.dropped.Load())
		}
	}
}

func TestEndpointsThatAreNone(t *testing.T) {
	for endpoint, want := range map[string]string{
		"": "no URL", "127.0.0.1:4318": "no URL", "http://": "no URL", "udp://a:1": `unknown scheme "udp"`, "http://a:b": "no URL",
	} {
		if e, err := New(Config{Endpoint: endpoint}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", endpoint, e, err)
		}
	}
}
