package h1

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/proxy/head"
)

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Fatalf(format string, args ...any)
}

// compareRequest reads a request in every way there is and compares: whole,
// in pieces, by the twin, and, where it is accepted, by net/http.
func compareRequest(t failer, data string) {
	m := readRequest(data, 0, nil)
	for _, step := range []int{1, 3} {
		if p := readRequest(data, step, nil); !reflect.DeepEqual(p, m) {
			t.Fatalf("%q:\nwhole        %+v\nin pieces of %d %+v", data, m, step, p)
		}
	}
	want, rest, ok := twinRequest(data)
	if !ok {
		if m.err == nil {
			t.Fatalf("%q: accepted as %+v, refused by the twin", data, m)
		}
		return
	}
	var e *Error
	if errors.As(m.err, &e) && (e.Status == 414 || e.Status == 431) {
		return // the twin knows no limits
	}
	if m.err != nil || !reflect.DeepEqual(m.request, want) {
		t.Fatalf("%q:\ngot  %+v, %v\nwant %+v", data, m.request, m.err, want)
	}
	compareBody(t, m, rest, want.Length)
	if m.bodyErr == nil {
		compareNetHTTPRequest(t, m, strings.TrimPrefix(data, "\r\n"))
	}
}

func compareNetHTTPRequest(t failer, m message, data string) {
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(data)))
	if err != nil {
		if strings.Contains(err.Error(), "bad trailer key") {
			return // what a Trailer field promises is net/http's own rule
		}
		t.Fatalf("%q: accepted, but by net/http not: %v", data, err)
	}
	length := req.ContentLength
	if req.Method != m.request.Method || req.Host != m.request.Host || length != m.request.Length || req.Close != m.request.Close {
		t.Fatalf("%q:\ngot      %+v\nnet/http %+v", data, m.request, req)
	}
	body, err := io.ReadAll(req.Body)
	if string(body) != m.body || err != nil {
		t.Fatalf("%q: body %q, by net/http %q, %v", data, m.body, body, err)
	}
}

// compareResponse does for responses what compareRequest does for requests.
func compareResponse(t failer, data, method string, asked101 bool) {
	m := readResponse(data, 0, method, asked101, nil)
	for _, step := range []int{1, 3} {
		if p := readResponse(data, step, method, asked101, nil); !reflect.DeepEqual(p, m) {
			t.Fatalf("%q:\nwhole        %+v\nin pieces of %d %+v", data, m, step, p)
		}
	}
	want, rest, ok := twinResponse(data, method, asked101)
	if !ok {
		if m.err == nil {
			t.Fatalf("%q: accepted as %+v, refused by the twin", data, m)
		}
		return
	}
	var e *Error
	if errors.As(m.err, &e) && (e == &headTooLong.response || e == &tooManyField.response) {
		return
	}
	if m.err != nil || !reflect.DeepEqual(m.response, want) {
		t.Fatalf("%q:\ngot  %+v, %v\nwant %+v", data, m.response, m.err, want)
	}
	compareBody(t, m, rest, want.Length)
	if m.bodyErr == nil && want.Status >= 200 {
		compareNetHTTPResponse(t, m, data, method)
	}
}

func compareNetHTTPResponse(t failer, m message, data, method string) {
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(data)), &http.Request{Method: method})
	if err != nil {
		if strings.Contains(err.Error(), "bad trailer key") {
			return
		}
		t.Fatalf("%q: accepted, but by net/http not: %v", data, err)
	}
	body, err := io.ReadAll(res.Body)
	if res.StatusCode != m.response.Status || string(body) != m.body || err != nil {
		t.Fatalf("%q:\ngot      %+v\nnet/http %+v, body %q, %v", data, m, res, body, err)
	}
}

