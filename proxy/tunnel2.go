package proxy

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"sync/atomic"
	"time"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/h2"
	"sluice/proxy/head"
	"sluice/proxy/sock"
)

// Extended CONNECT (RFC 8441): a WebSocket on a stream. The endpoint sees an
// upgrade of HTTP/1.1, whose handshake is the proxy's own.

// keyLen is the length of a Sec-WebSocket-Key: 16 bytes in base64.
const keyLen = 24

// askUpgrade gives the request the key that an upgrade over HTTP/1.1 must
// have.
func (s *stream2) askUpgrade() *h2.Refusal {
	req := &s.x.req
	for i := range req.Fields {
		if head.EqualFold(req.Fields[i].Name, "sec-websocket-key") {
			req.Fields[i] = head.Field{} // means nothing on a stream (RFC 8441, section 5.1)
		}
	}
	var raw [16]byte
	rand.Read(raw[:])
	base64.StdEncoding.Encode(s.tunnel.key[:], raw[:])
	req.Fields = append(req.Fields, head.Field{Name: "sec-websocket-key", Value: view(s.tunnel.key[:])})
	return nil
}

var (
	refusedUpgrade = &h1.Error{Status: 502, Reason: "a successful answer to an upgrade that is not 101 Switching Protocols"}
	badAccept      = &h1.Error{Status: 502, Reason: "101 Switching Protocols with a Sec-WebSocket-Accept that is not for the key"}
)

// checkUpgrade judges the answer to an upgrade that the proxy asked for on
// behalf of a stream. One that is neither a 101 for its key nor an error would
// tell the client that there is a tunnel where there is none.
func (x *exchange) checkUpgrade() error {
	s, ok := x.down.(*stream2)
	switch {
	case !ok || x.res.Status >= 300:
		return nil
	case x.res.Status != 101:
		return refusedUpgrade
	}
	accept, _ := x.res.Get("sec-websocket-accept")
	if accept != acceptFor(s.tunnel.key[:]) {
		return badAccept
	}
	return nil
}

// acceptFor returns the Sec-WebSocket-Accept for a key (RFC 6455, section
// 4.2.2).
func acceptFor(key []byte) string {
	sum := sha1.Sum(append(key[:len(key):len(key)], "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// tunnel2 is a stream that has become a tunnel, as its other side sees it.
type tunnel2 struct {
	s      *stream2
	key    [keyLen]byte
	in     buffer.Buffer
	idleBy atomic.Int64 // in the time of sock.Now; 0: never
	paused bool         // Fill fails; under conn2.mu
}

// hijack implements tunneler.
func (s *stream2) hijack() (tunnelEnd, *buffer.Buffer) {
	s.tunnel.s = s
	return &s.tunnel, &s.tunnel.in
}

// free gives the memory back.
func (t *tunnel2) free() { t.in.Free() }

// Fill implements tunnelEnd.
func (t *tunnel2) Fill(b *buffer.Buffer) error {
	s := t.s
	if s.held == nil || s.heldAt == s.held.n {
		if err := t.next(); err != nil {
			return err
		}
	}
	n := copy(b.Space(), s.held.bytes()[s.heldAt:])
	b.Wrote(n)
	s.heldAt += n
	return nil
}

// next waits for more from the client, as long as either side does something.
func (t *tunnel2) next() error {
	s, c := t.s, t.s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.consumed(s.freeHeld())
	for {
		switch {
		case s.failure != nil:
			return s.failure
		case t.paused:
			return errStopped2
		case len(s.body.list) > 0:
			s.held = s.body.take()
			return nil
		case s.RemoteEnd:
			return io.EOF
		}
		c.mu.Unlock()
		in := s.readable.wait(max(t.idleLeft(), sock.Tick))
		c.mu.Lock()
		if !in && t.idleLeft() <= 0 {
			s.resetCode = h2.Cancel
			s.fail(errBodySlow)
		}
	}
}

// idleLeft is how long the tunnel may still be idle.
func (t *tunnel2) idleLeft() time.Duration {
	by := t.idleBy.Load()
	if by == 0 {
		return 24 * time.Hour
	}
	return time.Duration(by - sock.Now())
}

// Write implements tunnelEnd.
func (t *tunnel2) Write(p []byte) (int, error) {
	if err := t.s.send(nil, p, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite implements tunnelEnd: the end of one direction is END_STREAM.
func (t *tunnel2) CloseWrite() error { return t.s.send(nil, nil, true) }

// Abort implements tunnelEnd.
func (t *tunnel2) Abort() {
	c := t.s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.s.failure == nil {
		t.s.resetCode = h2.Cancel // as a reset of TCP is told (RFC 8441, section 5)
		t.s.fail(errStopped2)
	}
}

// StopReading implements tunnelEnd.
func (t *tunnel2) StopReading() { t.pause(true) }

// ResumeReading implements tunnelEnd.
func (t *tunnel2) ResumeReading() { t.pause(false) }

func (t *tunnel2) pause(on bool) {
	t.s.conn.mu.Lock()
	defer t.s.conn.mu.Unlock()
	t.paused = on
	t.s.readable.wake()
}

// goAway implements goAwayer.
func (s *stream2) goAway() { s.conn.stop() }

// SetTimeout implements tunnelEnd.
func (t *tunnel2) SetTimeout(d time.Duration) {
	by := int64(0)
	if d > 0 {
		by = after(d)
	}
	t.idleBy.Store(by)
}
