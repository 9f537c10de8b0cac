package proxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"sluice/proxy/accesslog"
	"sluice/stats"
)

// upgradeTo is a request for a WebSocket (RFC 6455, section 4.1).
const upgradeTo = "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// webSocketBackend accepts WebSockets and then does what serve does with the
// connection.
func webSocketBackend(t *testing.T, serve func(c net.Conn)) *recorder {
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		if m.get("Upgrade") != "websocket" || !strings.EqualFold(m.get("Connection"), "upgrade") {
			io.WriteString(c, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")
			return true
		}
		sum := sha1.Sum([]byte(m.get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		serve(c)
		return false
	}
	return b
}

// echoFrames sends the frames of a WebSocket back, unmasked, until one says
// close (RFC 6455, section 5.2).
func echoFrames(c net.Conn) {
	for {
		op, payload, err := readFrame(c)
		if err != nil {
			return
		}
		c.Write(frame(op, payload, false))
		if op == 8 {
			return
		}
	}
}

func frame(op byte, payload []byte, masked bool) []byte {
	out := []byte{0x80 | op, 0}
	switch n := len(payload); {
	case n < 126:
		out[1] = byte(n)
	case n < 1<<16:
		out[1] = 126
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	default:
		out[1] = 127
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	}
	if !masked {
		return append(out, payload...)
	}
	out[1] |= 0x80
	mask := [4]byte{1, 2, 3, 4}
	out = append(out, mask[:]...)
	for i, b := range payload {
		out = append(out, b^mask[i%4])
	}
	return out
}

func readFrame(r io.Reader) (op byte, payload []byte, err error) {
	var start [2]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(start[1] & 0x7F)
	if n >= 126 {
		long := make([]byte, map[uint64]int{126: 2, 127: 8}[n])
		if _, err := io.ReadFull(r, long); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(append(make([]byte, 8-len(long)), long...))
	}
	var mask [4]byte
	if start[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return start[0] & 0xF, payload, err
}

func (r *rig) v1() stats.VersionStats { return r.stats.ServiceSnapshot("web")[0] }

func TestWebSocket(t *testing.T) {
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.dial()
	io.WriteString(c, upgradeTo)
	head := until(t, c, "\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 101 Switching Protocols\r\n", "\r\nUpgrade: websocket\r\n", "\r\nConnection: upgrade\r\n",
		"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("no %q in %q", want, head)
		}
	}
	eventually(t, "the tunnel in the counts", func() bool {
		s := r.v1()
		return s.TunnelsOpened == 1 && s.TunnelsActive == 1
	})
	for _, size := range []int{0, 5, 125, 126, 70_000, 1 << 20} {
		payload := make([]byte, size)
		rand.Read(payload)
		go c.Write(frame(2, payload, true))
		op, got, err := readFrame(c)
		if op != 2 || !bytes.Equal(got, payload) || err != nil {
			t.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
		}
	}
	c.Write(frame(8, []byte{3, 0xe8}, true))
	if op, _, err := readFrame(c); op != 8 || err != nil {
		t.Errorf("%d, %v", op, err)
	}
	if rest := readAll(t, c); rest != "" {
		t.Errorf("%q follows", rest)
	}
	c.Close()
	eventually(t, "the tunnel is counted as closed", func() bool { return r.v1().TunnelsActive == 0 && r.v1().Requests == 1 })
	if s := r.v1(); s.BytesIn < 1<<20 || s.BytesOut < 1<<20 {
		t.Errorf("%d bytes in, %d out", s.BytesIn, s.BytesOut)
	}
	eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
}

func TestWebSocketOverTLS(t *testing.T) {
	server, tlsClient := tlsConfigs(t)
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.TLS = server })
	c := r.dialTLS(tlsClient)
	io.WriteString(c, upgradeTo)
	until(t, c, "\r\n\r\n")
	payload := make([]byte, 200_000)
	rand.Read(payload)
	go c.Write(frame(2, payload, true))
	if _, got, err := readFrame(c); !bytes.Equal(got, payload) || err != nil {
		t.Errorf("came back as %d bytes, %v", len(got), err)
	}
	c.Write(frame(8, nil, true))
	if op, _, err := readFrame(c); op != 8 || err != nil {
		t.Errorf("%d, %v", op, err)
	}
	if rest := readAll(t, c); rest != "" {
		t.Errorf("%q follows", rest)
	}
}

