package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entry is a request of which there is something to say in every field.
func entry() Entry {
	return Entry{
		At:    time.Date(2026, 11, 23, 2, 3, 4, 123456789, time.FixedZone("", -7*3600)),
		Total: 1500 * time.Millisecond, Connect: 20 * time.Microsecond, Wait: 1499 * time.Millisecond, Body: 980 * time.Microsecond,
		Listener: "edge", Client: netip.MustParseAddr("192.0.2.77"),
		Method: "GET", Host: "shop.example.com", Path: "/a b", Query: "c=d", Proto: "1.1", TLS: "1.3",
		UserAgent: "curl/8", HasAgent: true, Referer: "http://a/", HasReferer: true,
		Status: 502, BytesIn: 5, BytesOut: 2326, CutOff: true,
		Service: "web", Version: "v1", Tags: `{"commit":"3f2a9c1"}`, Reason: "rule:staff", Endpoint: "127.0.0.1:9001", Retries: 2,
		ShieldedFrom: "v2", ShieldedStatus: 500, FallbackFrom: "v3", Failure: errors.New("reset"),
		TraceID: [16]byte{0x4b, 0xf9, 15: 0x36}, RequestID: "r-1",
	}
}

func line(l Layout, e Entry) string {
	l = l.WithDefaults()
	return string(l.Append(nil, &e))
}

func TestJSONLine(t *testing.T) {
	all := append(DefaultFields(), Referer, Query)
	for _, test := range []struct {
		name   string
		fields []Field
		entry  Entry
		want   string
	}{
		{"everything", all, entry(), `{"level":"info","ts":"2026-11-23T09:03:04.123456Z","msg":"request","listener":"edge","client":"192.0.2.77",` +
			`"method":"GET","host":"shop.example.com","path":"/a b","proto":"1.1","tls":"1.3","status":502,"took":1.500000,"connect":0.000020,` +
			`"wait":1.499000,"body":0.000980,"bytes_in":5,"bytes_out":2326,"service":"web","version":"v1","tags":{"commit":"3f2a9c1"},"reason":"rule:staff",` +
			`"endpoint":"127.0.0.1:9001","retries":2,"cut_off":true,"shielded_from":"v2","shielded_status":500,"fallback_from":"v3","failure":"reset",` +
			`"trace_id":"4bf90000000000000000000000000036","request_id":"r-1","user_agent":"curl/8","referer":"http://a/","query":"c=d"}`},
		{"nothing", all, Entry{At: time.Unix(0, 0)}, `{"level":"info","ts":"1970-01-01T00:00:00Z","msg":"request refused","listener":"","client":"",` +
			`"method":"","host":"","path":"","proto":"","status":0,"took":0.000000,"connect":0.000000,"wait":0.000000,"body":0.000000,` +
			`"bytes_in":0,"bytes_out":0,"service":"","version":"","reason":"","endpoint":"","retries":0}`},
		{"chosen", []Field{Status, Query, Client}, entry(), `{"status":502,"query":"c=d","client":"192.0.2.77"}`},
		{"nothing to say of the first", []Field{CutOff, Status}, Entry{Status: 200}, `{"status":200}`},
		{"nothing to say", []Field{CutOff}, Entry{}, `{}`},
	} {
		if got := line(Layout{Fields: test.fields}, test.entry); got != test.want+"\n" {
			t.Errorf("%s:\n%swant\n%s", test.name, got, test.want)
		}
	}
	if got := line(Layout{}, entry()); strings.Contains(got, "referer") || strings.Contains(got, "c=d") || !strings.Contains(got, "user_agent") {
		t.Errorf("by default: %s", got)
	}
}

