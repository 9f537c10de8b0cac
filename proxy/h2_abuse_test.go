package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"sluice/proxy/h1"
)

// TestAbuseEndsTheConnection: each flood is bounded and counted, and the server
// lives on.
func TestAbuseEndsTheConnection(t *testing.T) {
	const many = 20_000
	for _, test := range []struct {
		kind  string
		flood func(c *frames2, i int) error
	}{
		{"rapid_reset", func(c *frames2, i int) error {
			c.request(uint32(2*i+1), true, "GET", "/")
			return c.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}},
		{"rapid_reset", func(c *frames2, i int) error { // the server is made to reset
			c.request(uint32(2*i+1), false, "POST", "/")
			return c.WriteWindowUpdate(uint32(2*i+1), 0)
		}},
		{"rapid_reset", func(c *frames2, i int) error { // malformed requests
			c.headers(uint32(2*i+1), true, ":method", "GET")
			return nil
		}},
		{"ping_flood", func(c *frames2, i int) error { return c.WritePing(false, [8]byte{}) }},
		{"ping_flood", func(c *frames2, i int) error { return c.WritePing(true, [8]byte{}) }},
		{"settings_flood", func(c *frames2, i int) error { return c.WriteSettings() }},
		{"settings_flood", func(c *frames2, i int) error { return c.WriteSettingsAck() }},
		{"priority_flood", func(c *frames2, i int) error {
			return c.WritePriority(uint32(2*i+1), http2.PriorityParam{})
		}},
		{"priority_flood", func(c *frames2, i int) error { return c.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x01u=1")) }},
		{"priority_flood", func(c *frames2, i int) error { return c.WriteRawFrame(0xbe, 0, 0, nil) }},
		{"empty_frames", func(c *frames2, i int) error {
			if i == 0 {
				c.request(1, false, "POST", "/")
			}
			return c.WriteData(1, false, nil)
		}},
		{"empty_frames", func(c *frames2, i int) error {
			if i == 0 {
				c.request(1, false, "POST", "/")
			}
			return c.WriteDataPadded(1, false, nil, make([]byte, 9))
		}},
		{"window_update_flood", func(c *frames2, i int) error { return c.WriteWindowUpdate(0, 1) }},
		{"continuation_flood", func(c *frames2, i int) error {
			if i == 0 {
				c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block(":method", "GET")})
			}
			return c.WriteContinuation(1, false, nil)
		}},
		{"continuation_flood", func(c *frames2, i int) error {
			if i == 0 {
				c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block(":method", "GET")})
			}
			return c.WriteContinuation(1, false, bytes.Repeat(c.block("x-a", strings.Repeat("b", 4000)), 4))
		}},
		{"header_bomb", func(c *frames2, i int) error {
			// An entry of 4,000 bytes, named 30 times: 120 KB out of 30 bytes.
			bomb := append(c.block(":method", "GET", ":scheme", "http", ":authority", "a.example", ":path", "/", "x", strings.Repeat("y", 4000)),
				bytes.Repeat([]byte{0x80 | 62}, 30)...)
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: bomb, EndStream: true, EndHeaders: true})
		}},
	} {
		t.Run(test.kind, func(t *testing.T) {
			b := newRecorder(t, nil)
			r := newRig(t, map[string]string{"v1": b.addr}, h2c)
			c := r.dial2()
			go func() {
				for i := 0; i < many && test.flood(c, i) == nil; i++ {
				}
			}()
			c.expectCalm()
			eventually(t, "it is counted", func() bool { return r.abuses(test.kind) == 1 })
			r.drop(c)
			other := r.dial2()
			other.request(1, true, "GET", "/")
			other.expectAnswer(1, 200, 2)
			r.drop(other)
		})
	}
}

