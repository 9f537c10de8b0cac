package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// connect2 opens a stream as a tunnel for a WebSocket.
func (c *frames2) connect2(id uint32) {
	c.headers(id, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a.example", ":path", "/chat",
		"sec-websocket-version", "13", "sec-websocket-protocol", "x", "sec-websocket-key", "the client's own")
}

// upgradeBackend answers upgrades with the right key and then runs talk.
func upgradeBackend(t *testing.T, talk func(c net.Conn)) *recorder {
	b := newRecorder(t, nil)
	plain := b.answer
	b.answer = func(c net.Conn, m *message) bool {
		if !m.has("Upgrade") {
			return plain(c, m)
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: x\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			acceptFor([]byte(m.get("Sec-WebSocket-Key"))))
		talk(c)
		return false
	}
	return b
}

// readData reads DATA of a stream until it is n bytes, or has ended for n < 0.
func (c *frames2) readData(id uint32, n int) (data []byte) {
	c.t.Helper()
	for n < 0 || len(data) < n {
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("%v after %d bytes", err, len(data))
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			data = append(data, f.Data()...)
			c.WriteWindowUpdate(0, uint32(max(1, len(f.Data()))))
			c.WriteWindowUpdate(id, uint32(max(1, len(f.Data()))))
			if f.StreamEnded() {
				return data
			}
		case *http2.WindowUpdateFrame:
		default:
			c.t.Fatalf("%v after %d bytes", f, len(data))
		}
	}
	return data
}

func TestWebSocketOverHTTP2(t *testing.T) {
	b := upgradeBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.connect2(1)
	c.expect("HEADERS 1 :status=200 sec-websocket-protocol=x")
	m := b.one()
	if m.method != "GET" || m.target != "/chat" || m.get("upgrade") != "websocket" || m.get("connection") != "upgrade" ||
		len(m.get("sec-websocket-key")) != keyLen || m.get("sec-websocket-version") != "13" {
		t.Errorf("%v %v", m, m.fields)
	}
	eventually(t, "the tunnel is counted", func() bool { return r.v1().TunnelsActive == 1 })
	for _, size := range []int{0, 5, 126, 20_000, 70_000} {
		sent := frame(2, bytes.Repeat([]byte("x"), size), true)
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 16384)
			c.WriteData(1, false, rest[:n])
			rest = rest[n:]
		}
		if got := c.readData(1, len(frame(2, make([]byte, size), false))); !bytes.HasSuffix(got, bytes.Repeat([]byte("x"), size)) {
			t.Fatalf("%d bytes came back as %d", size, len(got))
		}
	}
	c.alive(3) // other streams go on beside it
	c.WriteData(1, true, frame(8, nil, true))
	for !strings.HasPrefix(c.next(), "DATA 1 END") {
	}
	eventually(t, "the tunnel is counted as closed", func() bool { return r.v1().TunnelsActive == 0 })
	if s := r.v1(); s.TunnelsOpened != 1 || s.BytesIn < 90_000 || s.BytesOut < 90_000 {
		t.Errorf("%+v", s)
	}
	r.drop(c)
}

// TestTunnelsOverHTTP2End one way at a time, and by a reset of either side.
func TestTunnelsOverHTTP2End(t *testing.T) {
	got := make(chan string, 3)
	b := upgradeBackend(t, func(c net.Conn) {
		io.WriteString(c, "bye")
		closeWrite(c)
		all, _ := io.ReadAll(c)
		got <- string(all)
	})
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.service.Expose = true })
	c := r.dial2()
	c.connect2(1)
	c.expect("HEADERS 1 :status=200")
	if data := c.readData(1, -1); string(data) != "bye" {
		t.Errorf("%q", data)
	}
	c.WriteData(1, true, []byte("late"))
	if s := <-got; s != "late" {
		t.Errorf("the endpoint got %q", s)
	}
	c.connect2(3)
	c.expect("HEADERS 3 :status=200")
	c.readData(3, -1)
	c.WriteRSTStream(3, http2.ErrCodeCancel)
	<-got
	eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })

	b = upgradeBackend(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() })
	r = newRig(t, map[string]string{"v1": b.addr}, h2c)
	c = r.dial2()
	c.connect2(1)
	c.expect("HEADERS 1 :status=200")
	c.expect("RST_STREAM 1 CANCEL")
	r.drop(c)
}

// TestATunnelOverHTTP2ThatStandsStill ends after its idle time.
func TestATunnelOverHTTP2ThatStandsStill(t *testing.T) {
	t.Parallel()
	b := upgradeBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c, func(r *rig) { r.settings.TunnelIdle = short })
	c := r.dial2()
	c.connect2(1)
	c.expect("HEADERS 1 :status=200")
	c.expect("RST_STREAM 1 CANCEL")
	r.drop(c)
}

// TestUpgradesThatTheEndpointGetsWrong are no tunnels.
func TestUpgradesThatTheEndpointGetsWrong(t *testing.T) {
	for response, status := range map[string]int{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":                                                                     502,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n":                              502,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: abc\r\n\r\n": 502,
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno":                                                              403,
	} {
		b := newRecorder(t, last(response))
		r := newRig(t, map[string]string{"v1": b.addr}, h2c)
		c := r.dial2()
		c.connect2(1)
		c.expect(fmt.Sprintf("HEADERS 1 :status=%d", status))
		c.expect("DATA 1 END")
		c.expect("RST_STREAM 1 NO_ERROR")
		r.drop(c)
	}
}
