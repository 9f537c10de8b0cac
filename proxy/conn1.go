package proxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/sock"
	"sluice/proxy/upstream"
)

// conn1 is a client's HTTP/1.1 connection: it reads requests one after the
// other, leads each through its exchange and is the downstream that the
// exchange answers through.
type conn1 struct {
	srv  *Server
	sock *sock.Conn
	peer peer
	in   buffer.Buffer

	x       *exchange // of the request that is being read or served; nil while idle
	body    h1.Body   // of that request
	out     []byte    // what waits to be sent
	outMem  *[buffer.Small]byte
	framing framing // of the response that is being sent

	limIn, limOut io.LimitedReader // what splice reads through, a direction each
	moving        atomic.Uint32    // what the client is waited for: readingBody, writing or both

	from     *listener
	state    connState
	onBytes  func() bool // handle, made once
	after    next        // what follows when handle has returned false
	headRead bool        // the head of x's request was read, and the rest is to be
	served   int         // requests begun
	hijacked bool
	aborted  bool
}

// framing is how the end of a response body is told.
type framing uint8

const (
	framingLength  framing = iota // by Content-Length, or there is no body
	framingChunked                // by the last chunk
	framingClose                  // by the end of the connection
)

// outPool holds the memory that heads and small bodies are put together in.
var outPool = sync.Pool{New: func() any { return new([buffer.Small]byte) }}

// next is what becomes of a connection after a step.
type next uint8

const (
	nextRequest next = iota // another request may come
	nextRead                // the request under way has to be read from the socket
	nextLast                // the server stops
	nextEnd                 // the connection ends
)

// serve reads and answers requests until the connection ends.
//
// A request that comes in one piece, as nearly all do, is served inside the
// wait for it (sock.Conn.Each, handle). One that must be read further leaves
// that wait, and is served by plain reads.
func (c *conn1) serve() {
	defer c.end()
	c.onBytes = c.handle
	for {
		switch c.await() {
		case nextRead:
			if c.serveRead() != nextRequest {
				return
			}
		case nextLast:
			if !c.lastCall() || c.serveRead() != nextRequest {
				return
			}
		default:
			return
		}
	}
}

// await waits for requests, owning as little as possible, and serves those that
// come whole.
func (c *conn1) await() next {
	if c.in.Len() > 0 {
		return nextRead
	}
	c.sock.SetTimeout(c.peer.listener.IdleTimeout)
	if !c.state.toIdle() {
		return nextLast
	}
	if err := c.sock.Each(&c.in, c.onBytes); err == nil {
		return c.after
	}
	if !c.state.toBusy() {
		return nextLast
	}
	return nextEnd
}

// handle serves the requests that have come, and reports whether to wait for
// more in the same way. If not, c.after says what to do.
func (c *conn1) handle() bool {
	if !c.state.toBusy() {
		c.undoStop()
	}
	for c.in.Len() > 0 {
		if c.after = c.serveHere(); c.after != nextRequest {
			return false
		}
	}
	c.sock.SetTimeout(c.peer.listener.IdleTimeout)
	if !c.state.toIdle() {
		c.after = nextLast
		return false
	}
	return true
}

// errNotHere is returned by notHere.
var errNotHere = errors.New("more must be read")

// notHere is the filler of a request that must come in one piece.
type notHere struct{}

// Fill implements h1.Filler.
func (notHere) Fill(*buffer.Buffer) error { return errNotHere }

// serveHere serves a request if all of it is in the buffer and its connection
// stays one for HTTP. Else it leaves the request, read as far as its head or
// not at all, to serveRead.
func (c *conn1) serveHere() next {
	x := acquireExchange(c.srv, &c.peer, c)
	c.x = x
	switch err := h1.ReadRequest(&c.in, notHere{}, &x.req, &c.peer.listener.Limits, nil); {
	case err == errNotHere:
		c.release()
		return nextRead
	case err != nil:
		return c.refuse(err)
	}
	c.headRead = true
	c.body.Init(&c.in, c.sock, x.req.Length)
	if _, whole := c.body.Buffered(); !whole || x.upgrading() {
		return nextRead
	}
	return c.answer()
}

// lastCall looks, when the server stops, for a request that is here already:
// what was sent before the client could know is still answered.
func (c *conn1) lastCall() bool {
	c.undoStop()
	if c.served > 0 && c.sock.Quiet() {
		return false
	}
	c.sock.SetTimeout(freshGrace)
	return c.sock.Fill(&c.in) == nil
}

// undoStop lets a connection be read that the stopping server has woken. The
// server does so under its lock: once that is free, it is done with it.
func (c *conn1) undoStop() {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.sock.ResumeReading()
}