// TestAnswersThatNobodyReads: what the client makes the server say is bounded
// where the client does not listen.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, always("HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n"+strings.Repeat("x", 600_000)))
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	nc := r.dial()
	// The kernel shall take little on either side's behalf: it takes megabytes
	// else, and some more whenever it has found room for them.
	nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	c := speak2(t, nc, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	r.onlyConn2().sock.NetConn().(*net.TCPConn).SetWriteBuffer(4 << 10)
	c.WriteWindowUpdate(0, 1<<30)
	for i := range 20 { // fills the socket, and the queue
		c.request(uint32(2*i+1), true, "GET", "/")
	}
	same, since := 0, int64(0) // the write under way is still that of so many looks ago
	eventually(t, "the writer waits for the client", func() bool {
		conn := r.onlyConn2()
		conn.mu.Lock()
		defer conn.mu.Unlock()
		if same++; conn.writeBy != since || conn.writeBy == 0 {
			same, since = 0, conn.writeBy
		}
		return same > 100
	})
	// No allowance is overdrawn, but all together are too much.
	for i := range 150 {
		c.headers(uint32(2*i+1001), true, ":method", "GET")
	}
	for range 90 {
		c.WritePing(false, [8]byte{})
	}
	for range 25 {
		c.WriteSettings()
	}
	eventually(t, "it is counted", func() bool { return r.abuses("control_flood") == 1 })
	r.drop(c)
}

// onlyConn2 returns the one connection that there is.
func (r *rig) onlyConn2() *conn2 {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	for c := range r.srv.conns {
		if c, ok := c.(*conn2); ok {
			return c
		}
	}
	r.t.Fatal("no HTTP/2 connection")
	return nil
}

// bigBackend answers each request with so many bytes.
func bigBackend(t *testing.T, size int) string {
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		for piece := make([]byte, 64<<10); size > 0; size -= len(piece) {
			if _, err := w.Write(piece[:min(size, len(piece))]); err != nil {
				return
			}
		}
	})
}

// TestHeadersThatAreTooLong are answered with 431, and the table stays right.
func TestHeadersThatAreTooLong(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.Limits = h1.Limits{HeadBytes: 2 << 10, Fields: 16} })
	c := r.dial2()
	c.request(1, true, "GET", "/", "x-long", strings.Repeat("a", 3000), "x-kept", "in the table")
	c.expect("HEADERS 1 :status=431")
	c.expect("DATA 1 END")
	c.request(3, true, "GET", "/", "x-kept", "in the table")
	c.expectAnswer(3, 200, 2)
	if m := b.one(); m.get("x-kept") != "in the table" {
		t.Errorf("%v", m.fields)
	}
	var many []string
	for i := range 17 {
		many = append(many, fmt.Sprintf("x-%d", i), "y")
	}
	c.request(5, true, "HEAD", "/", many...)
	c.expect("HEADERS 5 END :status=431")
	c.request(7, false, "POST", "/", many...)
	c.expect("HEADERS 7 :status=431")
	c.expect("DATA 7 END")
	c.expect("RST_STREAM 7 NO_ERROR")
	if n := r.stats.Process().Refused[431]; n != 3 {
		t.Errorf("%d counted", n)
	}
	c.alive(9)
	r.drop(c)
}

// TestAClientThatNeverOpensItsWindow: the stream ends, the connection doesn't.
func TestAClientThatNeverOpensItsWindow(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.BodyTimeout = short })
	c := r.dial2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.request(1, true, "GET", "/")
	c.expect("HEADERS 1 :status=200")
	c.expect("RST_STREAM 1 CANCEL")
	if s := r.v1(); s.Requests != 1 {
		t.Errorf("%d requests", s.Requests)
	}
	// One that opens it byte by byte gets byte by byte.
	c.request(3, true, "GET", "/")
	c.expect("HEADERS 3 :status=200")
	c.WriteWindowUpdate(3, 1)
	c.expect("DATA 3 1")
	c.WriteWindowUpdate(3, 1)
	c.expect("DATA 3 END 1")
	r.drop(c)
}

