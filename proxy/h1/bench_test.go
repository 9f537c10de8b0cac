package h1

import (
	"io"
	"strings"
	"testing"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

const (
	curlRequest = "GET /v1/items?page=2 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"

	// mediumRequest is about 500 bytes in 10 fields.
	mediumRequest = "GET /static/assets/app/main.css?v=20261122 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/css,*/*;q=0.1\r\n" +
		"Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: https://shop.example.com/catalogue/page/2\r\n" +
		"Cookie: sluice_web=v1.12.6f0c1f2e; theme=dark; basket=3a51e7d2\r\nCache-Control: max-age=0\r\nX-Request-Id: 0f3c2c1e-7a39-4b77-9f0e-6d6c0b1d9a55\r\nDNT: 1\r\n\r\n"

	plainResponse = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 0\r\nConnection: keep-alive\r\nETag: \"65f2c1d0-c8\"\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\n\r\n"
)

var (
	// browserRequest is 1.5 KB, most of it cookies.
	browserRequest = strings.Replace(mediumRequest, "theme=dark", "theme=dark; session="+strings.Repeat("Zm9vYmFy", 100), 1)
	browserFields  = "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nUpgrade-Insecure-Requests: 1\r\n" +
		"sec-ch-ua: \"Chromium\";v=\"142\", \"Not A Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\r\n"

	chunkedBody = strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 10) + "0\r\n\r\n"
)

// again is a Filler that gives the same data each time.
type again struct{ data string }

func (a *again) Fill(b *buffer.Buffer) error {
	b.Wrote(copy(b.Space(), a.data))
	return nil
}

// reader holds what reads one message after the other.
type reader struct {
	b    buffer.Buffer
	fill again
	req  head.Request
	res  head.Response
	body Body
}

func (r *reader) request() error {
	err := ReadRequest(&r.b, &r.fill, &r.req, nil, nil)
	r.b.Drop()
	return err
}

func (r *reader) response() error {
	err := ReadResponse(&r.b, &r.fill, "GET", false, &r.res, nil)
	r.b.Drop()
	return err
}

func (r *reader) chunked() error {
	r.body.Init(&r.b, &r.fill, head.Chunked)
	for {
		if _, err := r.body.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func benchmark(b *testing.B, data string, read func(*reader) error) {
	r := reader{fill: again{data}}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := read(&r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequestCurl(b *testing.B)   { benchmark(b, curlRequest, (*reader).request) }
func BenchmarkRequestMedium(b *testing.B) { benchmark(b, mediumRequest, (*reader).request) }
func BenchmarkRequestBrowser(b *testing.B) {
	benchmark(b, strings.TrimSuffix(browserRequest, CRLF)+browserFields, (*reader).request)
}
func BenchmarkResponse(b *testing.B)    { benchmark(b, plainResponse, (*reader).response) }
func BenchmarkChunkedBody(b *testing.B) { benchmark(b, chunkedBody, (*reader).chunked) }
func BenchmarkRefused(b *testing.B) {
	r := reader{fill: again{strings.Replace(curlRequest, "Accept:", "Accept :", 1)}}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.request(); err == nil {
			b.Fatal("accepted")
		}
		r.b.Free()
	}
}

func BenchmarkAppendHead(b *testing.B) {
	r := reader{fill: again{mediumRequest}}
	if err := ReadRequest(&r.b, &r.fill, &r.req, nil, nil); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		out = AppendRequestLine(out[:0], r.req.Method, r.req.Target)
		for i := range r.req.Fields {
			out = AppendField(out, r.req.Fields[i].Name, r.req.Fields[i].Value)
		}
		out = append(out, CRLF...)
	}
}

// TestNoAllocations proves what the package promises: a message costs no
// allocation, and neither does refusing one.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	refused := strings.Replace(curlRequest, "Accept:", "Accept :", 1)
	out := make([]byte, 0, 4096)
	for _, tc := range []struct {
		name, data string
		act        func(*reader) error
	}{
		{"request", mediumRequest, (*reader).request},
		{"browser's request", browserRequest, (*reader).request},
		{"absolute form", "GET http://[::1]:80/x?y HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", (*reader).request},
		{"response", plainResponse, (*reader).response},
		{"chunked body", chunkedBody, (*reader).chunked},
		{"chunked body with trailers", "1;a=b\r\nx\r\n0\r\nGrpc-Status: 0\r\n\r\n", (*reader).chunked},
		{"refused request", refused, func(r *reader) error {
			if r.request() == nil {
				t.Error("accepted")
			}
			r.b.Consume(r.b.Len())
			return nil
		}},
		{"simple response", "", func(*reader) error {
			out = AppendSimpleResponse(out[:0], 503, "no endpoint", true, head.Field{Name: "Retry-After", Value: "1"})
			return nil
		}},
	} {
		r := reader{fill: again{tc.data}}
		n := testing.AllocsPerRun(100, func() {
			if err := tc.act(&r); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", tc.name, n)
		}
		r.b.Free()
	}
}
