package proxy

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
)

// pump carries a request body to the endpoint while the exchange's own
// goroutine waits for the response, which may come before the body's end.
type pump struct {
	started bool          // in this exchange, and not waited for yet
	done    chan struct{} // gets a token when the pump stops
	last    atomic.Bool   // the last of the body is being sent, or was
	failed  atomic.Bool   // client is set
	relays  atomic.Bool   // the response has begun, and its body sets the endpoint's time
	client  error         // what went wrong on the client's side
	whole   bool          // the endpoint got all of the body; read after wait
	frame   []byte
}

// errBodyTooLong is the client's fault when a body of unknown length goes past
// the listener's limit.
var errBodyTooLong = errors.New("the request's body is longer than the listener allows")

// errEndpointGone is what a codec's spliceBody and splice return when it was the
// endpoint that stopped taking the request's body, or sending its own.
var errEndpointGone = errors.New("the endpoint broke off")

// begin starts the pump.
func (p *pump) begin(x *exchange) {
	if p.done == nil {
		p.done = make(chan struct{}, 1)
	}
	p.started, p.client, p.whole = true, nil, false
	p.last.Store(false)
	p.failed.Store(false)
	p.relays.Store(false)
	go x.pumpBody(x.up)
}

// running reports whether the pump was started in this exchange and its end
// not yet seen by wait.
func (p *pump) running() bool { return p.started }

// clientFault returns what went wrong on the client's side, if anything did.
func (p *pump) clientFault() error {
	if p.started && p.failed.Load() {
		return p.client
	}
	return nil
}

// unfinished reports whether the client still has some of the body to send. The
// answer to a whole request may come before the pump's goroutine knows that it
// has sent the last of it, hence last and not done.
func (p *pump) unfinished() bool { return p.started && !p.last.Load() }

// lastComing tells that what is moved next ends the body.
func (p *pump) lastComing() { p.last.Store(true) }

// wait blocks until the pump has stopped.
func (p *pump) wait() {
	if p.started {
		<-p.done
		p.started = false
	}
}

// pumpBody is the pump's goroutine.
func (x *exchange) pumpBody(up *upstream.Conn) {
	p := &x.pump
	err := x.copyRequestBody(up)
	if err != nil {
		// The endpoint must not take what it has for a whole request, and the
		// goroutine that waits for its answer must hear of it: neither is
		// possible on a connection that stays open.
		p.client = err
		p.failed.Store(true)
		up.Abort()
	}
	p.done <- struct{}{}
}

// copyRequestBody sends the body and returns what went wrong on the client's
// side. A failure of the endpoint's side ends it too, but is left to the
// goroutine that reads the answer: an endpoint that has answered may stop
// reading.
func (x *exchange) copyRequestBody(up *upstream.Conn) error {
	f := bodyFlow{x: x, up: up, chunked: x.req.Length == head.Chunked}
	x.endpointRests(up)
	if !x.sendRetained(&f) {
		return nil
	}
	for {
		moved, err := x.spliceRequest(up)
		x.bytesIn += moved
		if err == errEndpointGone {
			return nil
		} else if err != nil {
			return err
		}
		data, err := x.readBody()
		if err == io.EOF {
			x.pump.lastComing()
			x.endpointBegins(up)
			x.pump.whole = x.pump.endBody(up, f.chunked, x.down.bodyTrailers()) == nil
			return nil
		}
		if err != nil {
			return err
		}
		if !f.send(data, x.down.bodyDone()) {
			return nil
		}
	}
}

// readBody reads on in the client's body, within the listener's limit.
func (x *exchange) readBody() ([]byte, error) {
	data, err := x.down.readBody()
	x.bytesIn += int64(len(data))
	x.shadowRequestBody(data, err)
	if limit := x.peer.listener.BodyBytes; err == nil && limit > 0 && x.bytesIn > limit {
		return nil, errBodyTooLong
	}
	return data, err
}

// bodyFlow is a request's body on its way to an endpoint.
type bodyFlow struct {
	x       *exchange
	up      *upstream.Conn
	chunked bool // its length was not told
}

// send sends some of the body, and reports whether the endpoint took it.
func (f *bodyFlow) send(data []byte, last bool) bool {
	x := f.x
	x.endpointBegins(f.up)
	if last && !f.chunked {
		x.pump.lastComing()
	}
	var err error
	if f.chunked && !f.up.HTTP2() {
		err = x.pump.writeChunk(f.up, data)
	} else {
		_, err = f.up.Write(data)
	}
	x.endpointRests(f.up)
	return err == nil
}

// spliceRequest moves the body inside the kernel, where the endpoint's end is a
// socket's.
func (x *exchange) spliceRequest(up *upstream.Conn) (int64, error) {
	if up.HTTP2() || x.shadowsRequestBody() {
		return 0, nil
	}
	return x.down.spliceBody(up)
}

// endpointBegins gives the endpoint the time in which it is to take what is sent
// next or, when that was the last, to answer.
func (x *exchange) endpointBegins(up *upstream.Conn) {
	x.timeEndpoint(up, x.tryTime())
}

// endpointRests takes that time back while the client is waited for, whose own
// time runs then. A gRPC call's client has none, so that what stands still is the
// call.
func (x *exchange) endpointRests(up *upstream.Conn) {
	if x.grpc {
		x.timeEndpoint(up, x.bodyTimeout())
		return
	}
	x.timeEndpoint(up, 0)
}

// timeEndpoint sets the endpoint's time, unless the response has begun: then
// the relay of its body sets it.
func (x *exchange) timeEndpoint(up *upstream.Conn, d time.Duration) {
	up.SetTimeout(d)
	if x.pump.relays.Load() {
		up.SetTimeout(x.bodyTimeout())
	}
}

// writeChunk frames data as one chunk and writes it in one call.
func (p *pump) writeChunk(up *upstream.Conn, data []byte) error {
	p.frame = h1.AppendChunkHead(p.frame[:0], len(data))
	p.frame = append(p.frame, data...)
	p.frame = append(p.frame, h1.CRLF...)
	_, err := up.Write(p.frame)
	if cap(p.frame) > buffer.Small {
		p.frame = nil // not worth keeping for as long as the exchange lives
	}
	return err
}

// endBody tells the endpoint that the body has ended, where its length doesn't.
func (p *pump) endBody(up *upstream.Conn, chunked bool, trailers []head.Field) error {
	switch {
	case up.HTTP2():
		return up.EndBody(trailers)
	case chunked:
		return p.writeLastChunk(up, trailers)
	}
	return nil
}

// writeLastChunk ends a chunked body.
func (p *pump) writeLastChunk(up *upstream.Conn, trailers []head.Field) error {
	p.frame = h1.AppendLastChunk(p.frame[:0], trailers)
	_, err := up.Write(p.frame)
	return err
}

// endPump stops a pump that is still under way when its exchange is over:
// whatever it waits for will not come any more.
func (x *exchange) endPump() {
	p := &x.pump
	if !p.started {
		return
	}
	cut := p.unfinished()
	if cut {
		x.up.Abort()
	}
	if cut && !x.retained.whole {
		x.close = true // the rest of the body stands before the next request
		x.down.stopReading()
	}
	p.wait()
	if cut {
		p.whole = false // even if the last of it slipped through: the connection is ended
	}
	if p.client != nil {
		x.close = true
	}
}
