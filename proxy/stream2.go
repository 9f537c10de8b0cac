package proxy

import (
	"errors"
	"io"
	"sync"

	"go.uber.org/zap"

	"sluice/proxy/buffer"
	"sluice/proxy/h2"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
)

// stream2 is a request on an HTTP/2 connection, and the downstream of its
// exchange. It is pooled. Whoever finds it in conn2.open, under conn2.mu, may
// use it until that lock is free again: its goroutine takes it out of there
// before it is used anew, so that no frame that comes late finds another
// request in it.
type stream2 struct {
	h2.Stream // under conn2.mu
	conn      *conn2
	x         *exchange

	// The request's head, as it was decoded.
	text                []byte
	fields              []head.Field
	tooLarge, malformed bool

	// Under conn2.mu.
	failure   error   // why the stream is of no use any more; nil while it is
	resetCode h2.Code // for it, where this side ended it
	resetSent bool
	stopped   bool // nobody reads the rest of the body
	body      chunks
	owed      int64 // of the stream's window: consumed and not given back
	trailers  []head.Field
	trailText []byte
	up        aborter // what waits for an endpoint on the stream's behalf
	waiting   *waiters
	next      *stream2 // in waiting

	readable, writable alarm

	// What the goroutine that reads the body owns.
	reading patience
	held    *chunk // that readBody returned last
	heldAt  int    // how much of it a tunnel has taken

	// What the goroutine of the exchange owns.
	sending patience
	out     []byte // frames of the head, and behind them what waits of the body
	headLen int    // of the head in out
	left    int64  // of the body, to be sent; -1: not known
	tunnel  tunnel2
}

// aborter is something that can be made to fail at once.
type aborter interface{ Abort() }

// Why a stream is of no use any more.
var (
	errReset    = errors.New("the client has given up the request")
	errConnGone = errors.New("the client's connection is lost")
	errStopped2 = errors.New("nobody reads the request's body any more")
	errBodySlow = errors.New("the request's body didn't come in time")
	errUnread   = errors.New("the client didn't open its window, or read, in time")
)

var stream2Pool sync.Pool