// TestEarlyDataInATunnel: bytes behind the request, or behind the 101, in one
// piece with it.
func TestEarlyDataInATunnel(t *testing.T) {
	b := webSocketBackend(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello from the backend")
		echoFrames(c)
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.dial()
	io.WriteString(c, upgradeTo)
	until(t, c, "\r\n\r\nhello from the backend")

	// What a client sends behind its request before it has the 101 belongs to
	// the tunnel, not to a next request.
	seen := make(chan string, 1)
	early := webSocketBackend(t, func(c net.Conn) {
		got := make([]byte, len(smuggled))
		io.ReadFull(c, got)
		seen <- string(got)
	})
	r = newRig(t, map[string]string{"v1": early.addr})
	c = r.dial()
	io.WriteString(c, upgradeTo+smuggled)
	until(t, c, "\r\n\r\n")
	if got := <-seen; got != smuggled {
		t.Errorf("the backend got %q", got)
	}
}

// TestARefusedUpgrade stays HTTP, and the requests behind it are requests.
func TestARefusedUpgrade(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	answer := r.exchangeRaw(upgradeTo + get("/after", closing))
	if statuses(answer) != "200 200" {
		t.Errorf("answered %q", answer)
	}
	seen, _ := b.take()
	if fmt.Sprint(shorts(seen)) != "[GET /chat GET /after]" {
		t.Errorf("the backend saw %v", shorts(seen))
	}
	if n := r.v1().TunnelsOpened; n != 0 {
		t.Errorf("%d tunnels", n)
	}
}

// TestTunnelsCloseOneWayAtATime: an end in one direction leaves the other open.
func TestTunnelsCloseOneWayAtATime(t *testing.T) {
	b := webSocketBackend(t, func(c net.Conn) {
		got, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %s", got)
	})
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.dial()
	io.WriteString(c, upgradeTo)
	until(t, c, "\r\n\r\n")
	io.WriteString(c, "hello")
	closeWrite(c)
	if got := readAll(t, c); got != "got hello" {
		t.Errorf("got %q", got)
	}

	done := make(chan string, 1)
	b = webSocketBackend(t, func(c net.Conn) {
		io.WriteString(c, "bye")
		closeWrite(c)
		got, _ := io.ReadAll(c)
		done <- string(got)
	})
	r = newRig(t, map[string]string{"v1": b.addr})
	c = r.dial()
	io.WriteString(c, upgradeTo)
	until(t, c, "\r\n\r\n")
	if got := readAll(t, c); got != "bye" {
		t.Errorf("got %q", got)
	}
	io.WriteString(c, "one more thing")
	closeWrite(c)
	if got := <-done; got != "one more thing" {
		t.Errorf("the backend got %q", got)
	}
}

// TestATunnelThatStandsStillEnds, and one whose client was reset does at once.
func TestATunnelThatStandsStillEnds(t *testing.T) {
	t.Parallel()
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.TunnelIdle = short })
	c := r.dial()
	io.WriteString(c, upgradeTo)
	until(t, c, "\r\n\r\n")
	readAll(t, c)
	eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })

	r = newRig(t, map[string]string{"v1": b.addr})
	c = r.dial()
	io.WriteString(c, upgradeTo)
	until(t, c, "\r\n\r\n")
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
}

// TestTunnelsAreCutOffWhenTheTimeToStopIsOver.
func TestTunnelsAreCutOffWhenTheTimeToStopIsOver(t *testing.T) {
	t.Parallel()
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.dial()
	io.WriteString(c, upgradeTo)
	until(t, c, "\r\n\r\n")
	ctx, cancel := context.WithTimeout(context.Background(), short)
	defer cancel()
	var cut *CutOffError
	if err := r.srv.Shutdown(ctx); !errors.As(err, &cut) || cut.Connections != 1 {
		t.Errorf("Shutdown: %v", err)
	}
	readAll(t, c)
}

// TestTunnelInTheAccessLog: what a tunnel carried must not stand in the log
// where the request should.
func TestTunnelInTheAccessLog(t *testing.T) {
	b := webSocketBackend(t, echoFrames)
	var j journal
	r := newRig(t, map[string]string{"v1": b.addr}, j.logged(AccessAll, accesslog.Layout{}))
	c := r.dial()
	io.WriteString(c, upgradeTo+string(frame(2, []byte("early"), true)))
	until(t, c, "\r\n\r\n")
	readFrame(c)
	secret := bytes.Repeat([]byte("secret "), 10_000)
	go c.Write(frame(2, secret, true))
	readFrame(c)
	c.Write(frame(8, nil, true))
	readAll(t, c)
	c.Close()
	fields := j.one(t)
	for name, want := range map[string]any{"method": "GET", "path": "/chat", "host": "a.example", "status": 101.0, "version": "v1"} {
		if fields[name] != want {
			t.Errorf("%s: %.100q, want %v", name, fields[name], want)
		}
	}
}
