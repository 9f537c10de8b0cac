package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestMalformedRequestsOverHTTP2 are reset, or refused with a status, and never
// reach the endpoint; the connection goes on.
func TestMalformedRequestsOverHTTP2(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	id := uint32(1)
	base := []string{":method", "GET", ":scheme", "http", ":authority", "a.example", ":path", "/"}
	with := func(fields ...string) []string { return append(append([]string(nil), base...), fields...) }
	instead := func(name, value string) []string {
		f := with()
		for i := 0; i < len(f); i += 2 {
			if f[i] == name {
				f[i+1] = value
			}
		}
		return f
	}
	const reset = 0
	for _, test := range []struct {
		status int
		fields []string
	}{
		{reset, base[2:]},
		{reset, base[:6]},
		{reset, with(":path", "/")},
		{reset, with("a", "b", ":extra", "c")},
		{reset, with(":status", "200")},
		{reset, with("Upper", "x")},
		{reset, with("a b", "x")},
		{reset, with("", "x")},
		{reset, with("connection", "close")},
		{reset, with("transfer-encoding", "chunked")},
		{reset, with("upgrade", "h2c")},
		{reset, with("keep-alive", "1")},
		{reset, with("proxy-connection", "x")},
		{reset, with("te", "gzip")},
		{reset, with("te", "trailers, deflate")},
		{reset, with("x", "a\r\nb: c")},
		{reset, with("x", "a\x00b")},
		{reset, with("host", "other.example")},
		{reset, with("host", "a.example", "host", "a.example")},
		{reset, with("content-length", "5")},
		{reset, with("content-length", "0", "content-length", "0")},
		{reset, with("content-length", "+1")},
		{reset, instead(":path", "")},
		{reset, []string{":method", "CONNECT", ":authority", "a.example", ":path", "/"}},
		{reset, with(":protocol", "websocket")},
		{reset, with("x", "a\x01b")},
		{reset, with("x", "a\x7fb")},
		{400, instead(":path", "no/slash")},
		{400, instead(":path", "/a b")},
		{reset, instead(":path", "/a\r\nX: y")},
		{400, instead(":path", "/%zz")},
		{400, instead(":path", "*")},
		{400, instead(":path", "http://other.example/")},
		{400, instead(":method", "G E T")},
		{reset, instead(":method", "GET / HTTP/1.1\r\nx:")},
		{400, instead(":scheme", "ftp")},
		{400, instead(":authority", "")},
		{400, instead(":authority", "user@a.example")},
		{400, instead(":authority", "a.example:99999")},
		{414, instead(":path", "/"+strings.Repeat("a", 33<<10))},
		{417, with("expect", "other")},
		{501, []string{":method", "CONNECT", ":authority", "a.example:443"}},
		{501, []string{":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "http", ":authority", "a.example", ":path", "/"}},
	} {
		t.Run(fmt.Sprint(test.fields)[:min(60, len(fmt.Sprint(test.fields)))], func(t *testing.T) {
			block := c.block(test.fields...)
			for first := true; first || len(block) > 0; first = false {
				piece := block[:min(len(block), 16384)]
				block = block[len(piece):]
				if first {
					c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: piece, EndStream: true, EndHeaders: len(block) == 0})
				} else {
					c.WriteContinuation(id, len(block) == 0, piece)
				}
			}
			if test.status == reset {
				c.expect(fmt.Sprintf("RST_STREAM %d PROTOCOL_ERROR", id))
			} else {
				c.expect(fmt.Sprintf("HEADERS %d :status=%d", id, test.status))
				c.expect(fmt.Sprintf("DATA %d END", id))
			}
			id += 2
		})
	}
	if seen, _ := b.take(); len(seen) > 0 {
		t.Errorf("the endpoint saw %v", shorts(seen))
	}
	c.alive(id)
	r.drop(c)
}

// TestWhatTheEndpointSees of requests over HTTP/2.
func TestWhatTheEndpointSees(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.request(1, true, "GET", "/?q", "cookie", "a=b", "x-two", "1", "cookie", "c=d", "te", "trailers")
	c.expectAnswer(1, 200, 2)
	m := b.one()
	if m.get("cookie") != "a=b; c=d" || m.get("host") != "a.example" || m.get("via") != "2 sluice" || m.get("te") != "trailers" ||
		m.get("connection") != "TE" || m.has("content-length") || m.has("transfer-encoding") || m.target != "/?q" {
		t.Errorf("%v", m)
	}
	// A body that comes whole with its head is sent with its length.
	c.request(3, false, "POST", "/", "te", "trailers")
	c.WriteData(3, true, []byte("hello"))
	c.expectAnswer(3, 200, 2)
	if m := b.one(); m.body != "hello" {
		t.Errorf("%v", m)
	}
	// Trailers come after it; those that matter to framing or routing don't.
	c.request(5, false, "POST", "/")
	c.WriteData(5, false, []byte("hel"))
	c.WriteData(5, false, []byte("lo"))
	c.headers(5, true, "x-sum", "5", "range", "bytes=0-")
	c.expectAnswer(5, 200, 2)
	if m := b.one(); m.body != "hello" || fmt.Sprint(m.trailers) != "[[x-sum 5]]" {
		t.Errorf("%v %v", m, m.trailers)
	}
	c.request(7, true, "OPTIONS", "*")
	c.expectAnswer(7, 200, 2)
	if m := b.one(); m.target != "*" {
		t.Errorf("%v", m)
	}
	c.headers(9, true, ":method", "GET", ":scheme", "https", ":path", "/", "host", "b.example")
	c.expectAnswer(9, 200, 2)
	if m := b.one(); m.get("host") != "b.example" {
		t.Errorf("%v", m)
	}
	r.drop(c)
}

