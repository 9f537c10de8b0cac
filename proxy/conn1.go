package proxy

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/sock"
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

	reading, sending patience // with the client, in the bodies of the request under way

	from     *listener
	state    connState
	idleAt   atomic.Int64 // when it last began to wait for a request, by sock.Now
	asked    atomic.Bool  // whether a request has come on it
	evicted  atomic.Bool  // to make room, while it was idle
	onBytes  func() bool  // handle, made once
	after    next         // what follows when handle has returned false
	last     bool         // the client's time is over, and one answer is written all the same
	headRead bool         // the head of x's request was read, and the rest is to be
	served   int          // requests begun
	hijacked bool
	aborted  bool
}

// next is what becomes of a connection after a step.
type next uint8

const (
	nextRequest next = iota // another request may come
	nextRead                // the request under way has to be read from the socket
	nextLast                // the server stops
	nextRest                // the connection does without a goroutine until something comes
	nextEnd                 // the connection ends
)

// serve reads and answers requests until the connection ends.
//
// A request that comes in one piece, as nearly all do, is served inside the
// wait for it (sock.Conn.Each, handle). One that must be read further leaves
// that wait, and is served by plain reads.
//
// A wait that lasts ends, and the goroutine with it; wake goes on.
func (c *conn1) serve() {
	c.onBytes = c.handle
	c.sock.MayRest(c.wake)
	c.goOn(c.await)
}

// wake goes on in a goroutine of its own with a connection that rested.
func (c *conn1) wake() {
	defer c.survive()
	c.goOn(c.wait)
}

// goOn serves from a step on until the connection rests or ends.
func (c *conn1) goOn(step func() next) {
	rests := false
	defer func() {
		if !rests {
			c.end()
		}
	}()
	for {
		switch step() {
		case nextRead:
			if c.serveRead() != nextRequest {
				return
			}
		case nextLast:
			if !c.lastCall() || c.serveRead() != nextRequest {
				return
			}
		case nextRest:
			if rests = c.sock.Rest(); rests {
				return // from here on the connection is another goroutine's
			}
			step = c.wait
			continue
		default:
			return
		}
		step = c.await
	}
}

// await waits for requests, owning as little as possible, and serves those that
// come whole.
func (c *conn1) await() next {
	if c.in.Len() > 0 {
		return nextRead
	}
	c.sock.SetTimeout(c.peer.listener.IdleTimeout)
	c.idleAt.Store(sock.Now())
	if !c.state.toIdle() {
		return nextLast
	}
	return c.wait()
}

// wait is the wait itself.
func (c *conn1) wait() next {
	switch err := c.sock.Each(&c.in, c.onBytes); {
	case err == nil:
		return c.after
	case err == sock.ErrResting:
		return nextRest
	case !c.state.toBusy():
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
	c.idleAt.Store(sock.Now())
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
	if (c.served > 0 || c.evicted.Load()) && c.sock.Quiet() {
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

// survive ends the connection after a fault of this program.
func (c *conn1) survive() {
	if fault := recover(); fault != nil {
		c.srv.survive(fault, c.x)
	}
}

// headStarted begins the time that the rest of a head may take.
func (c *conn1) headStarted() { c.sock.SetTimeout(c.peer.listener.HeadTimeout) }

// answer leads a request whose head was read through its exchange.
func (c *conn1) answer() next {
	x := c.x
	c.headRead = false
	if c.served++; c.served == 1 {
		c.asked.Store(true)
	}
	c.reading, c.sending = patience{}, patience{}
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
	if !c.peer.synthetic {
		c.srv.stats.Refused(status)
	}
	c.srv.access.logRefused(&c.peer, status, err)
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
	c.srv.forget(c, &c.peer)
}

// Bounds of the time and the bytes that a refused or unread request is granted
// for the sake of its answer.
const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// linger ends the response's direction and reads on for a moment.
func (c *conn1) linger() { linger(c.sock, &c.in) }

// linger is what connections of every protocol do for that.
func linger(s *sock.Conn, in *buffer.Buffer) {
	if s.CloseWrite() != nil {
		return
	}
	s.ResumeReading()
	s.SetTimeout(lingerTime)
	for n := 0; n < lingerBytes; n += in.Len() {
		in.Free()
		if s.Fill(in) != nil {
			return
		}
	}
}
