package replay

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/proxy/accesslog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newParser(t testing.TB, l Layout) *Parser {
	t.Helper()
	p, err := NewParser(l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 3, 4, 0, time.UTC)
	for _, test := range []struct {
		name   string
		layout Layout
		line   string
		want   Request
	}{
		{"common", Layout{}, `192.0.2.7 - frank [23/Nov/2026:02:03:04 -0700] "GET /a?b=c HTTP/1.0" 200 2326`,
			Request{At: at, Client: "192.0.2.7", Method: "GET", Target: "/a?b=c", Status: 200, Session: "c192.0.2.7 "}},
		{"combined", Layout{}, `192.0.2.7 - - [23/Nov/2026:02:03:04 -0700] "GET / HTTP/1.1" 304 - "http://a/" "curl \"8\""`,
			Request{At: at, Client: "192.0.2.7", Method: "GET", Target: "/", Status: 304, Referer: "http://a/", UserAgent: `curl "8"`, Session: `c192.0.2.7 curl "8"`}},
		{"nginx with more behind it", Layout{Format: "nginx"}, `::1 - - [23/Nov/2026:09:03:04 +0000] "GET /%20 HTTP/2.0" 200 5 "-" "x" "203.0.113.1" 0.003`,
			Request{At: at, Client: "::1", Method: "GET", Target: "/%20", Status: 200, UserAgent: "x", Session: "c::1 x"}},
		{"bytes that nginx escaped", Layout{}, `::1 - - [23/Nov/2026:09:03:04 +0000] "GET /\xC3\xA4 HTTP/1.1" 200 5`,
			Request{At: at, Client: "::1", Method: "GET", Target: "/%C3%A4", Status: 200, Session: "c::1 "}},
		{"a layout with a cookie", Layout{Format: `$msec $host "$request" $status "$cookie_sid"`, Session: "cookie:sid"},
			`1795424584.000 shop.example.com "POST /cart HTTP/1.1" 201 "abc"`,
			Request{At: at, Host: "shop.example.com", Method: "POST", Target: "/cart", Status: 201, Session: "kabc"}},
		{"a cookie among others", Layout{Format: `$remote_addr "$request" "$http_cookie"`, Session: "cookie:sid"}, `::1 "GET / HTTP/1.1" "a=b; sid=abc"`,
			Request{Client: "::1", Method: "GET", Target: "/", Session: "kabc"}},
		{"no cookie", Layout{Format: `$remote_addr "$request" "$http_cookie"`, Session: "cookie:sid"}, `::1 "GET / HTTP/1.1" "-"`,
			Request{Client: "::1", Method: "GET", Target: "/", Session: "c::1 "}},
		{"no sessions", Layout{Session: "none"}, `::1 - - [23/Nov/2026:09:03:04 +0000] "GET / HTTP/1.1" 200 5`,
			Request{At: at, Client: "::1", Method: "GET", Target: "/", Status: 200}},
		{"absolute form", Layout{}, `::1 - - [23/Nov/2026:09:03:04 +0000] "GET http://shop.example.com?a=b HTTP/1.1" 200 5`,
			Request{At: at, Client: "::1", Method: "GET", Host: "shop.example.com", Target: "/?a=b", Status: 200, Session: "c::1 "}},
		{"Sluice", Layout{Session: "field:request_id"}, `{"ts":"2026-11-23T09:03:04Z","client":"192.0.2.7","method":"GET","host":"a","path":"/b","query":"c=d","status":200,"service":"web","reason":"pin","request_id":"r1"}`,
			Request{At: at, Client: "192.0.2.7", Method: "GET", Host: "a", Target: "/b?c=d", Status: 200, Service: "web", Session: "kr1"}},
		{"dashes that Sluice was sent", Layout{}, `{"client":"192.0.2.7","method":"-","host":"-","path":"/-","query":"-","status":200,"reason":"split","user_agent":"-","referer":"-"}`,
			Request{Client: "192.0.2.7", Method: "-", Host: "-", Target: "/-?-", Status: 200, UserAgent: "-", Referer: "-", Session: "c192.0.2.7 -"}},
		{"dashes of others", Layout{}, `{"client":"-","method":"GET","host":"-","path":"-","uri":"/","query":"-","status":"-","user_agent":"-","referer":"-"}`,
			Request{Method: "GET", Target: "/"}},
		{"a dash without a field before one with", Layout{}, `{"request_uri":"-","method":"GET","path":"/a","args":"?b"}`,
			Request{Method: "GET", Target: "/a?b"}},
		{"nginx JSON", Layout{}, `{"time_iso8601":"2026-11-23T09:03:04+00:00","remote_addr":"192.0.2.7","request":"GET /b HTTP/1.1","status":"200","http_user_agent":"-"}`,
			Request{At: at, Client: "192.0.2.7", Method: "GET", Target: "/b", Status: 200, Session: "c192.0.2.7 "}},
		{"caddy", Layout{Session: "none"}, `{"level":"info","ts":1795424584.0,"request":{"remote_ip":"192.0.2.7","method":"GET","host":"a:80","uri":"/b?c","headers":{"User-Agent":["x"]}},"status":200}`,
			Request{At: at, Client: "192.0.2.7", Method: "GET", Host: "a:80", Target: "/b?c", Status: 200, UserAgent: "x"}},
		{"named fields", Layout{Session: "none", Fields: map[string]string{"target": "http.url", "method": "verb", "time": "when"}},
			`{"when":1795424584000,"verb":"GET","method":"x","http":{"url":"/b"},"service":"theirs"}`,
			Request{At: at, Method: "GET", Target: "/b"}},
		{"Traefik", Layout{Session: "none"}, `{"ClientHost":"192.0.2.7","RequestMethod":"GET","RequestPath":"/b","RequestHost":"a","DownstreamStatus":200,"StartUTC":"2026-11-23T09:03:04Z"}`,
			Request{At: at, Client: "192.0.2.7", Method: "GET", Host: "a", Target: "/b", Status: 200}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := newParser(t, test.layout).Parse([]byte(test.line))
			if err != nil {
				t.Fatal(err)
			}
			if !got.At.Equal(test.want.At) {
				t.Errorf("at %v, want %v", got.At, test.want.At)
			}
			got.At, got.held = test.want.At, 0
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ line, why string }{
		{"", "it is empty"},
		{"hello", `there is no " " behind $remote_addr`},
		{`::1 - - [yesterday] "GET / HTTP/1.1" 200 5`, `the time "yesterday" can't be read`},
		{`::1 - - [23/Nov/2026:09:03:04 +0000] "-" 400 5`, "there is no method"},
		{`::1 - - [23/Nov/2026:09:03:04 +0000] "\x16\x03\x01" 400 5`, `"\x16\x03\x01" is no request line`},
		{`::1 - - [23/Nov/2026:09:03:04 +0000] "GET /a b HTTP/1.1" 200 5`, `the target "/a b" holds ' '`},
		{`::1 - - [23/Nov/2026:09:03:04 +0000] "GET /\r\nX: y HTTP/1.1" 200 5`, `the target "/\r\nX: y" holds '\r'`},
		{`::1 - - [23/Nov/2026:09:03:04 +0000] "OPTIONS * HTTP/1.1" 200 5`, `the target "*" does not begin with a slash`},
		{`{"method":"GET","path":"/"`, "it is no JSON object: unexpected end of JSON input"},
		{`{"method":"GET"}`, "there is no method or no path"},
		{`{"method":"G T","path":"/"}`, `the method "G T" is not one`},
		{`{"method":"GET","path":"/","host":"a\r\nb"}`, `the host "a\r\nb" is not one`},
		{`{"method":"GET","path":"/","ts":-5}`, `the time -5 can't be read`},
		{strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), "there is no method or no path"},
		{strings.Repeat(`{"a":`, 12000), "it is no JSON object: invalid character '{' exceeded max depth"},
	} {
		if _, err := newParser(t, Layout{}).Parse([]byte(test.line)); err == nil || !strings.HasPrefix(err.Error(), test.why) {
			t.Errorf("%.80s: %v, want %s", test.line, err, test.why)
		}
	}
}