// TestApachesLines holds the two formats to what Apache's documentation shows.
func TestApachesLines(t *testing.T) {
	example := Entry{
		At:     time.Date(2000, 10, 10, 13, 55, 36, 0, time.FixedZone("", -7*3600)),
		Client: netip.MustParseAddr("127.0.0.1"), Method: "GET", Path: "/apache_pb.gif", Proto: "1.0", Status: 200, BytesOut: 2326,
		Referer: "http://www.example.com/start.html", HasReferer: true, UserAgent: "Mozilla/4.08 [en] (Win98; I ;Nav)", HasAgent: true,
	}
	const common = `127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326`
	refused := Entry{At: example.At, Status: 400}
	h2 := example
	h2.Proto, h2.Query, h2.BytesOut, h2.HasReferer, h2.UserAgent = "2", "a=b", 0, false, ""
	for _, test := range []struct {
		format Format
		entry  Entry
		want   string
	}{
		{Common, example, common},
		{Combined, example, common + ` "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"`},
		{Common, refused, `- - - [10/Oct/2000:13:55:36 -0700] "-" 400 -`},
		{Combined, h2, `127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif?a=b HTTP/2.0" 200 - "-" ""`},
	} {
		if got := line(Layout{Format: test.format}, test.entry); got != test.want+"\n" {
			t.Errorf("got %swant %s", got, test.want)
		}
	}
}

func TestApachesEscapes(t *testing.T) {
	const raw = "a\"b\\c\b\n\r\t\v\x00\x1b\x7f\x80\xff é ~"
	const want = `a\"b\\c\b\n\r\t\v\x00\x1b\x7f\x80\xff \xc3\xa9 ~`
	if got := string(appendEscaped(nil, raw)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// hostile are texts that are after the reader of the log.
var hostile = []string{
	"\r\n127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1", `" 200 1 "`, `\`, `\"`, "\x1b[2J", "\u009b2J",
	`","status":200,"x":"`, "\x00", "\xff\xfe", "\u2028", "\ufffd", "\xed\xa0\x80",
}

// TestNoTextForgesALine: whatever a client sends, its line stays one line, and
// its fields stay where they are.
func TestNoTextForgesALine(t *testing.T) {
	combined := regexp.MustCompile(`^\S+ - - \[[^\]]+\] "(?:[^"\\]|\\.)*" \d+ \S+ "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"\n$`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom(hostile), rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		e := entry()
		e.Method, e.Host, e.Path, e.Query = "M"+text.Draw(t, "method"), text.Draw(t, "host"), text.Draw(t, "path"), "q"+text.Draw(t, "query")
		e.UserAgent, e.Referer, e.Failure = text.Draw(t, "agent"), text.Draw(t, "referer"), errors.New(text.Draw(t, "failure"))
		e.RequestID = "r" + text.Draw(t, "request ID")
		tags := rapid.MapOf(rapid.String(), text).Draw(t, "tags")
		tags["commit"] = "3f2a9c1"
		e.Tags = Object(tags)
		if got := line(Layout{Format: Combined}, e); !combined.MatchString(got) || !printable(got) {
			t.Fatalf("forged: %q", got)
		}
		got := line(Layout{Fields: append(DefaultFields(), Referer, Query)}, e)
		if !printable(got) {
			t.Fatalf("control characters: %q", got)
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(got), &members); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		for name, want := range map[string]string{
			"method": e.Method, "host": e.Host, "path": e.Path, "query": e.Query, "user_agent": e.UserAgent, "referer": e.Referer, "failure": e.Failure.Error(),
			"request_id": e.RequestID,
		} {
			if want := strings.ToValidUTF8(eachInvalid(want), "\ufffd"); members[name] != want {
				t.Fatalf("%s: %q, want %q", name, members[name], want)
			}
		}
		for name, want := range tags {
			if got := members["tags"].(map[string]any)[name]; got != strings.ToValidUTF8(eachInvalid(want), "\ufffd") {
				t.Fatalf("tag %q: %q, want %q", name, got, want)
			}
		}
		if members["status"] != 502.0 || len(members) != 33 {
			t.Fatalf("forged: %s", got)
		}
	})
}

// eachInvalid replaces each byte that is not UTF-8 by U+FFFD.
func eachInvalid(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

// printable reports whether a line holds nothing that a terminal obeys.
func printable(line string) bool {
	body, ended := strings.CutSuffix(line, "\n")
	return ended && utf8.ValidString(body) && !strings.ContainsFunc(body, unicode.IsControl)
}

func FuzzLine(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := entry()
		e.Method, e.Path, e.UserAgent = "M"+s, s, s
		for _, format := range []Format{JSON, Common, Combined} {
			if got := line(Layout{Format: format}, e); !printable(got) || strings.Count(got, "\n") != 1 {
				t.Errorf("%q", got)
			}
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(line(Layout{}, e)), &members); err != nil || members["path"] != eachInvalid(s) {
			t.Errorf("%v: %q", err, members["path"])
		}
	})
}

func TestSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(-1e9, 1e15).Draw(t, "nanoseconds"))
		got := string(appendSeconds(nil, d))
		want := fmt.Sprintf("%d.%06d", max(d, 0)/time.Second, max(d, 0)%time.Second/time.Microsecond)
		if _, err := strconv.ParseFloat(got, 64); err != nil || got != want {
			t.Fatalf("%v: %s, want %s", d, got, want)
		}
	})
}

