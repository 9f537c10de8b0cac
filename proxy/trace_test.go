package proxy

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/proxy/head"
	"sluice/routing"
)

// A trace of a client.
const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID   = "00f067aa0ba902b7"
	fromClient = "00-" + traceID + "-" + parentID
)

func TestParseTraceparent(t *testing.T) {
	for value, want := range map[string]bool{
		fromClient + "-01":                  true,
		fromClient + "-00":                  true,
		fromClient + "-ff":                  true, // flags to come
		"cc" + fromClient[2:] + "-01":       true, // a version to come
		"cc" + fromClient[2:] + "-01-":      true,
		"cc" + fromClient[2:] + "-01x":      false,
		"ff" + fromClient[2:] + "-01":       false,
		fromClient + "-01-":                 false,
		fromClient + "-0":                   false,
		fromClient + "-0G":                  false,
		"":                                  false,
		strings.ToUpper(fromClient) + "-01": false,
		"00-" + strings.Repeat("0", 32) + "-" + parentID + "-01":      false,
		"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01":       false,
		"00_" + traceID + "-" + parentID + "-01":                      false,
		"00-" + traceID + "_" + parentID + "-01":                      false,
		"00-" + traceID + "-" + parentID + "_01":                      false,
		"00-" + traceID[:31] + "\xff-" + parentID + "-01":             false,
		" " + fromClient + "-01":                                      false,
		"00-" + traceID[:30] + "zz-" + parentID + "-01":               false,
		"00-" + traceID + "-" + parentID[:15] + "\x00" + "-01" + "-0": false,
	} {
		c, ok := parseTraceparent(value)
		if ok != want {
			t.Errorf("%q: %v", value, ok)
		}
		if ok && (hex.EncodeToString(c.trace[:]) != traceID || hex.EncodeToString(c.parent[:]) != parentID || c.sampled != (value[53] == 'f' || value[54] == '1')) {
			t.Errorf("%q: %+v", value, c)
		}
		if !ok && c != (traceContext{}) {
			t.Errorf("%q leaves %+v", value, c)
		}
	}
}

// FuzzParseTraceparent holds the parser to the recommendation's grammar.
func FuzzParseTraceparent(f *testing.F) {
	f.Add(fromClient + "-01")
	f.Add("cc" + fromClient[2:] + "-01-what")
	grammar := regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$`)
	f.Fuzz(func(t *testing.T, s string) {
		m := grammar.FindStringSubmatch(strings.ReplaceAll(s, "\n", " "))
		want := m != nil && m[1] != "ff" && strings.Trim(m[2], "0") != "" && strings.Trim(m[3], "0") != "" && (m[1] != "00" || m[5] == "")
		if _, ok := parseTraceparent(s); ok != want {
			t.Errorf("%q: %v", s, ok)
		}
	})
}

// spans keeps what is recorded.
type spans chan Span

// traced sets a proxy up that records a share of the requests.
func (s spans) traced(share float64) option {
	return func(r *rig) {
		r.options.Trace = Tracing{Sample: share, Record: func(span *Span) {
			kept := *span
			kept.TraceState, kept.Path = strings.Clone(span.TraceState), strings.Clone(span.Path)
			s <- kept
		}}
	}
}

var ourTraceparent = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])$`)