// TestContentLengthAgainstData: a request whose body is not as long as it says
// is reset, and the endpoint gets no whole request.
func TestContentLengthAgainstData(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.request(1, false, "POST", "/", "content-length", "5")
	c.WriteData(1, true, []byte("four"))
	c.expect("RST_STREAM 1 PROTOCOL_ERROR")
	c.request(3, false, "POST", "/", "content-length", "5")
	c.WriteData(3, false, []byte("six..."))
	c.expect("RST_STREAM 3 PROTOCOL_ERROR")
	c.request(5, false, "POST", "/", "content-length", "5")
	c.WriteData(5, false, []byte("fo"))
	c.headers(5, true, "x", "y")
	c.expect("RST_STREAM 5 PROTOCOL_ERROR")
	// END_STREAM may come in a frame of its own.
	c.request(7, false, "POST", "/", "content-length", "5")
	c.WriteData(7, false, []byte("hello"))
	c.WriteData(7, true, nil)
	c.expectAnswer(7, 200, 2)
	eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
	seen, _ := b.take()
	if fmt.Sprint(shorts(seen)) != `[POST / "hello"]` && len(seen) != 1 {
		t.Errorf("the endpoint saw %v", shorts(seen))
	}
	r.drop(c)
}

// TestACancelledRequestEndsTheEndpointsConnection soon, and counts as aborted.
func TestACancelledRequestEndsTheEndpointsConnection(t *testing.T) {
	b, letGo := heldBackend(t)
	defer close(letGo)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.request(1, true, "GET", "/held")
	c.request(3, false, "POST", "/held") // whose body is under way
	eventually(t, "they are under way", func() bool { return r.clusters["v1"].InUse() == 2 })
	c.WriteRSTStream(1, http2.ErrCodeCancel)
	c.WriteRSTStream(3, http2.ErrCodeCancel)
	eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
	eventually(t, "they count as aborted", func() bool { return r.v1().Aborted == 2 })
	if s := r.v1(); s.Requests != 2 {
		t.Errorf("%+v", s)
	}
	c.alive(5)
	// So does a connection that is lost.
	c.request(7, true, "GET", "/held")
	eventually(t, "it is under way", func() bool { return r.clusters["v1"].InUse() == 1 })
	r.drop(c)
}

// TestAResponseThatIsCutOff must not look whole.
func TestAResponseThatIsCutOff(t *testing.T) {
	b := newRecorder(t, last("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour"))
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.request(1, true, "GET", "/")
	c.expect("HEADERS 1 :status=200")
	c.expect("DATA 1 4")
	c.expect("RST_STREAM 1 INTERNAL_ERROR")
	r.drop(c)
}

// TestAnAnswerBeforeTheBodysEnd is whole, and the rest is not asked for.
func TestAnAnswerBeforeTheBodysEnd(t *testing.T) {
	b := newRecorder(t, nil)
	b.answerHead = func(c net.Conn, m *message) bool {
		io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		return true
	}
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.request(1, false, "POST", "/", "content-length", "1000000")
	c.WriteData(1, false, make([]byte, 1000))
	c.expectAnswer(1, 403, 2)
	c.expect("RST_STREAM 1 NO_ERROR")
	c.WriteData(1, false, make([]byte, 1000)) // was on its way
	b.answerHead = nil
	c.alive(3)
	r.drop(c)
}

// TestInterimResponsesAndTrailersOverHTTP2 pass both ways.
func TestInterimResponsesAndTrailersOverHTTP2(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Trailer", "X-Sum")
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got", string(body)+r.Trailer.Get("X-In"))
		w.WriteHeader(200)
		io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "4")
	})
	r := newRig(t, map[string]string{"v1": addr}, h2c)
	var hints []string
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		},
	})
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+r.addr+"/", io.MultiReader(strings.NewReader("in")))
	req.Trailer = http.Header{"X-In": {"trailer"}}
	res, body := r.do(client2(t, nil), req)
	if body != "body" || res.Header.Get("X-Got") != "intrailer" || res.Trailer.Get("X-Sum") != "4" || fmt.Sprint(hints) != "[103</a.css>; rel=preload]" {
		t.Errorf("%q, %v, trailers %v, hints %v", body, res.Header, res.Trailer, hints)
	}
}