// compareBody checks the body of m, rest being what follows its head.
func compareBody(t failer, m message, rest string, length int64) {
	body, trailers, ok := rest, []head.Field(nil), true
	switch {
	case length == head.Chunked:
		body, trailers, rest, ok = twinChunked(rest)
	case length == head.UntilClose:
		rest = ""
	case int64(len(rest)) < length:
		ok = false
	default:
		body, rest = rest[:length], rest[length:]
	}
	if boundErr(m.bodyErr) {
		return // the twin knows no bounds
	}
	switch {
	case ok != (m.bodyErr == nil):
		t.Fatalf("body: got %q, %v; accepted by the twin: %v", m.body, m.bodyErr, ok)
	case ok && (m.body != body || m.rest != rest || !reflect.DeepEqual(m.trailers, trailers)):
		t.Fatalf("body: got %+v, want %q, trailers %v, rest %q", m, body, trailers, rest)
	}
}

func boundErr(err error) bool {
	for _, r := range []*rule{chunkLineLong, chunkOverhead, trailerTooLong, tooManyField} {
		if errors.Is(err, &r.request) {
			return true
		}
	}
	return false
}

func compareChunked(t failer, data string) {
	m := readChunked(data, 0)
	for _, step := range []int{1, 3} {
		p := readChunked(data, step)
		// How much of a malformed body was read depends on the pieces no more
		// than what was read: nothing after an error counts.
		if p.body != m.body || p.bodyErr != m.bodyErr || !reflect.DeepEqual(p.trailers, m.trailers) {
			t.Fatalf("%q:\nwhole        %+v\nin pieces of %d %+v", data, m, step, p)
		}
	}
	compareBody(t, m, data, head.Chunked)
}

var (
	firstLines = []string{"GET / HTTP/1.1\r\n", "POST /a%20b?c=d HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "GET http://b.example/c HTTP/1.1\r\n",
		"GET http://b?c HTTP/1.1\r\n", "\r\nPUT /x HTTP/1.1\r\n", "GET / HTTP/1.0\r\n", "GET /a#b HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n", "GET * HTTP/1.1\r\n", "GET / HTTP/2.0\r\n"}
	statusLines = []string{"HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 204 \r\n", "HTTP/1.1 304 Not Modified\r\n", "HTTP/1.1 100 Continue\r\n",
		"HTTP/1.1 101 x\r\n", "HTTP/1.1 404\r\n", "HTTP/1.1 999 x\r\n", "HTTP/2.0 200 OK\r\n"}
	fieldLines = []string{"Host: a.example\r\n", "Host: [::1]:80\r\n", "Host: \r\n", "Content-Length: 5\r\n", "content-length:0\r\n", "Content-Length: +5\r\n", "Content-Length: 5,5\r\n",
		"Transfer-Encoding: chunked\r\n", "Transfer-Encoding:\tCHUNKED \r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked,\r\n",
		"Connection: close\r\n", "Connection: keep-alive, Upgrade\r\n", "Connection: a b\r\n", "Upgrade: websocket\r\n", "Expect: 100-continue\r\n", "Expect: x\r\n",
		"Trailer: X\r\n", "Accept: */*\r\n", "X-Y:\r\n", " folded\r\n", "X : y\r\n", ": y\r\n", "X: a\xe9\tb \r\n", "Cookie: a=b; c=\"d\"\r\n"}
	bodies = []string{"", "hello", "hello, world", "5\r\nhello\r\n0\r\n\r\n", "5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\nGET", "5 \r\nhello\r\n0\r\n\r\n", "0\r\n\r\n"}
)

// messages generates messages of which about half are valid: a first line,
// field lines and a body, and now and then one byte changed, lost or added.
func messages(first []string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		lines := rapid.SliceOfN(rapid.SampledFrom(fieldLines), 0, 4).Draw(t, "fields")
		if rapid.IntRange(0, 3).Draw(t, "host") > 0 {
			lines = append(lines, fieldLines[0])
		}
		data := rapid.SampledFrom(first).Draw(t, "first") + strings.Join(lines, "") + "\r\n" + rapid.SampledFrom(bodies).Draw(t, "body")
		return mutate(t, data)
	})
}