// TestTracing is who decides of a trace: a trusted client, of its own; we, of
// all others.
func TestTracing(t *testing.T) {
	for _, test := range []struct {
		name    string
		fields  []string
		trusted bool
		share   float64
		joined  bool
		sampled bool
		state   string // as the endpoint sees it
	}{
		{"no trace, none wanted", nil, false, 0, false, false, ""},
		{"no trace, all wanted", nil, false, 1, false, true, ""},
		{"a stranger who wants to be recorded", []string{"Traceparent: " + fromClient + "-01", "Tracestate: a=b"}, false, 0, true, false, "a=b"},
		{"a stranger who doesn't", []string{"traceparent: " + fromClient + "-00"}, false, 1, true, true, ""},
		{"a trusted client who does", []string{"Traceparent: " + fromClient + "-01", "Tracestate: a=b", "Tracestate: c=d"}, true, 0, true, true, "a=b|c=d"},
		{"a trusted client who doesn't", []string{"Traceparent: " + fromClient + "-00"}, true, 1, true, false, ""},
		{"nonsense", []string{"Traceparent: 00-xyz", "Tracestate: a=b"}, true, 1, false, true, ""},
		{"two traces", []string{"Traceparent: " + fromClient + "-01", "Traceparent: " + fromClient + "-00", "Tracestate: a=b"}, true, 1, false, true, ""},
		{"a trace that is named away", []string{"Traceparent: " + fromClient + "-01", "Connection: traceparent"}, false, 1, true, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, recorded := newRecorder(t, nil), make(spans, 1)
			r := newRig(t, map[string]string{"v1": b.addr}, recorded.traced(test.share), func(r *rig) {
				if test.trusted {
					trusting(r)
				}
			})
			r.exchangeRaw(get("/x?secret", append(test.fields, closing)...))
			m := b.one()
			got := ourTraceparent.FindStringSubmatch(m.get("Traceparent"))
			if got == nil || got[1] == traceID != test.joined || got[2] == parentID || got[3] == "01" != test.sampled {
				t.Fatalf("the endpoint got %q", m.get("Traceparent"))
			}
			checkFields(t, m, "Tracestate", cmp.Or(test.state, "-"))
			r.srv.Shutdown(t.Context())
			if len(recorded) == 1 != test.sampled {
				t.Fatalf("%d recorded", len(recorded))
			}
			if test.sampled {
				s := <-recorded
				if want := strings.ReplaceAll(test.state, "|", ","); s.TraceState != want {
					t.Errorf("recorded the state %q", s.TraceState)
				}
				checkSpan(t, s, got, test.joined, b.addr)
			}
		})
	}
}

// checkSpan holds a span to what the endpoint was told of it.
func checkSpan(t *testing.T, s Span, sent []string, joined bool, endpoint string) {
	t.Helper()
	parent := strings.Repeat("0", 16)
	if joined {
		parent = parentID
	}
	if hex.EncodeToString(s.Trace[:]) != sent[1] || hex.EncodeToString(s.ID[:]) != sent[2] || hex.EncodeToString(s.Parent[:]) != parent {
		t.Errorf("recorded %x-%x, below %x", s.Trace, s.ID, s.Parent)
	}
	if s.Service != "web" || s.Version != "v1" || s.Reason != "split" || s.Status != 200 || s.Path != "/x" || s.Route != "/" || s.Scheme != "http" ||
		s.Endpoint != endpoint || s.Total < s.Connect+s.Wait || s.Connect <= 0 || s.Wait <= 0 || s.Client.String() != "127.0.0.1" {
		t.Errorf("recorded %+v", s)
	}
}

// TestWithoutTracingTracesPassThrough: what we don't understand is not ours to
// change.
func TestWithoutTracingTracesPassThrough(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	r.exchangeRaw(get("/", "Traceparent: 00-xyz", "Tracestate: a=b", "Tracestate: c=d", "Baggage: a=b;p,  c=d", "Baggage: e=f", closing))
	checkFields(t, b.one(), "Traceparent", "00-xyz", "Tracestate", "a=b|c=d", "Baggage", "a=b;p,  c=d|e=f")
}

// TestEveryAttemptIsOfOneSpan: a retry is sent below the same span.
func TestEveryAttemptIsOfOneSpan(t *testing.T) {
	failing, good, recorded := newRecorder(t, last("")), newRecorder(t, nil), make(spans, 1)
	r := newRig(t, map[string]string{"v1": failing.addr + "," + good.addr}, recorded.traced(1))
	retried := false
	for range 20 {
		r.exchangeRaw(get("/", closing))
		if s := <-recorded; s.Retries == 1 && s.Status == 200 {
			retried = true
			break
		}
	}
	if !retried {
		t.Fatal("nothing was retried")
	}
	a, _ := failing.take()
	b, _ := good.take()
	if x, y := a[len(a)-1].get("Traceparent"), b[len(b)-1].get("Traceparent"); x != y || x == "" {
		t.Errorf("%q and %q", x, y)
	}
}