// acquireStream takes a stream from the pool. end says that the request has no
// body.
func acquireStream(c *conn2, id uint32, end bool) *stream2 {
	s, _ := stream2Pool.Get().(*stream2)
	if s == nil {
		s = new(stream2)
		s.readable.rings, s.writable.rings = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	s.conn, s.left = c, -1
	s.Stream = h2.Stream{ID: id, Declared: -1, RemoteEnd: end}
	return s
}

// maxKeptText is the longest memory, in bytes, for the text of a head that a
// pooled stream keeps.
const maxKeptText = 8 << 10

// release gives the stream back, and its exchange. Nobody else knows it.
func (s *stream2) release() {
	if s.x != nil {
		s.x.release()
	}
	clear(s.fields)
	clear(s.trailers)
	if cap(s.text) > maxKeptText {
		s.text = nil
	}
	if s.out != nil {
		buffer.GiveBack(s.out)
	}
	s.readable.hush()
	s.writable.hush()
	*s = stream2{
		text: s.text[:0], fields: s.fields[:0], body: chunks{list: s.body.list[:0]},
		trailers: s.trailers[:0], trailText: s.trailText[:0], readable: s.readable, writable: s.writable,
	}
	stream2Pool.Put(s)
}

// request makes a request of the fields, with an exchange for it.
func (s *stream2) request() *h2.Refusal {
	c := s.conn
	s.x = acquireExchange(c.srv, &c.peer, s)
	switch {
	case s.malformed:
		return malformedFields
	case s.tooLarge:
		return headTooLarge
	}
	req := &s.x.req
	if refusal := h2.Request(req, s.fields, s.RemoteEnd, c.maxURI()); refusal != nil {
		return refusal
	}
	if len(req.Fields) > c.maxFields() {
		return headTooLarge
	}
	if req.Upgrade != "" {
		return s.askUpgrade()
	}
	if req.Length >= 0 {
		s.Declared = req.Length
	}
	return nil
}

var (
	malformedFields = &h2.Refusal{Reason: "a field name or value that HTTP/2 does not allow"}
	headTooLarge    = &h2.Refusal{Status: 431, Reason: "the head is too long, or has too many fields"}
)

// isHead reports whether the request has the method HEAD, also where it was
// refused before its method was read.
func (s *stream2) isHead() bool {
	for i := range s.fields {
		if s.fields[i].Name == ":method" {
			return s.fields[i].Value == "HEAD"
		}
	}
	return false
}

// settleLength gives a request whose body has come whole the length that its
// head did not tell, so that it is sent on with it.
func (s *stream2) settleLength() {
	if s.x.req.Length != head.Chunked {
		return
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.RemoteEnd && len(s.trailers) == 0 && len(s.body.list) <= 1 {
		s.x.req.Length = s.Length
		s.Declared = s.Length
	}
}

// run is the stream's life, in a worker's goroutine.
func (s *stream2) run() {
	defer s.end()
	s.x.serve()
}

// end ends the stream: with a reset where one of its sides is still open. It
// survives a fault of this program, as conn1.survive does.
func (s *stream2) end() {
	c, broken := s.conn, false
	defer c.running.Done()
	if fault := recover(); fault != nil {
		c.srv.survive(fault, s.x)
		broken = true
	}
	c.mu.Lock()
	c.remove(s)
	s.close()
	if n := s.body.free() + s.freeHeld(); c.gone == nil {
		c.giveBack(n)
		if len(c.open) == 0 {
			c.timeIdle()
			c.drained()
		}
	}
	flush := c.beginFlush()
	c.rest()
	c.mu.Unlock()
	if broken {
		s.x = nil // whatever it holds is not to be used again
	}
	s.tunnel.free()
	s.release()
	if flush {
		c.flush()
	}
}

// close tells the client how the stream ended, if it does not know. It is
// called under mu.
func (s *stream2) close() {
	c := s.conn
	if s.LocalEnd && s.failure == nil {
		c.budget.Earn(h2.RapidReset, 1)
	}
	if c.gone != nil || s.failure == errReset {
		return
	}
	code := s.resetCode
	switch {
	case s.resetSent || s.LocalEnd && s.RemoteEnd:
		return
	case s.LocalEnd:
		code = h2.NoError // the client need not send the rest (RFC 9113, section 8.1)
	case code == h2.NoError:
		code = h2.InternalError // a response that was cut off
	}
	c.out.grow(64)
	c.out.mem = h2.AppendReset(c.out.mem, s.ID, code)
	c.closed.add(s.ID)
}

// refuse implements refuser.
func (s *stream2) refuse() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.resetCode = h2.RefusedStream
}

// remove takes a stream out of those that are open.
func (c *conn2) remove(s *stream2) {
	for i, other := range c.open {
		if other == s {
			last := len(c.open) - 1
			copy(c.open[i:], c.open[i+1:])
			c.open[last] = nil
			c.open = c.open[:last]
			return
		}
	}
}

// fail makes everything that waits on the stream's behalf end. It is called
// under mu.
func (s *stream2) fail(err error) {
	if s.failure != nil {
		return
	}
	s.failure = err
	if s.waiting != nil {
		s.waiting.remove(s)
		s.conn.passTurns() // its own is another's
	}
	if s.up != nil && !s.LocalEnd {
		s.up.Abort()
	}
	s.readable.wake()
	s.writable.wake()
}

// cancelled reports whether the stream failed.
func (s *stream2) cancelled() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.failure != nil
}

// gone implements downstream.
func (s *stream2) gone() bool { return s.cancelled() }

