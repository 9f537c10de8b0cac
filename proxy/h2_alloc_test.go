package proxy

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"sluice/proxy/h2"
	"sluice/proxy/h2/hpack"
)

// asker2 is an HTTP/2 client that asks the same thing again and again, and
// allocates nothing.
type asker2 struct {
	nc      net.Conn
	request []byte // as sent last
	streams int    // that a round opens
	in      [64 << 10]byte
	at, end int
}

// newAsker2 begins a connection that asks for streams answers at once. The body,
// if any, follows each head.
func newAsker2(t testing.TB, addr string, streams int, body string, fields ...string) *asker2 {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	a := &asker2{nc: nc, streams: streams}
	hello := append([]byte(h2.Preface), h2.AppendHeader(nil, 0, h2.SettingsFrame, 0, 0)...)
	nc.Write(h2.AppendWindowUpdate(hello, 0, 1<<30))
	for i := range streams {
		mark := len(a.request)
		a.request = append(a.request, make([]byte, h2.HeaderLen)...)
		for f := 0; f < len(fields); f += 2 {
			a.request = hpack.AppendField(a.request, fields[f], fields[f+1])
		}
		id := uint32(2*i + 1)
		a.request = h2.FinishHeaders(a.request, mark, id, body == "")
		if body != "" {
			a.request = h2.AppendData(a.request, id, []byte(body), true)
		}
	}
	return a
}

// ask sends the requests and reads until each is answered.
func (a *asker2) ask(t testing.TB) {
	a.nc.Write(a.request)
	for at := 0; at < len(a.request); { // the next round's streams
		h := h2.ParseHeader(a.request[at:])
		h2.AppendHeader(a.request[:at], h.Length, h.Type, h.Flags, h.Stream+uint32(2*a.streams))
		at += h2.HeaderLen + h.Length
	}
	for left := a.streams; left > 0; {
		for a.end-a.at < h2.HeaderLen || a.end-a.at < h2.HeaderLen+h2.ParseHeader(a.in[a.at:]).Length {
			a.end = copy(a.in[:], a.in[a.at:a.end])
			a.at = 0
			n, err := a.nc.Read(a.in[a.end:])
			if err != nil {
				t.Fatal(err)
			}
			a.end += n
		}
		h := h2.ParseHeader(a.in[a.at:])
		a.at += h2.HeaderLen + h.Length
		switch {
		case h.Type == h2.ResetStream || h.Type == h2.GoAway:
			t.Fatalf("%+v", h)
		case h.Type <= h2.Headers && h.Flags.Has(h2.EndStream):
			left--
		}
	}
}

// TestRequestsOverHTTP2AllocateNothing, one at a time or several at once.
func TestRequestsOverHTTP2AllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	get := []string{":method", "GET", ":scheme", "http", ":path", "/a/b?c=d", ":authority", "a.example", "user-agent", "test", "accept", "*/*"}
	post := []string{":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a.example", "content-length", "12"}
	for _, test := range []struct {
		name    string
		streams int
		body    string
		fields  []string
		end     string
	}{
		{"GET", 1, "", get, "\r\n\r\n"},
		{"4 streams", 4, "", get, "\r\n\r\n"},
		{"cookies in crumbs", 1, "", append(slices.Clone(get), "cookie", "a=b", "cookie", "sluice_web=1.94f1492df24517ec.v1"), "\r\n\r\n"},
		{"POST", 1, "hello, world", post, "hello, world"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := plainBackend(t, test.end)
			r := newRig(t, map[string]string{"v1": addr, "v2": addr}, h2c)
			a := newAsker2(t, r.addr, test.streams, test.body, test.fields...)
			if n := allocsPerAsk(t, func() { a.ask(t) }) / float64(test.streams); n > maxAllocs {
				t.Errorf("%.3f allocations a request", n)
			}
		})
	}
}

// BenchmarkProxyGetHTTP2 is BenchmarkProxyGet over HTTP/2 in the clear, with
// several streams at once: the time is that of all of them.
func BenchmarkProxyGetHTTP2(b *testing.B) {
	for _, streams := range []int{1, 4, 32} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			addr := plainBackend(b, "\r\n\r\n")
			r := newRig(b, map[string]string{"v1": addr}, h2c)
			a := newAsker2(b, r.addr, streams, "", ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a.example",
				"cookie", "sluice_web=1.94f1492df24517ec.v1")
			for range 100 {
				a.ask(b)
			}
			b.ReportAllocs()
			for b.Loop() {
				a.ask(b)
			}
		})
	}
}
