package proxy

// How conn1 is the downstream of its exchange: the request's body is read, and
// the response written, in HTTP/1.1's format.

import (
	"io"
	"sync"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
)

// framing is how the end of a response body is told.
type framing uint8

const (
	framingLength  framing = iota // by Content-Length, or there is no body
	framingChunked                // by the last chunk
	framingClose                  // by the end of the connection
)

// outPool holds the memory that heads and small bodies are put together in.
var outPool = sync.Pool{New: func() any { return new([buffer.Small]byte) }}

// startOut begins a head in memory from the pool: while the endpoint is being
// waited for, the connection has no use for it.
func (c *conn1) startOut() {
	if c.outMem == nil {
		c.outMem = outPool.Get().(*[buffer.Small]byte)
	}
	c.out = c.outMem[:0]
}

// freeOut gives that memory back.
func (c *conn1) freeOut() {
	if c.outMem != nil {
		outPool.Put(c.outMem)
		c.out, c.outMem = nil, nil
	}
}

// bodyWhole implements downstream.
func (c *conn1) bodyWhole() ([]byte, bool) { return c.body.Buffered() }

// What a client may be waited for, in conn1.moving.
const (
	readingBody uint32 = 1 << iota
	writing
)

// startMoving begins the time that the client has to send, or to take, some
// bytes of a body.
func (c *conn1) startMoving(what uint32) {
	c.moving.Or(what)
	l := c.peer.listener
	if what == readingBody {
		c.sock.SetTimeout(c.reading.begin(l, l.RequestTimeout))
	} else {
		c.sock.SetTimeout(c.sending.begin(l, 0))
	}
}

// stopMoving ends that time: a client that waits for an endpoint is not slow.
// The other direction, served by another goroutine, may have begun meanwhile.
func (c *conn1) stopMoving(what uint32, moved int64) {
	if what == readingBody {
		c.reading.end(moved)
	} else {
		c.sending.end(moved)
	}
	if c.moving.And(^what)&^what != 0 {
		return
	}
	c.sock.SetTimeout(0)
	if c.moving.Load() != 0 {
		c.sock.SetTimeout(c.peer.listener.BodyTimeout)
	}
}

// readBody implements downstream.
func (c *conn1) readBody() ([]byte, error) {
	c.startMoving(readingBody)
	data, err := c.body.Next()
	c.stopMoving(readingBody, int64(len(data)))
	return data, err
}

// bodyTrailers implements downstream.
func (c *conn1) bodyTrailers() []head.Field { return c.body.Trailers() }

// bodyDone implements downstream.
func (c *conn1) bodyDone() bool { return c.body.Done() }

// stopReading implements downstream.
func (c *conn1) stopReading() { c.sock.StopReading() }

// spliceBody implements downstream.
func (c *conn1) spliceBody(to *upstream.Conn) (total int64, err error) {
	for {
		left := c.body.Remaining()
		if left < spliceMin || c.in.Len() > 0 || !to.CanSplice(c.sock) {
			return total, nil
		}
		c.startMoving(readingBody)
		n, err := c.sock.Available()
		c.stopMoving(readingBody, 0)
		if err == io.EOF {
			return total, io.ErrUnexpectedEOF
		} else if err != nil {
			return total, err
		}
		if n >= left {
			c.x.pump.lastComing()
		}
		c.x.endpointBegins(to)
		moved, err := to.Splice(c.sock, min(left, n, splicePiece), &c.limIn)
		c.x.endpointRests(to)
		c.body.Skip(moved)
		c.reading.moved += moved
		total += moved
		if err != nil {
			return total, errEndpointGone
		}
	}
}

// inform implements downstream.
func (c *conn1) inform(res *head.Response) error {
	c.startOut()
	c.out = h1.AppendStatusLine(c.out, res.Status, res.Reason)
	c.appendFields(res.Fields)
	c.out = append(c.out, h1.CRLF...)
	return c.flush()
}