// TestResponsesWithoutBodyOverHTTP2.
func TestResponsesWithoutBodyOverHTTP2(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	for i, test := range []struct{ method, response, want string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "END :status=200 content-length=5"},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", "END :status=204"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", "END :status=304 etag=x content-length=5"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "END :status=200 content-length=0"},
		{"GET", "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n", "END :status=200 content-length=0"},
	} {
		b.answer = always(test.response)
		c.request(uint32(2*i+1), true, test.method, "/")
		if got := c.expect(fmt.Sprintf("HEADERS %d", 2*i+1)); !strings.HasSuffix(got, test.want) {
			t.Errorf("%s: %q", test.method, got)
		}
	}
	b.answer = always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	c.request(101, true, "GET", "/")
	c.expect("HEADERS 101 END :status=200")
	b.answer = always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n")
	c.request(103, true, "GET", "/", "te", "trailers")
	c.expect("HEADERS 103 :status=200")
	c.expect("HEADERS 103 END x-t=1")
	r.drop(c)
}

// TestTheEndIsNotLostWhenTheQueueIsFull: an empty DATA frame that ends a stream
// waits for room as others do.
func TestTheEndIsNotLostWhenTheQueueIsFull(t *testing.T) {
	const streams, size = 60, 300_000
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		for n := 0; n < size; n += 10_000 {
			w.Write(make([]byte, 10_000))
			w.(http.Flusher).Flush()
		}
	})
	r := newRig(t, map[string]string{"v1": addr}, h2c)
	c := r.dial2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	c.WriteWindowUpdate(0, 1<<30)
	for i := range streams {
		c.request(uint32(2*i+1), true, "GET", "/")
	}
	got, ends := map[uint32]int{}, 0
	for ends < streams {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %d ends", err, ends)
		}
		if d, ok := f.(*http2.DataFrame); ok {
			got[d.StreamID] += len(d.Data())
			if d.StreamEnded() {
				ends++
				if got[d.StreamID] != size {
					t.Errorf("stream %d: %d bytes", d.StreamID, got[d.StreamID])
				}
			}
		}
	}
	r.drop(c)
}

// TestStreamsTakeTurns: a short answer does not wait for a long one.
func TestStreamsTakeTurns(t *testing.T) {
	const size = 8 << 20
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n := 1000
		if r.URL.Path == "/long" {
			n = size
		}
		w.Header().Set("Content-Length", fmt.Sprint(n))
		w.Write(make([]byte, n))
	})
	r := newRig(t, map[string]string{"v1": addr}, h2c)
	c := r.dial2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	c.WriteWindowUpdate(0, 1<<30)
	for id := uint32(1); id < 9; id += 2 {
		c.request(id, true, "GET", "/long")
		c.expect("")
	}
	c.request(9, true, "GET", "/short")
	long := 0
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamID == 9 && d.StreamEnded() {
			break
		} else if ok {
			long += len(d.Data())
		}
	}
	if long >= 3*size {
		t.Errorf("%d bytes of the long ones came first", long)
	}
	r.drop(c)
}

// TestBodyTimesOverHTTP2: a body that stops coming ends its stream.
func TestBodyTimesOverHTTP2(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.BodyTimeout = short })
	c := r.dial2()
	c.request(1, false, "POST", "/")
	c.WriteData(1, false, []byte("some"))
	c.expect("RST_STREAM 1 CANCEL")
	c.alive(3)
	r.drop(c)
}

// TestBodiesTooLongOverHTTP2: told beforehand, or found out.
func TestBodiesTooLongOverHTTP2(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.BodyBytes = 1000 })
	c := r.dial2()
	c.request(1, false, "POST", "/", "content-length", "1001")
	c.expect("HEADERS 1 :status=413")
	c.expect("DATA 1 END")
	c.expect("RST_STREAM 1 NO_ERROR")
	c.request(3, false, "POST", "/")
	c.WriteData(3, false, make([]byte, 600))
	c.WriteData(3, false, make([]byte, 600))
	c.expect("HEADERS 3 :status=413")
	c.expect("DATA 3 END")
	c.expect("RST_STREAM 3 NO_ERROR")
	c.alive(5)
	r.drop(c)
}

