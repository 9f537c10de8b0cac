package tracing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// told returns the attributes of a span, a line each.
func told(s *Span) []string {
	var all []string
	for _, a := range s.attributes() {
		var v any
		switch x := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			v = x.StringValue
		case *commonpb.AnyValue_IntValue:
			v = x.IntValue
		case *commonpb.AnyValue_DoubleValue:
			v = x.DoubleValue
		}
		all = append(all, fmt.Sprintf("%s=%v", a.Key, v))
	}
	return all
}

func TestAttributes(t *testing.T) {
	want := []string{
		"http.request.method=GET", "http.route=/a", "url.scheme=https", "url.path=/a", "server.address=shop.example.com", "server.port=8443",
		"client.address=192.0.2.1", "user_agent.original=curl", "network.protocol.name=http", "network.protocol.version=2",
		"http.response.status_code=502", "http.request.body.size=1", "http.response.body.size=2", "error.type=502",
		"sluice.listener=public", "sluice.service=web", "sluice.version=v2", "sluice.tag.commit=3f2a9c1", "sluice.tag.team=shop", "sluice.reason=split",
		"sluice.endpoint=127.0.0.1:9001", "sluice.request_id=r-1", "sluice.retries=1", "sluice.connect_seconds=0.001", "sluice.wait_seconds=0.0005",
	}
	if got := told(request()); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := told(&Span{}); !slices.Equal(got, []string{"http.request.method=_OTHER", "network.protocol.name=http"}) {
		t.Errorf("of nothing: %q", got)
	}
	s := request()
	s.Status, s.Method, s.Host, s.CutOff, s.Failure = 200, "BREW", "[::1]", true, nil
	got := told(s)
	for _, want := range []string{"http.request.method=_OTHER", "http.request.method_original=BREW", "server.address=::1", "error.type=cut_off"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q lacks %s", got, want)
		}
	}
}

func TestEncode(t *testing.T) {
	span := request().encode()
	if span.Name != "GET /a" || span.Status.Message != "reset" || span.EndTimeUnixNano-span.StartTimeUnixNano != uint64(time.Second) ||
		len(span.TraceId) != 16 || len(span.SpanId) != 8 || len(span.ParentSpanId) != 8 || span.TraceState != "a=b" {
		t.Errorf("got %v", span)
	}
	s := request()
	s.Status, s.Failure, s.Parent, s.Method = 404, errors.New("x"), [8]byte{}, "BREW"
	if span = s.encode(); span.Name != "HTTP /a" || span.Status != nil || span.ParentSpanId != nil {
		t.Errorf("got %v", span)
	}
}

// TestTextOfTheNetwork: protobuf refuses a whole batch for one bad string.
func TestTextOfTheNetwork(t *testing.T) {
	s := request()
	s.Path, s.UserAgent, s.TraceState, s.Failure = "\xff\xfe", strings.Repeat("é", maxText), "\x80", errors.New("\xc3")
	span := s.encode()
	if _, err := proto.Marshal(span); err != nil {
		t.Fatal(err)
	}
	if n := len(text(s.UserAgent)); n > maxText+2 {
		t.Errorf("%d bytes of text", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	s := request()
	b.ReportAllocs()
	for b.Loop() {
		s.encode()
	}
}
