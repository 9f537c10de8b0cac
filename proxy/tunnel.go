package proxy

import (
	"io"
	"strings"
	"time"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
)

// tunneler is a codec that can hand over its connection after a 101.
type tunneler interface {
	// hijack returns the client's side, and the bytes that the client has sent
	// already behind its request.
	hijack() (tunnelEnd, *buffer.Buffer)
}

// tunnelEnd is one side of a tunnel, as sock.Conn is one. One goroutine reads
// while another writes.
type tunnelEnd interface {
	// Fill waits for bytes and reads them into b; io.EOF at the end.
	Fill(b *buffer.Buffer) error
	Write(p []byte) (int, error)
	// CloseWrite tells the other side that nothing follows.
	CloseWrite() error
	// Abort makes reads and writes fail at once and for good.
	Abort()
	// StopReading makes a Fill, also one under way, fail until ResumeReading.
	StopReading()
	ResumeReading()
	// SetTimeout bounds how long from now Fill and Write may take; 0: no limit.
	SetTimeout(d time.Duration)
}

// tunnel passes the 101 on and then bytes both ways until one side is done,
// nothing moved for the idle time, or the tunnel is closed (streams.go).
func (x *exchange) tunnel() {
	x.outcome.Status = 101
	x.close = true
	webSocket := false
	if to, has := x.res.Lookup(head.Upgrade); has {
		webSocket = head.EqualFold(to, "websocket")
	}
	x.dropResponseFields()
	x.extra = x.extra[:0]
	t, ok := x.down.(tunneler)
	if !ok || x.down.begin(&x.res, x.extra, false) != nil || x.down.flush() != nil {
		x.endRelay(relayClientGone)
		return
	}
	x.counts(x.target).TunnelOpened(x.peer.shard)
	x.answerTrial()
	x.keepForLog()
	client, early := t.hijack()
	x.up.In.Drop()
	x.up.WaitsFor(nil) // a client that ends its direction has not left
	down := flow{dst: client, src: x.up.Conn, b: &x.up.In, idle: x.target.Settings.TunnelIdle, stream: &x.stream}
	up := flow{dst: x.up.Conn, src: client, b: early, idle: down.idle, stream: down.stream}
	if webSocket {
		down.frames, up.frames = new(frames), new(frames)
		down.farewell, up.farewell = closeFrame(serviceRestart, false), closeFrame(goingAway, true)
	}
	x.enlist(client)
	limit := x.limitTunnel()
	done := make(chan struct{})
	go func() { up.run(); close(done) }()
	down.run()
	<-done
	limit()
	x.delist()
	x.bytesOut, x.bytesIn = down.carried, up.carried
	x.counts(x.target).TunnelClosed(x.peer.shard)
	x.dropUpstream(upstream.Done)
}

// keepForLog copies what the access log and the trace tell of the request. The
// memory that it came in is the tunnel's from now on, and what passes there is
// secret.
func (x *exchange) keepForLog() {
	r := &x.req
	r.Method, r.Host = strings.Clone(r.Method), strings.Clone(r.Host)
	r.Path, r.Query = strings.Clone(r.Path), strings.Clone(r.Query)
	kept := r.Fields[:0]
	for _, f := range r.Fields {
		switch {
		case f.ID == head.UserAgent, f.ID == head.Traceparent, f.ID == head.Tracestate, head.EqualFold(f.Name, "referer"), x.isSyntheticField(&f):
			kept = append(kept, head.Field{ID: f.ID, Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)})
		}
	}
	clear(r.Fields[len(kept):])
	r.Fields = kept
}

// flow is one direction of a tunnel.
type flow struct {
	dst, src tunnelEnd
	b        *buffer.Buffer // of src
	idle     time.Duration  // without a byte either way
	carried  int64
	stream   *stream // tells when the tunnel is to end
	frames   *frames // where dst stands; nil: this is no WebSocket
	farewell []byte  // the Close frame for dst
}

// run carries bytes, at first what waits in the buffer. When src has ended, dst
// is told; when either failed, both are ended, so that the other direction ends
// too.
func (f *flow) run() {
	for {
		// Looked at before every write: a Fill that StopReading ends may still
		// return what came at that moment.
		if f.stream.closing.Load() {
			f.end()
			return
		}
		if f.b.Len() > 0 {
			if !f.carry(f.b.Bytes()) {
				return
			}
			continue
		}
		f.src.SetTimeout(f.idle)
		f.dst.SetTimeout(f.idle)
		switch err := f.src.Fill(f.b); {
		case f.stream.closing.Load(): // before what came is carried: it may be the answer to our own farewell
			f.end()
			return
		case err == nil:
		case err == io.EOF:
			f.dst.CloseWrite()
			return
		default:
			f.abort()
			return
		}
	}
}

// carry writes p, the first of what is in the buffer, and takes it out of there.
func (f *flow) carry(p []byte) bool {
	if f.frames != nil {
		f.frames.pass(p)
	}
	return f.forward(p)
}

// forward is carry, of bytes that frames has seen.
func (f *flow) forward(p []byte) bool {
	n, err := f.dst.Write(p)
	f.carried += int64(n)
	if err != nil {
		f.abort()
		return false
	}
	f.b.Consume(n)
	return true
}

func (f *flow) abort() {
	f.src.Abort()
	f.dst.Abort()
}

// end closes the direction of a tunnel that is to end. A WebSocket is brought to
// the end of the frame under way, and told; of other protocols nobody knows
// what would be an end.
func (f *flow) end() {
	if f.frames == nil {
		f.abort()
		return
	}
	f.stream.settle()
	f.src.ResumeReading()
	f.src.SetTimeout(closeGrace)
	for !f.frames.boundary() {
		if f.b.Len() == 0 && f.src.Fill(f.b) != nil {
			f.abort()
			return
		}
		if !f.carryRest() {
			return
		}
	}
	if !f.frames.closed {
		if _, err := f.dst.Write(f.farewell); err != nil {
			f.abort()
			return
		}
	}
	f.dst.CloseWrite()
	// What src still sends is read and dropped: a connection that is closed
	// before is reset, and the reset could overtake the farewell of the other
	// direction.
	for f.b.Free(); f.src.Fill(f.b) == nil; f.b.Free() {
	}
}

// carryRest carries what the buffer has of the frame under way.
func (f *flow) carryRest() bool {
	p := f.b.Bytes()
	return f.forward(p[:f.frames.passRest(p)])
}