// begin implements downstream.
func (c *conn1) begin(res *head.Response, extra []head.Field, close bool) error {
	c.startOut()
	c.out = h1.AppendStatusLine(c.out, res.Status, res.Reason)
	c.appendFields(res.Fields)
	c.appendFields(extra)
	c.framing = framingLength
	if c.state.stopping() || c.srv.leaving.Load() { // since the request was read: the client must know
		c.x.close, close = true, true
	}
	switch {
	case res.Status == 101:
		c.out = append(c.out, "Connection: upgrade\r\n"...)
		if to, has := res.Lookup(head.Upgrade); has {
			c.out = h1.AppendField(c.out, "Upgrade", to)
		}
		c.out = append(c.out, h1.CRLF...)
		return nil
	case res.Length >= 0 && res.Declared >= 0:
		c.out = h1.AppendContentLength(c.out, res.Declared)
	case res.Length >= 0:
	case c.x.req.Proto == head.HTTP10:
		c.framing, c.x.close, close = framingClose, true, true
	default:
		c.framing = framingChunked
		c.out = append(c.out, "Transfer-Encoding: chunked\r\n"...)
	}
	if close {
		c.out = append(c.out, "Connection: close\r\n"...)
	} else if c.x.req.Proto == head.HTTP10 {
		c.out = append(c.out, "Connection: keep-alive\r\n"...)
	}
	c.out = append(c.out, h1.CRLF...)
	return nil
}

// appendFields writes the fields that were not dropped.
func (c *conn1) appendFields(fields []head.Field) {
	for i := range fields {
		if f := &fields[i]; f.Name != "" {
			c.out = h1.AppendField(c.out, f.Name, f.Value)
		}
	}
}

// write implements downstream. Short pieces are gathered behind the head.
func (c *conn1) write(p []byte) error {
	if c.framing == framingChunked {
		return c.writeChunk(p)
	}
	if len(c.out)+len(p) <= cap(c.out) {
		c.out = append(c.out, p...)
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	return c.send(p)
}

// chunkOverhead bounds what frames a chunk of up to 64 KiB: its size, and two
// line ends.
const chunkOverhead = 16

// writeChunk sends p as one chunk.
func (c *conn1) writeChunk(p []byte) error {
	if len(c.out)+len(p)+chunkOverhead > cap(c.out) {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.out = h1.AppendChunkHead(c.out, len(p))
	if len(p)+chunkOverhead > cap(c.out) {
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.send(p); err != nil {
			return err
		}
	} else {
		c.out = append(c.out, p...)
	}
	c.out = append(c.out, h1.CRLF...)
	return nil
}

// splice implements downstream.
func (c *conn1) splice(from *upstream.Conn, n int64) (int64, error) {
	if c.framing == framingChunked || !c.sock.CanSplice(from.Conn) {
		return 0, nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	here, err := from.Available()
	if err != nil {
		return 0, errEndpointGone
	}
	c.x.restEndpoint()
	c.startMoving(writing)
	moved, err := c.sock.Splice(from.Conn, min(n, here), &c.limOut)
	c.stopMoving(writing, moved)
	return moved, err
}

// finish implements downstream.
func (c *conn1) finish(trailers []head.Field) error {
	if c.framing == framingChunked {
		c.out = h1.AppendLastChunk(c.out, trailers)
	}
	return c.flush()
}

// flush implements downstream.
func (c *conn1) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.send(c.out)
	c.out = c.out[:0]
	return err
}

// send writes to the client, who has the body timeout to take it.
func (c *conn1) send(p []byte) error {
	if c.last {
		c.sock.LastWrite(p)
		return nil
	}
	c.startMoving(writing)
	n, err := c.sock.Write(p)
	c.stopMoving(writing, int64(n))
	return err
}

// lastWord implements lastWriter.
func (c *conn1) lastWord() bool {
	c.last = c.sock.TimedOut()
	return c.last
}

// hijack implements tunneler.
func (c *conn1) hijack() (tunnelEnd, *buffer.Buffer) {
	c.hijacked = true
	c.in.Drop()
	return c.sock, &c.in
}

// watch implements downstream: the connection is not read while an endpoint
// answers, so that only the sweeper can tell that the client has gone. While the
// client sends a body, the connection is read.
func (c *conn1) watch(up aborter) {
	conn, ok := up.(*upstream.Conn)
	switch {
	case !ok:
	case c.x.streamed:
		conn.WaitsFor(nil)
	default:
		conn.WaitsFor(c.sock)
	}
}

// gone implements downstream.
func (c *conn1) gone() bool { return c.sock.Left() }
