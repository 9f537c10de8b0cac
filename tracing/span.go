// Package tracing tells an OpenTelemetry collector of requests. It encodes spans
// by the semantic conventions for HTTP servers and sends them by OTLP, over HTTP
// or gRPC, in batches and by a goroutine of its own: a collector that is slow or
// away costs spans, which are counted, and nothing else.
package tracing

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is a request that was traced. Strings need not be valid UTF-8; what is
// empty or zero is not known, or didn't happen, and is not told.
type Span struct {
	Trace      [16]byte
	ID, Parent [8]byte // Parent is all 0 where the trace begins here
	TraceState string  // of the client
	Start      time.Time
	Total      time.Duration
	Connect    time.Duration // to get a connection to the endpoint; 0: one was open
	Wait       time.Duration // then, to the head of the response

	Listener           string
	Client             netip.Addr
	Scheme             string // "http" or "https"
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

// encode returns the span as OTLP has it. Nothing of it aliases s.
func (s *Span) encode() *tracepb.Span {
	name := methodOf(s.Method)
	if name == other {
		name = "HTTP" // as the conventions want it
	}
	if s.Route != "" {
		name += " " + text(s.Route)
	}
	span := &tracepb.Span{
		TraceId: append([]byte(nil), s.Trace[:]...), SpanId: append([]byte(nil), s.ID[:]...),
		TraceState: text(s.TraceState), Name: name, Kind: tracepb.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: uint64(s.Start.UnixNano()), EndTimeUnixNano: uint64(s.Start.Add(s.Total).UnixNano()),
		Attributes: s.attributes(), Status: s.status(),
	}
	if s.Parent != [8]byte{} {
		span.ParentSpanId = append([]byte(nil), s.Parent[:]...)
	}
	return span
}

// status is an error where the server is at fault; a client's is none of ours.
func (s *Span) status() *tracepb.Status {
	switch {
	case s.Failure != nil && s.Status >= 500:
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: text(s.Failure.Error())}
	case s.Status >= 500:
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	case s.CutOff:
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "the response was cut off"}
	}
	return nil
}

// attributes are those of the conventions for HTTP servers (OpenTelemetry,
// semantic conventions 1.2x, "HTTP Server"), and what only we know.
func (s *Span) attributes() []*commonpb.KeyValue {
	var a attributes
	method := methodOf(s.Method)
	a.text("http.request.method", method)
	if method == other {
		a.text("http.request.method_original", s.Method)
	}
	a.text("http.route", s.Route)
	a.text("url.scheme", s.Scheme)
	a.text("url.path", s.Path) // not the query: it may hold secrets
	host, port := splitHost(s.Host)
	a.text("server.address", host)
	a.number("server.port", int64(port))
	if s.Client.IsValid() {
		a.text("client.address", s.Client.String())
	}
	a.text("user_agent.original", s.UserAgent)
	a.text("network.protocol.name", "http")
	a.text("network.protocol.version", s.Proto)
	a.number("http.response.status_code", int64(s.Status))
	a.number("http.request.body.size", s.BytesIn)
	a.number("http.response.body.size", s.BytesOut)
	if s.Status >= 500 {
		a.text("error.type", strconv.Itoa(s.Status))
	} else if s.CutOff {
		a.text("error.type", "cut_off")
	}
	a.text("sluice.listener", s.Listener)
	a.text("sluice.service", s.Service)
	a.text("sluice.version", s.Version)
	for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
		a.text(text("sluice.tag."+name), s.Tags[name])
	}
	a.text("sluice.reason", s.Reason)
	a.text("sluice.endpoint", s.Endpoint)
	a.text("sluice.request_id", s.RequestID)
	a.text("sluice.synthetic", s.Synthetic)
	a.number("sluice.retries", int64(s.Retries))
	a.seconds("sluice.connect_seconds", s.Connect)
	a.seconds("sluice.wait_seconds", s.Wait)
	return a
}

// other stands for methods that are not known, of which clients can invent any
// number.
const other = "_OTHER"

// methodOf returns the method if it is known.
func methodOf(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY":
		return strings.Clone(method)
	}
	return other
}

// splitHost returns the parts of a Host field; 0: it names no port.
func splitHost(authority string) (host string, port int) {
	host, digits, err := net.SplitHostPort(authority)
	if err != nil {
		return strings.Trim(authority, "[]"), 0
	}
	port, _ = strconv.Atoi(digits) // else 0
	return host, port
}

// attributes grows by what there is to say.
type attributes []*commonpb.KeyValue

func (a *attributes) add(key string, value *commonpb.AnyValue) {
	*a = append(*a, &commonpb.KeyValue{Key: key, Value: value})
}

func (a *attributes) text(key, value string) {
	if value != "" {
		a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: text(value)}})
	}
}

func (a *attributes) number(key string, n int64) {
	if n != 0 {
		a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}})
	}
}

func (a *attributes) seconds(key string, d time.Duration) {
	if d > 0 {
		a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: d.Seconds()}})
	}
}

// maxText bounds a value, as most collectors do.
const maxText = 4 << 10

// text returns a copy of what the network sent that a string of protobuf can
// hold: valid UTF-8, and not without end.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Clone(strings.ToValidUTF8(s, "\ufffd"))
}