func TestMask(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.77": "192.0.2.0", "::ffff:192.0.2.77": "192.0.2.0", "2001:db8:1:2:3:4:5:6": "2001:db8:1::", "fe80::1%eth0": "fe80::",
	} {
		if got := Mask(netip.MustParseAddr(from)).String(); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
		e := Entry{Method: "GET", Client: netip.MustParseAddr(from)}
		if got := line(Layout{MaskClient: true, Fields: []Field{Client}}, e); got != `{"client":"`+want+"\"}\n" {
			t.Errorf("%s: %s", from, got)
		}
	}
	if a := Mask(netip.Addr{}); a.IsValid() {
		t.Errorf("no address becomes %v", a)
	}
}

func TestObject(t *testing.T) {
	for want, texts := range map[string]map[string]string{
		``: nil, `{"a":""}`: {"a": ""}, `{"a":"1","b":"\"","c":"3"}`: {"c": "3", "a": "1", "b": `"`},
	} {
		if got := Object(texts); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFieldNames(t *testing.T) {
	var all []Field
	for f := range fields {
		got, err := ParseField(f.String())
		if err != nil || got != f {
			t.Errorf("%v: %v, %v", f, got, err)
		}
		all = append(all, f)
	}
	if want := append(DefaultFields(), Referer, Query); !reflect.DeepEqual(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
	if _, err := ParseField("cookie"); err == nil || !strings.Contains(err.Error(), `"cookie"; there are level, ts,`) {
		t.Errorf("cookie: %v", err)
	}
}

// TestALineAllocatesNothing: mode "all" writes one for each request.
func TestALineAllocatesNothing(t *testing.T) {
	e := entry()
	e.CutOff, e.Failure = false, nil
	buffer := make([]byte, 0, 4<<10)
	for _, format := range []Format{JSON, Common, Combined} {
		l := Layout{Format: format, MaskClient: true}.WithDefaults()
		if n := testing.AllocsPerRun(100, func() { buffer = l.Append(buffer[:0], &e) }); n != 0 {
			t.Errorf("format %d: %v allocations", format, n)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	e := entry()
	e.ShieldedFrom, e.FallbackFrom, e.CutOff, e.Failure = "", "", false, nil
	for name, format := range map[string]Format{"json": JSON, "common": Common, "combined": Combined} {
		b.Run(name, func(b *testing.B) {
			l := Layout{Format: format}.WithDefaults()
			var buffer []byte
			b.ReportAllocs()
			for b.Loop() {
				buffer = l.Append(buffer[:0], &e)
			}
		})
	}
}