// watch implements downstream.
func (s *stream2) watch(up aborter) {
	if conn, ok := up.(*upstream.Conn); ok {
		conn.WaitsFor(nil) // whose it was before is nobody's business here
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.up = up
	if up != nil && s.failure != nil {
		up.Abort()
	}
}

// received takes in data of the body, and n bytes of padding. It is called
// under mu.
func (s *stream2) received(data []byte, padding int) {
	if padding > 0 {
		s.consumed(int64(padding))
	}
	if len(data) > 0 {
		s.body.add(data)
	}
	s.readable.wake()
}

// takeTrailers copies the trailers, which are in memory of the connection. It
// is called under mu.
func (s *stream2) takeTrailers(fields []head.Field) {
	for _, f := range fields {
		s.trailText = append(append(s.trailText, f.Name...), f.Value...)
	}
	text := view(s.trailText)
	for _, f := range fields {
		name, value := text[:len(f.Name)], text[len(f.Name):len(f.Name)+len(f.Value)]
		s.trailers = append(s.trailers, head.Field{ID: f.ID, Name: name, Value: value})
		text = text[len(name)+len(value):]
	}
	s.readable.wake()
}

// consumed gives n bytes back to both windows. It is called under mu.
func (s *stream2) consumed(n int64) {
	c := s.conn
	if c.gone != nil {
		return
	}
	c.giveBack(n)
	s.owed += n
	if s.owed < streamWindow/4 || s.RemoteEnd || s.failure != nil {
		return
	}
	c.out.grow(64)
	c.out.mem = h2.AppendWindowUpdate(c.out.mem, s.ID, int(s.owed))
	s.Received -= s.owed
	s.owed = 0
	c.flushSoon()
}

// freeHeld gives back what readBody returned last. It is called under mu.
func (s *stream2) freeHeld() (n int64) {
	if s.held != nil {
		n = int64(s.held.n)
		s.held.free()
		s.held, s.heldAt = nil, 0
	}
	return n
}

// complete reports whether all of the body has come: where its length was
// declared, END_STREAM may follow in a frame of its own.
func (s *stream2) complete() bool { return s.RemoteEnd || s.Declared >= 0 && s.Length == s.Declared }

// bodyWhole implements downstream.
func (s *stream2) bodyWhole() ([]byte, bool) {
	switch s.x.req.Length {
	case 0:
		return nil, true
	case head.Chunked:
		return nil, false
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.failure != nil || s.held != nil || !s.complete() || len(s.body.list) != 1 {
		return nil, false
	}
	return s.body.list[0].bytes(), true
}

// readBody implements downstream.
func (s *stream2) readBody() ([]byte, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.consumed(s.freeHeld())
	for {
		switch {
		case s.stopped:
			return nil, errStopped2
		case s.failure != nil:
			return nil, s.failure
		case len(s.body.list) > 0:
			s.held = s.body.take()
			s.reading.moved += int64(s.held.n)
			return s.held.bytes(), nil
		case s.complete():
			return nil, io.EOF
		}
		c.mu.Unlock()
		in := s.awaitBody()
		c.mu.Lock()
		if !in {
			s.resetCode = h2.Cancel
			s.fail(errBodySlow)
		}
	}
}

// awaitBody waits until there may be more of the body, and reports false where
// the client takes too long. A gRPC call may be silent: the exchange gives it its
// time, and stops the reading after that.
func (s *stream2) awaitBody() bool {
	if s.x.grpc {
		return s.readable.wait(0)
	}
	l := s.conn.peer.listener
	defer s.reading.end(0)
	return s.readable.wait(s.reading.begin(l, l.RequestTimeout))
}

// bodyTrailers implements downstream.
func (s *stream2) bodyTrailers() []head.Field {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.trailers
}

// bodyDone implements downstream.
func (s *stream2) bodyDone() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.complete() && len(s.body.list) == 0
}

// stopReading implements downstream.
func (s *stream2) stopReading() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.stopped = true
	s.readable.wake()
}

// spliceBody implements downstream: frames can't be spliced.
func (s *stream2) spliceBody(*upstream.Conn) (int64, error) { return 0, nil }

// survive keeps a fault of this program, met by one request, from ending all
// the others: what served it ends, and the log has the rest.
func (s *Server) survive(fault any, x *exchange) {
	s.log.Error("a request hit a fault of the proxy", zap.Any("fault", fault), zap.Stack("stack"))
	if x == nil {
		return
	}
	x.delist()
	x.ticket.Drop()
	x.leaveOwn(0)
	x.shadowed.abandon()
	x.dropUpstream(upstream.Unknown)
	if x.begun {
		x.counts(x.target).End(x.peer.shard, &x.outcome)
	}
}
