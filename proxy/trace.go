package proxy

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"sluice/proxy/accesslog"
	"sluice/proxy/head"
)

// Tracing is which requests are traced, and who is told. The zero value traces
// none: then the fields of a client's trace pass through as they are.
type Tracing struct {
	Sample float64 // share of the requests that are recorded, from 0 to 1
	// Record is told of each such request when it has ended. It must not wait,
	// and what the span points to is gone when it returns. Nil: no tracing.
	Record func(*Span)
}

// Span is a traced request. Strings are as the client and the endpoint sent
// them; what is empty or zero is not known, or didn't happen.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte // Parent is all 0 where the trace begins here
	TraceState string  // of the client
	Start      time.Time
	Total      time.Duration
	Connect    time.Duration // to get a connection to the endpoint; 0: one was open
	Wait       time.Duration // then, to the head of the response

	Listener           string
	Client             netip.Addr // masked where the access log masks it
	Scheme             string     // "http" or "https"
	Method, Host, Path string
	Proto, UserAgent   string
	Status             int
	BytesIn, BytesOut  int64
	CutOff             bool

	Route                              string // the path of the route that it matched
	Service, Version, Reason, Endpoint string
	Tags                               map[string]string // of the version; not to be changed
	Retries                            int
	Failure                            error
	RequestID                          string // of X-Request-Id
	Synthetic                          string // the journey that the request is of
}

// tracing decides which requests are recorded.
type tracing struct {
	threshold uint64 // a draw below it is recorded
	record    func(*Span)
}

func newTracing(c Tracing) tracing {
	return tracing{threshold: uint64(min(max(c.Sample, 0), 1) * (1 << 53)), record: c.Record}
}

// trace is the trace of one exchange.
type trace struct {
	on      bool
	joined  bool // the trace is the client's
	sampled bool
	context traceContext // what the client said, or a trace of our own
	span    [8]byte      // ours
}

// beginTrace joins the client's trace, or begins one. A trusted peer decides
// whether its trace is recorded; others must not make us work by a flag, so for
// them it is our own draw, whatever they say.
func (x *exchange) beginTrace() {
	t := &x.trace
	t.on = true
	t.context, t.joined = x.clientTrace()
	if t.joined && x.peer.trusted {
		t.sampled = t.context.sampled
	} else {
		t.sampled = rand.Uint64()>>11 < x.srv.tracing.threshold
	}
	if !t.joined {
		binary.LittleEndian.PutUint64(t.context.trace[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(t.context.trace[8:], rand.Uint64()|1) // all 0 is no trace
	}
	binary.LittleEndian.PutUint64(t.span[:], rand.Uint64()|1)
}

// traceID returns the trace that the request belongs to, or zeros.
func (x *exchange) traceID() [16]byte {
	if x.trace.on {
		return x.trace.context.trace
	}
	c, _ := x.clientTrace()
	return c.trace
}

// endTrace tells of a request that is recorded.
func (x *exchange) endTrace() {
	t := &x.trace
	s := Span{
		Trace: t.context.trace, ID: t.span, Parent: t.context.parent, Start: x.start,
		Total: time.Duration(x.outcome.Nanos) + x.instead.apart, Connect: x.times.connect,
		Listener: x.peer.listener.Name, Client: x.in.Client, Scheme: x.peer.scheme,
		Method: x.req.Method, Host: x.req.Host, Path: x.req.Path, Proto: x.req.Proto.String(),
		Status: x.outcome.Status, BytesIn: x.bytesIn, BytesOut: x.bytesOut, CutOff: x.cutOff(),
		Route: x.table.Routing.RoutePath(x.req.Host, x.req.Path), Reason: x.reasonText(), Retries: int(x.outcome.Retries), Failure: x.failure.err, RequestID: x.requestID(),
	}
	s.Service, s.Version, s.Endpoint = x.whoAnswered()
	if x.target != nil {
		s.Tags = x.target.Tags
	}
	s.Wait, _ = x.times.split(s.Total)
	s.UserAgent, _ = x.req.Lookup(head.UserAgent)
	if x.synthetic {
		s.Synthetic, _ = x.req.Get(syntheticField)
	}
	if t.joined {
		s.TraceState = x.traceState()
	}
	if x.srv.access.layout.MaskClient {
		s.Client = accesslog.Mask(s.Client)
	}
	x.srv.tracing.record(&s)
}

// traceState returns the client's tracestate; several fields are one list.
func (x *exchange) traceState() string {
	all := ""
	for i := range x.req.Fields {
		switch f := &x.req.Fields[i]; {
		case f.ID != head.Tracestate:
		case all == "":
			all = f.Value
		default:
			all += "," + f.Value
		}
	}
	return all
}