func TestNewParserRefuses(t *testing.T) {
	for _, test := range []struct {
		layout Layout
		why    string
	}{
		{Layout{Format: "xml"}, `unknown format "xml"`},
		{Layout{Format: "$request$status"}, "nothing stands between $request and the variable behind it"},
		{Layout{Format: "$remote_addr $status"}, "the layout needs $request"},
		{Layout{Format: "$request $"}, "has a $ without a name"},
		{Layout{Session: "cookie"}, "write cookie:NAME"},
		{Layout{Session: "ip"}, `unknown session "ip"`},
		{Layout{Session: "client:x"}, "client has no name behind it"},
		{Layout{Fields: map[string]string{"path": "x"}}, `unknown field "path"; there are client, cookie,`},
		{Layout{Fields: map[string]string{"target": ""}}, "write target=NAME"},
	} {
		if _, err := NewParser(test.layout); err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%+v: %v, want %s", test.layout, err, test.why)
		}
	}
}

// TestReadsWhatTheProxyWrites: what Sluice's access log says of a request is
// found again, in each of its formats.
func TestReadsWhatTheProxyWrites(t *testing.T) {
	fields := append(accesslog.DefaultFields(), accesslog.Referer, accesslog.Query)
	text := rapid.StringMatching(`[ -~äñ€]{1,12}`).Filter(func(s string) bool { return strings.TrimSpace(s) == s })
	dashed := rapid.OneOf(rapid.Just("-"), text)
	target := `[!"$-;=-~]{0,20}`
	rapid.Check(t, func(t *rapid.T) {
		e := accesslog.Entry{
			At:     time.UnixMicro(rapid.Int64Range(1e9*1e6, 4e9*1e6).Draw(t, "at")),
			Client: netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "client"))),
			Method: rapid.SampledFrom([]string{"GET", "POST", "M-SEARCH", "-"}).Draw(t, "method"), Host: "shop.example.com:8080",
			Path:  "/" + rapid.StringMatching(strings.ReplaceAll(target, "=-~", "=@-~")).Draw(t, "path"),
			Query: rapid.OneOf(rapid.SampledFrom([]string{"-", "=", "?"}), rapid.StringMatching(target)).Draw(t, "query"),
			Proto: rapid.SampledFrom([]string{"1.0", "1.1", "2", "3"}).Draw(t, "proto"), Status: rapid.IntRange(100, 599).Draw(t, "status"),
			UserAgent: dashed.Draw(t, "agent"), HasAgent: true, Referer: dashed.Draw(t, "referer"), HasReferer: true, Service: "web", Reason: "split",
		}
		format := rapid.SampledFrom([]accesslog.Format{accesslog.JSON, accesslog.Common, accesslog.Combined}).Draw(t, "format")
		l := accesslog.Layout{Format: format, Fields: fields}.WithDefaults()
		line := string(l.Append(nil, &e))
		p, err := NewParser(Layout{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Parse([]byte(strings.TrimSuffix(line, "\n")))
		if err != nil {
			t.Fatalf("%s%v", line, err)
		}
		want := e.Path
		if e.Query != "" {
			want += "?" + e.Query
		}
		if got.Method != e.Method || got.Target != want || got.Client != e.Client.String() || got.Status != e.Status {
			t.Fatalf("%sgot %+v", line, got)
		}
		at := e.At.Truncate(time.Second)
		if format == accesslog.JSON {
			at = e.At
		}
		if d := got.At.Sub(at).Abs(); d > time.Microsecond {
			t.Fatalf("%sat %v, want %v", line, got.At, at)
		}
		if format == accesslog.Combined { // where a dash is none
			e.UserAgent, e.Referer = withoutDash(e.UserAgent), withoutDash(e.Referer)
		}
		if format != accesslog.Common && (got.UserAgent != e.UserAgent || got.Referer != e.Referer) {
			t.Fatalf("%sgot %+v", line, got)
		}
		if format == accesslog.JSON && (got.Host != e.Host || got.Service != "web") {
			t.Fatalf("%sgot %+v", line, got)
		}
	})
}