func TestBaggage(t *testing.T) {
	for _, test := range []struct {
		name    string
		fields  []string
		trusted bool
		own     bool
		want    string
	}{
		{"a stranger's", []string{"Baggage: a=b, c=d;p=1", "Baggage: e=f"}, false, false, "a=b, c=d;p=1|e=f"},
		{"a stranger's, under our name", []string{"Baggage: a=b, sluice-override = web%3Dv2;x", "Baggage: sluice-override=web%3Dv2", "Baggage: e=f"}, false, false, "a=b|e=f"},
		{"a name that only looks like ours", []string{"Baggage: sluice-overrides=x,my-sluice-override=y"}, false, false, "sluice-overrides=x,my-sluice-override=y"},
		{"a trusted client's", []string{"Baggage: a=b,sluice-override=api%3Dv1"}, true, false, "a=b,sluice-override=api%3Dv1"},
		{"ours alone", nil, true, true, "sluice-override=web=v1"},
		{"ours and others'", []string{"Baggage: a=b , ,c=d;p", "baggage: e=f, sluice-override=old"}, true, true, "a=b,c=d;p,e=f,sluice-override=web=v1"},
		{"ours and nothing", []string{"Baggage: ", "Baggage: , "}, true, true, "sluice-override=web=v1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newRecorder(t, nil)
			r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
				if test.trusted {
					trusting(r)
				}
			})
			if test.own {
				test.fields = append(test.fields, "Sluice-Override: web=v1")
			}
			r.exchangeRaw(get("/", append(test.fields, closing)...))
			checkFields(t, b.one(), "Baggage", test.want)
		})
	}
}

// TestBaggageIsJoinedLikeItsTwin: nothing is lost or invented.
func TestBaggageIsJoinedLikeItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		member := rapid.SampledFrom([]string{"a=b", " c=d;p=q ", "sluice-override=x", "sluice-override =x", "Sluice-Override=x", "", " ", "k"})
		var fields []head.Field
		var want []string
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			members := rapid.SliceOfN(member, 0, 4).Draw(t, "members")
			fields = append(fields, head.Field{ID: head.Baggage, Name: "Baggage", Value: strings.Join(members, ",")}, head.Field{Name: "X", Value: "y"})
			for _, m := range members {
				m = strings.TrimSpace(m)
				if key, _, _ := strings.Cut(m, "="); m != "" && strings.TrimSpace(key) != "sluice-override" {
					want = append(want, m)
				}
			}
		}
		own := rapid.SampledFrom([]string{"", "web=v2"}).Draw(t, "own")
		if own != "" {
			want = append(want, "sluice-override="+own)
		}
		line := ""
		if len(want) > 0 {
			line = fmt.Sprintf("Baggage: %s\r\n", strings.Join(want, ","))
		}
		if got := string(appendBaggage([]byte("x"), fields, own)); got != "x"+line {
			t.Fatalf("got %q, want %q", got, line)
		}
	})
}

// TestTracedRequestsThatAreNotRecordedAllocateNothing, nor do those that carry a
// trace of their own.
func TestTracedRequestsThatAreNotRecordedAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	addr := plainBackend(t, "\r\n\r\n")
	r := newRig(t, map[string]string{"v1": addr}, make(spans).traced(0))
	for name, fields := range map[string][]string{
		"of its own":  {"Traceparent: " + fromClient + "-01", "Tracestate: a=b", "Baggage: a=b"},
		"none":        nil,
		"not its own": {"Baggage: sluice-override=x,a=b"},
	} {
		a := newAsker(t, r.addr, get("/", append(fields, "Cookie: sluice_web=1.94f1492df24517ec.v1")...))
		if n := allocsPerRequest(t, a); n > maxAllocs {
			t.Errorf("%s: %.3f allocations a request", name, n)
		}
	}
}

// BenchmarkTrace is what tracing adds to a request that is not recorded.
func BenchmarkTrace(b *testing.B) {
	srv := New(Options{Trace: Tracing{Record: func(*Span) {}}})
	x := &exchange{}
	x.srv, x.peer = srv, &peer{}
	x.req.Fields = []head.Field{{Name: "Accept", Value: "*/*"}, {ID: head.Traceparent, Name: "traceparent", Value: fromClient + "-01"}}
	x.in = routing.Request{}
	out := make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		x.beginTrace()
		out = x.trace.appendTraceparent(out[:0])
	}
}