// TestTinyWindowsAreAnAbuse in the long run.
func TestTinyWindowsAreAnAbuse(t *testing.T) {
	b := newRecorder(t, always("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"+strings.Repeat("x", 60000)))
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	c.request(1, true, "GET", "/")
	go func() {
		for c.WriteWindowUpdate(1, 1) == nil {
		}
	}()
	c.expectCalm()
	eventually(t, "it is counted", func() bool { return r.abuses("window_update_flood") == 1 })
	r.drop(c)
}

// TestUpdatesForEachFrameAreNoAbuse: some clients give back both windows for
// each frame that they get.
func TestUpdatesForEachFrameAreNoAbuse(t *testing.T) {
	const size = 40 << 20
	addr := bigBackend(t, size)
	r := newRig(t, map[string]string{"v1": addr}, h2c)
	c := r.dial2()
	c.request(1, true, "GET", "/")
	c.expect("HEADERS 1 :status=200")
	for got := 0; got < size; {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %d bytes", err, got)
		}
		if d, ok := f.(*http2.DataFrame); ok {
			got += len(d.Data())
			c.WriteWindowUpdate(0, uint32(len(d.Data())))
			c.WriteWindowUpdate(1, uint32(len(d.Data())))
		} else {
			t.Fatalf("%v after %d bytes", f, got)
		}
	}
	r.drop(c)
}

// TestStreamsBeyondTheLimitAreRefused, and can be sent again.
func TestStreamsBeyondTheLimitAreRefused(t *testing.T) {
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	for i := range maxStreams {
		c.request(uint32(2*i+1), true, "GET", "/held")
	}
	c.request(2*maxStreams+1, true, "GET", "/")
	c.expect(fmt.Sprintf("RST_STREAM %d REFUSED_STREAM", 2*maxStreams+1))
	close(letGo)
	for range maxStreams {
		c.expect("HEADERS")
		c.expect("DATA")
	}
	c.alive(2*maxStreams + 3)
	r.drop(c)
}

// TestHeadsThatTrickleIn end with their time, frames and blocks alike.
func TestHeadsThatTrickleIn(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.listener.HeadTimeout = short })
	for name, begin := range map[string]func(c *frames2){
		"a frame that stops": func(c *frames2) { io.WriteString(c.nc, "\x00\x00\x20\x01\x05\x00\x00\x00\x01abc") },
		"a block that is not ended": func(c *frames2) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.block(":method", "GET")})
		},
		"a block beside other streams": func(c *frames2) { c.alive(1); c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3}) },
	} {
		t.Run(name, func(t *testing.T) {
			c := r.dial2()
			begin(c)
			for got := ""; !strings.HasPrefix(got, "GOAWAY"); {
				if got = c.next(); strings.HasPrefix(got, "end") {
					t.Fatal(got)
				}
			}
			r.drop(c)
		})
	}
	nc := r.dial()
	io.WriteString(nc, "PRI * HTTP/2.0\r\n") // and no more
	readAll(t, nc)
}

// TestTheTableOfARefusedStream: its block is decoded all the same.
func TestTheTableOfARefusedStream(t *testing.T) {
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	for i := range maxStreams {
		c.request(uint32(2*i+1), true, "GET", "/held")
	}
	c.request(2*maxStreams+1, true, "GET", "/refused", "x-new", "value")
	c.expect(fmt.Sprintf("RST_STREAM %d REFUSED_STREAM", 2*maxStreams+1))
	close(letGo)
	for range maxStreams {
		c.expect("HEADERS")
		c.expect("DATA")
	}
	b.take()
	c.request(2*maxStreams+3, true, "GET", "/again", "x-new", "value")
	c.expectAnswer(2*maxStreams+3, 200, 2)
	if m := b.one(); m.get("x-new") != "value" {
		t.Errorf("%v", m.fields)
	}
	r.drop(c)
}