func withoutDash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// FuzzParse: whatever a log holds, what is taken from it can't become another
// request on the wire.
func FuzzParse(f *testing.F) {
	f.Add(`::1 - - [23/Nov/2026:09:03:04 +0000] "GET /\xC3\xA4 HTTP/1.1" 200 5 "-" "x\"y"`)
	f.Add(`{"ts":1795424584.0,"request":{"method":"GET","host":"a:80","uri":"/b?c","headers":{"User-Agent":["x"]}},"status":200}`)
	f.Add(`{"time":"2026-11-23T09:03:04Z","request":"GET http://a HTTP/1.1","cookie":"s=1"}`)
	f.Add(`a "GET //b HTTP/1.1" "s=1; s=2"`)
	var parsers []*Parser
	for _, l := range []Layout{{}, {Session: "cookie:s"}, {Format: `$host "$request" "$http_cookie"`, Session: "cookie:s"}, {Format: "json", Session: "field:request.host"}} {
		parsers = append(parsers, newParser(f, l))
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, p := range parsers {
			r, err := p.Parse([]byte(line))
			if err != nil {
				continue
			}
			if !isToken(r.Method) || !strings.HasPrefix(r.Target, "/") || strings.ContainsFunc(r.Target, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
				t.Fatalf("%q %q can't be sent", r.Method, r.Target)
			}
			for _, field := range []string{r.Host, r.UserAgent, r.Referer} {
				if strings.ContainsAny(field, "\r\n\x00") {
					t.Fatalf("%q can't be a field", field)
				}
			}
		}
	})
}

// FuzzTextLayout: no layout makes a parser that panics.
func FuzzTextLayout(f *testing.F) {
	f.Add(combinedLayout, `::1 - - [x] "GET / HTTP/1.1" 200 5 "-" "x"`)
	f.Add(`"$request"`, `"GET / HTTP/1.1"`)
	f.Fuzz(func(_ *testing.T, layout, line string) {
		l, err := parseTextLayout(layout)
		if err != nil {
			return
		}
		_ = l.read(line, func(string, string) error { return nil })
	})
}

func TestFieldNames(t *testing.T) {
	if names := FieldNames(); !slices.IsSorted(names) || !slices.Contains(names, "target") {
		t.Error(names)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, line string }{
		{"combined", `192.0.2.7 - - [23/Nov/2026:02:03:04 -0700] "GET /products/17?a=b HTTP/1.1" 200 2326 "http://shop.example.com/" "Mozilla/5.0 (X11; Linux x86_64)"`},
		{"json", `{"level":"info","ts":"2026-11-23T09:03:04.123456Z","msg":"request","listener":"edge","client":"192.0.2.77","method":"GET","host":"shop.example.com","path":"/products/17","proto":"1.1","status":200,"took":1.500000,"connect":0.000020,"wait":1.499000,"body":0.000980,"bytes_in":5,"bytes_out":2326,"service":"web","version":"v1","reason":"pin","endpoint":"127.0.0.1:9001","retries":0}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p := newParser(b, Layout{})
			line := []byte(bench.line)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Parse(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
