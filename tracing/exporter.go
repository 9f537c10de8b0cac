package tracing

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
)

// Config is where spans go.
type Config struct {
	// Endpoint is the collector: http(s)://host:port[/base] for OTLP over HTTP,
	// grpc(s)://host[:4317] for gRPC. With an s: over TLS.
	Endpoint string
	Headers  map[string]string // sent along, such as a key for the collector
	Roots    *x509.CertPool    // that its certificate is verified by; nil: the system's
	Service  string            // service.name of all spans
	Version  string            // service.version; "": not told

	Log      *zap.Logger // nil: none
	Exported func(n int) // told of spans that the collector took; nil: nobody
	Dropped  func(n int) // told of spans that were lost; nil: nobody
}

// The bounds of an exporter.
const (
	maxQueue   = 4096 // spans that wait; about 4 MiB
	maxBatch   = 512  // spans in one request
	batchTime  = time.Second
	exportTime = 10 * time.Second // for one request, with its retries
	firstRetry = 500 * time.Millisecond
	lastRetry  = 4 * time.Second
	closeTime  = 3 * time.Second // for what is left at the stop
)

// Exporter sends spans to the collector.
type Exporter struct {
	config   Config
	client   otlptrace.Client
	resource *resourcepb.Resource
	queue    chan *tracepb.Span
	closing  chan struct{}
	done     chan struct{}
	ctx      context.Context // of what is under way
	cancel   context.CancelFunc
	failing  bool // the log was told that spans are lost; run's own
}

// New starts an exporter, which Close ends. The collector need not be there.
func New(c Config) (*Exporter, error) {
	client, err := newClient(&c)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	e := &Exporter{
		config: c, client: client, resource: resource(&c),
		queue: make(chan *tracepb.Span, maxQueue), closing: make(chan struct{}), done: make(chan struct{}),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := client.Start(e.ctx); err != nil {
		e.cancel()
		return nil, err
	}
	go e.run()
	return e, nil
}

// resource says who sends the spans.
func resource(c *Config) *resourcepb.Resource {
	var a attributes
	a.text("service.name", c.Service)
	a.text("service.version", c.Version)
	a.text("telemetry.sdk.language", "go")
	return &resourcepb.Resource{Attributes: a}
}

// Record takes a span, of which it keeps nothing, and returns at once. One that
// finds the queue full is lost.
func (e *Exporter) Record(s *Span) {
	select {
	case e.queue <- s.encode():
	default:
		e.drop(1)
	}
}

func (e *Exporter) drop(n int) {
	if e.config.Dropped != nil && n > 0 {
		e.config.Dropped(n)
	}
}

// Close sends what waits, for a bounded time, and ends the exporter. Spans that
// come later are lost.
func (e *Exporter) Close() {
	close(e.closing)
	last := time.AfterFunc(closeTime, e.cancel)
	<-e.done
	last.Stop()
	e.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := e.client.Stop(ctx); err != nil {
		e.config.Log.Debug("ending the trace client", zap.Error(err))
	}
}

// run sends batches until Close.
func (e *Exporter) run() {
	defer close(e.done)
	for {
		select {
		case first := <-e.queue:
			e.export(e.gather(first))
		case <-e.closing:
			e.finish()
			return
		}
	}
}

// gather waits for spans that can share a request with the first.
func (e *Exporter) gather(first *tracepb.Span) []*tracepb.Span {
	batch := append(make([]*tracepb.Span, 0, maxBatch), first)
	timer := time.NewTimer(batchTime)
	defer timer.Stop()
	for len(batch) < maxBatch {
		select {
		case s := <-e.queue:
			batch = append(batch, s)
		case <-timer.C:
			return batch
		case <-e.closing:
			return batch
		}
	}
	return batch
}

// finish sends what waits at the stop.
func (e *Exporter) finish() {
	for len(e.queue) > 0 {
		batch := make([]*tracepb.Span, 0, maxBatch)
		for len(e.queue) > 0 && len(batch) < maxBatch {
			batch = append(batch, <-e.queue)
		}
		e.export(batch)
	}
}

// export sends a batch. The log tells of the first that is lost, and of the
// first that comes through again.
func (e *Exporter) export(batch []*tracepb.Span) {
	if e.ctx.Err() != nil { // the time to stop is over: not even packing is worth while
		e.drop(len(batch))
		return
	}
	ctx, cancel := context.WithTimeout(e.ctx, exportTime)
	defer cancel()
	err := e.client.UploadTraces(ctx, []*tracepb.ResourceSpans{{
		Resource:   e.resource,
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "sluice", Version: e.config.Version}, Spans: batch}},
	}})
	if err == nil {
		if e.config.Exported != nil {
			e.config.Exported(len(batch))
		}
		if e.failing {
			e.failing = false
			e.config.Log.Info("the trace collector takes spans again", zap.String("endpoint", e.config.Endpoint))
		}
		return
	}
	e.drop(len(batch))
	if !e.failing && !errors.Is(e.ctx.Err(), context.Canceled) {
		e.failing = true
		e.config.Log.Warn("spans are lost: the trace collector doesn't take them", zap.String("endpoint", e.config.Endpoint), zap.Error(err))
	}
}