// freshGrace is how long a connection that has not asked for anything yet may
// still do so when the server stops: its client has just come.
const freshGrace = time.Second

// serveRead serves one request, reading from the socket what is not here.
func (c *conn1) serveRead() next {
	if c.headRead {
		return c.answer()
	}
	x := acquireExchange(c.srv, &c.peer, c)
	c.x = x
	if err := h1.ReadRequest(&c.in, c.sock, &x.req, &c.peer.listener.Limits, c.headStarted); err != nil {
		return c.refuse(err)
	}
	c.body.Init(&c.in, c.sock, x.req.Length)
	return c.answer()
}

// survive keeps a fault of this program, met by one request, from ending all
// the others: the request's connections end, and the log has the rest.
func (c *conn1) survive() {
	fault := recover()
	if fault == nil {
		return
	}
	c.srv.log.Error("a request hit a fault of the proxy", zap.Any("fault", fault), zap.Stack("stack"))
	if x := c.x; x != nil {
		x.dropUpstream(upstream.Unknown)
		if x.begun {
			x.target.Stats.End(c.peer.shard, &x.outcome)
		}
	}
}

// headStarted begins the time that the rest of a head may take.
func (c *conn1) headStarted() { c.sock.SetTimeout(c.peer.listener.HeadTimeout) }

// answer leads a request whose head was read through its exchange.
func (c *conn1) answer() next {
	x := c.x
	c.headRead = false
	c.served++
	c.sock.SetTimeout(0)
	if c.state.stopping() {
		x.req.Close = true
	}
	x.serve()
	c.freeOut()
	if x.aborted {
		c.aborted = true
		c.sock.Reset()
	}
	again := !x.close && c.skipBody()
	c.release()
	if !again {
		return nextEnd
	}
	return nextRequest
}

// release ends the exchange.
func (c *conn1) release() {
	c.x.release()
	c.x = nil
}

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

// skipBody passes over a request body that nobody read, if all of it is here.
func (c *conn1) skipBody() bool {
	for !c.body.Done() {
		if !c.body.Ready() {
			return false
		}
		if _, err := c.body.Next(); err != nil && err != io.EOF {
			return false
		}
	}
	c.in.Drop()
	return true
}

// refuse answers a request that could not be read.
func (c *conn1) refuse(err error) next {
	defer c.release()
	status, text := 0, ""
	var malformed *h1.Error
	switch {
	case errors.As(err, &malformed):
		status, text = malformed.Status, "The request is refused: "+malformed.Reason+".\n"
	case c.sock.TimedOut() && c.in.Len() > 0:
		status, text = 408, "The request's head didn't come in time.\n"
	default:
		return nextEnd
	}
	c.srv.stats.Refused(status)
	c.srv.access.logRefused(c, status, err)
	c.sock.LastWrite(h1.AppendSimpleResponse(nil, status, text, true,
		head.Field{Name: "Date", Value: c.srv.date(time.Now())}))
	return nextEnd
}

// end closes the connection. One that still has unread bytes is closed in two
// steps: closing it at once would reset it, and the reset could overtake the
// response on its way to the client (RFC 9112, section 9.6).
func (c *conn1) end() {
	if !c.hijacked && !c.aborted && (c.in.Len() > 0 || !c.body.Done()) {
		c.linger()
	}
	c.in.Free()
	c.sock.Close()
	c.srv.forget(c)
}

// Bounds of the time and the bytes that a refused or unread request is granted
// for the sake of its answer.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger ends the response's direction and reads on for a moment.
func (c *conn1) linger() {
	if c.sock.CloseWrite() != nil {
		return
	}
	c.sock.ResumeReading()
	c.sock.SetTimeout(lingerTime)
	for n := 0; n < lingerBytes; {
		c.in.Free()
		if c.sock.Fill(&c.in) != nil {
			return
		}
		n += c.in.Len()
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
	c.sock.SetTimeout(c.peer.listener.BodyTimeout)
}

// stopMoving ends that time: a client that waits for an endpoint is not slow.
// The other direction, served by another goroutine, may have begun meanwhile.
func (c *conn1) stopMoving(what uint32) {
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
	defer c.stopMoving(readingBody)
	return c.body.Next()
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
		c.stopMoving(readingBody)
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
	if c.state.stopping() { // since the request was read: the client must know
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
	defer c.stopMoving(writing)
	return c.sock.Splice(from.Conn, min(n, here), &c.limOut)
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
	c.startMoving(writing)
	defer c.stopMoving(writing)
	_, err := c.sock.Write(p)
	return err
}

// hijack implements tunneler.
func (c *conn1) hijack() (*sock.Conn, *buffer.Buffer) {
	c.hijacked = true
	c.in.Drop()
	return c.sock, &c.in
}