func mutate(t *rapid.T, data string) string {
	at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
	c := string(rapid.SampledFrom([]byte("\x00\t\n\r\x0b \"#%,:;=AZ@[\\]a/?0\x7f\x80\xff")).Draw(t, "byte"))
	switch rapid.IntRange(0, 5).Draw(t, "mutation") {
	case 0:
		return data[:at] + c + data[at+1:]
	case 1:
		return data[:at] + c + data[at:]
	case 2:
		return data[:at] + data[at+1:]
	}
	return data
}

func TestRequestsLikeTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { compareRequest(t, messages(firstLines).Draw(t, "request")) })
}

func TestResponsesLikeTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		method := rapid.SampledFrom([]string{"GET", "HEAD"}).Draw(t, "method")
		compareResponse(t, messages(statusLines).Draw(t, "response"), method, rapid.Bool().Draw(t, "asked"))
	})
}

func TestChunkedLikeTwin(t *testing.T) {
	chunks := []string{"1\r\nx\r\n", "a\r\n0123456789\r\n", "003\r\nabc\r\n", "1;a=b\r\nx\r\n", "1;a=\"\\\"\";b\r\nx\r\n", "2 \r\nab\r\n", "1;\r\nx\r\n"}
	ends := []string{"0\r\n\r\n", "0\r\nX: y\r\n\r\n", "0;a\r\nCookie: a\r\nY: z\r\n\r\n", "0\r\nHost: a\r\n\r\n", "", "00\r\n\r\nnext"}
	rapid.Check(t, func(t *rapid.T) {
		data := strings.Join(rapid.SliceOfN(rapid.SampledFrom(chunks), 0, 4).Draw(t, "chunks"), "") + rapid.SampledFrom(ends).Draw(t, "end")
		if data != "" {
			data = mutate(t, data)
		}
		compareChunked(t, data)
	})
}

// TestTextEnd compares the scan by 8 bytes with a plain one.
func TestTextEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.SampledFrom([]byte("aaaaaaaaaaaaaaa \t~\x80\xff\x9f\x1f\x7f\r\n\x00\x21\x20")), 0, 40).Draw(t, "bytes")
		from := rapid.IntRange(0, len(p)).Draw(t, "from")
		want := from
		for want < len(p) && (p[want] == '\t' || p[want] >= 0x20 && p[want] != 0x7F) {
			want++
		}
		if got := textEnd(p, from); got != want {
			t.Fatalf("textEnd(%q, %d) = %d, want %d", p, from, got, want)
		}
	})
}

func FuzzReadRequest(f *testing.F) {
	for i, line := range firstLines {
		f.Add(line + fieldLines[0] + fieldLines[i] + "\r\n" + bodies[i%len(bodies)])
	}
	for _, line := range fieldLines {
		f.Add(firstLines[0] + fieldLines[0] + line + "\r\n" + bodies[3])
	}
	f.Fuzz(func(t *testing.T, data string) { compareRequest(t, data) })
}

func FuzzReadResponse(f *testing.F) {
	for _, line := range statusLines {
		f.Add(line+fieldLines[14]+fieldLines[12]+"\r\n", true, true)
		f.Add(line+fieldLines[3]+"\r\n"+bodies[1], false, false)
	}
	for _, line := range fieldLines {
		f.Add(statusLines[0]+line+"\r\n"+bodies[3], false, false)
	}
	f.Fuzz(func(t *testing.T, data string, isHead, asked101 bool) {
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		compareResponse(t, data, method, asked101)
	})
}

func FuzzChunked(f *testing.F) {
	for _, body := range bodies {
		f.Add(body)
	}
	f.Add("1;a=\"\\\x80\\\"\";b=c\r\nx\r\n0\r\nX: y\r\nCookie: z\r\n\r\n")
	f.Add("7fffffffffffffff\r\nx")
	f.Fuzz(func(t *testing.T, data string) { compareChunked(t, data) })
}
