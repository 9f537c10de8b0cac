package hpack

import (
	"bytes"
	"strings"
	"testing"

	twin "golang.org/x/net/http2/hpack"

	"sluice/proxy/head"
)

// browserRequest is what Chromium sends for a page.
var browserRequest = []string{
	":method: GET", ":authority: shop.example.com", ":scheme: https", ":path: /static/assets/app/main.css?v=20261122",
	`sec-ch-ua: "Chromium";v="142", "Not A Brand";v="99"`, "sec-ch-ua-mobile: ?0", `sec-ch-ua-platform: "Linux"`, "upgrade-insecure-requests: 1",
	"user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
	"sec-fetch-site: same-origin", "sec-fetch-mode: navigate", "sec-fetch-user: ?1", "sec-fetch-dest: document",
	"referer: https://shop.example.com/catalogue/page/2", "accept-encoding: gzip, deflate, br, zstd", "accept-language: en-GB,en;q=0.9",
	"cookie: sluice_web=v1.12.6f0c1f2e", "cookie: theme=dark", "cookie: basket=3a51e7d2", "priority: u=0, i",
}

// encode returns the blocks of a connection that sends the fields each time
// with another path.
func encode(tb testing.TB, fields []string, times int) [][]byte {
	var blocks [][]byte
	var block bytes.Buffer
	e := twin.NewEncoder(&block)
	for n := range times {
		block.Reset()
		for _, f := range list(fields...) {
			if f.Name == ":path" {
				f.Value += strings.Repeat("x", n)
			}
			if err := e.WriteField(twin.HeaderField{Name: f.Name, Value: f.Value, Sensitive: f.Name == ":path"}); err != nil {
				tb.Fatal(err)
			}
		}
		blocks = append(blocks, bytes.Clone(block.Bytes()))
	}
	return blocks
}

// response appends a typical response.
func response(dst []byte) []byte {
	dst = AppendStatus(dst, 200)
	dst = AppendField(dst, "Server", "nginx/1.22.1")
	dst = AppendField(dst, "Date", "Sun, 22 Nov 2026 12:00:00 GMT")
	dst = AppendField(dst, "Content-Type", "application/json")
	dst = AppendContentLength(dst, 1234)
	dst = AppendField(dst, "ETag", `"65f2c1d0-c8"`)
	dst = AppendField(dst, "Cache-Control", "max-age=60")
	dst = AppendField(dst, "Vary", "Accept-Encoding")
	dst = AppendField(dst, "X-Request-Id", "0f3c2c1e-7a39-4b77-9f0e-6d6c0b1d9a55")
	return AppendField(dst, "Set-Cookie", "sluice_web=v1.12.6f0c1f2e; Path=/; HttpOnly; SameSite=Lax")
}

func TestNothingIsAllocated(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	blocks, wrong := encode(t, browserRequest, 2), []byte("\x82\xff")
	var d Decoder
	text, fields, out := make([]byte, 0, 4096), make([]head.Field, 0, 64), make([]byte, 0, 4096)
	if _, err := d.Decode(blocks[0], text, fields, 4096, 64); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(blocks[1], text, fields, 4096, 64); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a request that is in the table takes %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(blocks[0], text, fields, 4096, 64); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a request that is not in the table takes %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(wrong, text, fields, 4096, 64); err == nil {
			t.Fatal("a block that ends in the middle was decoded")
		}
	}); n != 0 {
		t.Errorf("refusing takes %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { response(out) }); n != 0 {
		t.Errorf("encoding takes %v allocations", n)
	}
}

// BenchmarkDecode decodes what a browser sends: the first request of a
// connection, and a later one.
func BenchmarkDecode(b *testing.B) {
	blocks := encode(b, browserRequest, 2)
	text, fields := make([]byte, 0, 4096), make([]head.Field, 0, 64)
	for i, name := range []string{"first", "later"} {
		b.Run(name, func(b *testing.B) {
			var d Decoder
			if _, err := d.Decode(blocks[0], text, fields, 4096, 64); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(blocks[i], text, fields, 4096, 64); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeTwin is BenchmarkDecode for golang.org/x/net.
func BenchmarkDecodeTwin(b *testing.B) {
	blocks := encode(b, browserRequest, 2)
	for i, name := range []string{"first", "later"} {
		b.Run(name, func(b *testing.B) {
			d := twin.NewDecoder(TableSize, func(twin.HeaderField) {})
			if _, err := d.Write(blocks[0]); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Write(blocks[i]); err != nil {
					b.Fatal(err)
				}
				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		response(out)
	}
}

// BenchmarkBomb is the worst that a block of 64 KiB can make a decoder do.
func BenchmarkBomb(b *testing.B) {
	name := append(append([]byte("\x40\x7f\x81\x1e"), bytes.Repeat([]byte("n"), 3968)...), 0)
	long := twin.AppendHuffmanString(nil, strings.Repeat("\x16", 64<<10*8/30))
	for _, c := range []struct {
		name  string
		block []byte
	}{
		{"entries", append(bytes.Clone(name), bytes.Repeat([]byte("\xbe"), 60<<10)...)},
		{"names", append(bytes.Clone(name), bytes.Repeat([]byte("\x7e\x00"), 30<<10)...)},
		{"insertions", bytes.Repeat([]byte("\x41\x00"), 32<<10)},
		{"long codes", append(appendInteger([]byte("\x0f\x00"), 0x80, 7, len(long)), long...)},
	} {
		b.Run(c.name, func(b *testing.B) {
			text, fields := make([]byte, 0, 256<<10), make([]head.Field, 0, 1000)
			b.ReportAllocs()
			for b.Loop() {
				var d Decoder
				if r, err := d.Decode(c.block, text, fields, 64<<10, 1000); err == nil && len(r.Fields) == 0 {
					b.Fatal("nothing was decoded")
				}
			}
		})
	}
}