// TestIdleHTTP2ConnectionsEnd with a GOAWAY, and PINGs don't keep them.
func TestIdleHTTP2ConnectionsEnd(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.IdleTimeout = 2 * short })
	c := r.dial2()
	c.request(1, true, "GET", "/")
	c.expectAnswer(1, 200, 2)
	c.WritePing(false, [8]byte{1})
	c.expect("PING true")
	c.expect("GOAWAY 1 NO_ERROR")
	if got := c.next(); !strings.HasPrefix(got, "end") {
		t.Errorf("%q follows", got)
	}
	r.drop(c)
}

// TestStoppingOverHTTP2: what is under way, and what was on its way, is served.
func TestStoppingOverHTTP2(t *testing.T) {
	t.Parallel()
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.request(1, true, "GET", "/held")
	eventually(t, "it is under way", func() bool { return r.clusters["v1"].InUse() == 1 })
	ended := r.shutdown(5 * time.Second)
	c.expect("GOAWAY 2147483647 NO_ERROR")
	c.expect("PING false goodbye.")
	c.request(3, true, "GET", "/")
	c.expectAnswer(3, 200, 2)
	c.WritePing(true, [8]byte([]byte("goodbye.")))
	c.expect("GOAWAY 3 NO_ERROR")
	c.request(5, true, "GET", "/")
	c.expect("RST_STREAM 5 REFUSED_STREAM")
	close(letGo)
	c.expectAnswer(1, 200, 2)
	c.expect("GOAWAY 5 NO_ERROR")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStoppingIdleHTTP2Connections: one whose client says nothing ends by
// itself.
func TestStoppingIdleHTTP2Connections(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	silent, polite := r.dial2(), r.dial2()
	ended := r.shutdown(5 * time.Second)
	polite.expect("GOAWAY 2147483647 NO_ERROR")
	polite.expect("PING false")
	polite.WritePing(true, [8]byte([]byte("goodbye.")))
	polite.expect("GOAWAY 0 NO_ERROR")
	silent.expect("GOAWAY 2147483647")
	silent.expect("PING")
	silent.expect("GOAWAY 0 NO_ERROR")
	silent.nc.Close()
	polite.nc.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestARetiredListenerSaysGoodbye to its HTTP/2 connections.
func TestARetiredListenerSaysGoodbye(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.alive(1)
	if err := r.srv.Listen(nil); err != nil {
		t.Fatal(err)
	}
	c.expect("DATA 1")
	c.expect("GOAWAY 2147483647 NO_ERROR")
	r.drop(c)
}

// TestOnlyHTTP2 is served where HTTP/1 is not.
func TestOnlyHTTP2(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.NoH1 = true })
	c := r.dial2()
	c.alive(1)
	c.nc.Close()
	nc := r.dial()
	io.WriteString(nc, get("/"))
	if got := readAll(t, nc); strings.Contains(got, "HTTP/1.1") {
		t.Errorf("%q", got)
	}
	server, tlsClient := tlsConfigs(t)
	server.NextProtos = []string{"h2"}
	r = newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.TLS, r.listener.NoH1 = server, true })
	tc := r.dialTLS(tlsClient) // without ALPN
	io.WriteString(tc, get("/"))
	if got := readAll(t, tc); got != "" {
		t.Errorf("%q", got)
	}
}

// TestAClientThatLowersItsTable hears that the encoder has none (RFC 7541,
// section 4.2), once.
func TestAClientThatLowersItsTable(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
	for i, path := range []string{"/", "/", "bad"} {
		c.request(uint32(2*i+1), true, "GET", path)
		f, err := c.ReadFrame()
		if h, ok := f.(*http2.HeadersFrame); !ok || h.HeadersEnded() != (i > 0) || i == 0 && string(h.HeaderBlockFragment()) != "\x20" {
			t.Fatalf("%v, %v", f, err)
		}
		if i == 0 {
			if f, err := c.ReadFrame(); err != nil || !f.(*http2.ContinuationFrame).HeadersEnded() {
				t.Fatalf("%v, %v", f, err)
			}
		}
		c.expect("DATA")
	}
	r.drop(c)
}

// TestHTTP2NeedsAdequateTLS (RFC 9113, section 9.2.2).
func TestHTTP2NeedsAdequateTLS(t *testing.T) {
	b := newRecorder(t, nil)
	server, tlsClient := tlsConfigs(t)
	server.NextProtos = []string{"h2", "http/1.1"}
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.TLS = server })
	tlsClient.NextProtos = []string{"h2"}
	c := speak2(t, r.dialTLS(tlsClient))
	c.alive(1)
	r.drop(c)
	weak := tlsClient.Clone()
	weak.MaxVersion, weak.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	nc := r.dialTLS(weak)
	c = &frames2{Framer: http2.NewFramer(nc, nc), t: t, nc: nc}
	c.expect("GOAWAY 0 INADEQUATE_SECURITY")
	r.drop(c)
	if n := r.srv.workers.conns; n != 0 {
		t.Errorf("%d connections are counted", n)
	}
}
