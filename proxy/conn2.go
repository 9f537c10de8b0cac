package proxy

import (
	"crypto/tls"
	"sync"

	"go.uber.org/zap"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/h2"
	"sluice/proxy/h2/hpack"
	"sluice/proxy/sock"
)

// What a client is told that it may use, and may not go beyond.
const (
	// maxStreams is how many requests may be under way on a connection. One
	// that the client has given up counts until the work for it has ended.
	maxStreams = 250
	// streamWindow and connWindow bound, in bytes, what of request bodies
	// waits for an endpoint to take it.
	streamWindow = 256 << 10
	connWindow   = 1 << 20
)

// conn2 is a client's HTTP/2 connection. Its own goroutine reads frames and
// never waits for a write; each stream has a goroutine, that leads its exchange;
// whoever has something to send becomes the writer if there is none (flush).
type conn2 struct {
	srv  *Server
	sock *sock.Conn
	peer peer
	from *listener

	// What the goroutine that reads owns.
	in       buffer.Buffer
	decoder  hpack.Decoder
	block    []byte     // of a header block in several frames
	frames   int        // of that block
	blockEnd bool       // END_STREAM came with it
	nobody   stream2    // whose memory blocks are decoded into that open no stream
	fresh    []*stream2 // opened by the frames at hand, not started yet
	settled  bool       // the client's SETTINGS have come

	blockFault *h2.Fault // of the stream that the block is of; nil: none

	mu     sync.Mutex // of all below, and of the streams' fields that say so
	state  h2.Conn
	budget h2.Budget
	open   []*stream2
	owed   int64 // of the connection's window: consumed and not given back
	closed recent

	tableLeft bool // the client was told that this side's encoder has no table
	out       outgoing
	gone      error // why the connection is lost; nil while it is not

	// Deadlines in the time of sock.Now; 0: none.
	readBy, writeBy int64
	blockTimed      bool  // readBy is that of a header block
	idleAt          int64 // since when there are no streams
	evicted         bool  // to make room
	stopping        stopState
	greeted         bool           // SETTINGS are on their way
	running         sync.WaitGroup // the streams' goroutines
}

// listener implements clientConn.
func (c *conn2) listener() *listener { return c.from }

// abort implements clientConn.
func (c *conn2) abort() { c.sock.Abort() }

// newConn2 goes on with a connection that was accepted as HTTP/1.1.
func newConn2(c1 *conn1) *conn2 {
	c := &conn2{srv: c1.srv, sock: c1.sock, peer: c1.peer, from: c1.from, in: c1.in}
	c.state.Begin(connWindow)
	c.out.flusher = c.flushRest
	c.srv.workers.join() // until end
	return c
}

// serve reads frames until the connection ends, or rests: then wake goes on.
func (c *conn2) serve() {
	c.goOn(func() error {
		if err := c.greet(); err != nil {
			return err
		}
		if err := c.process(); err != nil {
			return err
		}
		c.sock.ShareWrites()
		c.sock.MayRest(c.wake)
		return c.read()
	})
}

// wake goes on in a goroutine of its own with a connection that rested.
func (c *conn2) wake() {
	defer func() {
		if fault := recover(); fault != nil {
			c.srv.survive(fault, nil)
		}
	}()
	c.goOn(c.read)
}

// goOn reads from a step on until the connection rests or ends.
func (c *conn2) goOn(step func() error) {
	rests, why := false, error(errConnGone) // which it stays in a fault of this program
	defer func() {
		if !rests {
			c.end(why)
		}
	}()
	err := step()
	for err == sock.ErrResting {
		if rests = c.sock.Rest(); rests {
			return // from here on the connection is another goroutine's
		}
		err = c.read()
	}
	why = err
}

// read takes in frames as they come.
func (c *conn2) read() error {
	var fault error
	err := c.sock.Each(&c.in, func() bool {
		fault = c.process()
		return fault == nil
	})
	if fault != nil {
		return fault
	}
	return err
}

// greet sends this side's SETTINGS and reads the client's preface.
func (c *conn2) greet() error {
	c.mu.Lock()
	c.readBy = after(c.peer.listener.HeadTimeout)
	c.noteIdle()
	c.retime()
	var payload [36]byte
	settings := h2.AppendSetting(payload[:0], h2.MaxConcurrentStreams, maxStreams)
	settings = h2.AppendSetting(settings, h2.InitialWindowSize, streamWindow)
	settings = h2.AppendSetting(settings, h2.MaxHeaderListSize, uint32(c.headBytes()))
	settings = h2.AppendSetting(settings, h2.EnableConnect, 1)
	settings = h2.AppendSetting(settings, h2.NoPriorities, 1)
	c.out.grow(len(settings) + 2*h2.HeaderLen + 4)
	c.out.mem = append(h2.AppendHeader(c.out.mem, len(settings), h2.SettingsFrame, 0, 0), settings...)
	c.out.mem = h2.AppendWindowUpdate(c.out.mem, 0, connWindow-h2.DefaultWindow)
	c.flushSoon()
	c.greeted = true
	early := c.stopping.early
	c.mu.Unlock()
	if early || c.srv.leaving.Load() {
		c.stop()
	}
	for c.in.Len() < len(h2.Preface) {
		if p := c.in.Bytes(); string(p) != h2.Preface[:len(p)] {
			return h2.BadPreface
		}
		if err := c.sock.Fill(&c.in); err != nil {
			return err
		}
	}
	if string(c.in.Bytes()[:len(h2.Preface)]) != h2.Preface {
		return h2.BadPreface
	}
	c.in.Consume(len(h2.Preface))
	return nil
}

// headBytes returns how long a header list may be.
func (c *conn2) headBytes() int {
	if n := c.peer.listener.Limits.HeadBytes; n > 0 && n <= buffer.Large {
		return n
	}
	return buffer.Large
}

// maxFields returns how many fields a request may have.
func (c *conn2) maxFields() int {
	if n := c.peer.listener.Limits.Fields; n > 0 {
		return n
	}
	return h1.DefaultLimits.Fields
}

// maxURI returns how long, in bytes, a :path may be.
func (c *conn2) maxURI() int {
	if n := c.peer.listener.Limits.URIBytes; n > 0 {
		return n
	}
	return h1.DefaultLimits.URIBytes
}

// process takes in the frames that have come whole, and then starts the
// streams that they opened: a short body is mostly here by then.
func (c *conn2) process() error {
	fault := c.takeFrames()
	c.startStreams()
	if fault != nil {
		return fault
	}
	c.timeBlock()
	return nil
}

// takeFrames takes in the frames that have come whole.
func (c *conn2) takeFrames() *h2.Fault {
	for c.in.Len() >= h2.HeaderLen {
		p := c.in.Bytes()
		h := h2.ParseHeader(p)
		fault := h.Check()
		if fault != nil && fault.Conn {
			return fault
		}
		if len(p) < h2.HeaderLen+h.Length {
			break
		}
		if fault != nil {
			fault = c.resetUnasked(h.Stream, fault)
		} else {
			fault = c.frame(&h, p[h2.HeaderLen:h2.HeaderLen+h.Length])
		}
		if fault != nil {
			return fault
		}
		c.in.Consume(h2.HeaderLen + h.Length)
	}
	return nil
}

// startStreams starts the goroutines of new streams.
func (c *conn2) startStreams() {
	for i, s := range c.fresh {
		c.fresh[i] = nil
		c.running.Add(1)
		if s.cancelled() {
			s.end() // the client has thought better of it in the same breath
		} else {
			s.settleLength()
			c.srv.workers.run(s)
		}
	}
	c.fresh = c.fresh[:0]
}

// end ends the connection, for a fault of the client (*h2.Fault) or whatever
// made reading fail, and waits for the streams' goroutines.
func (c *conn2) end(err error) {
	fault, _ := err.(*h2.Fault)
	c.mu.Lock()
	code := h2.NoError
	if fault != nil {
		code = fault.Code
		if fault.Abuse != h2.NoAbuse {
			c.srv.stats.H2Abuse(fault.Abuse.String())
		}
		c.srv.log.Debug("HTTP/2 connection refused", zap.Error(fault), zap.Stringer("client", c.peer.addr))
	}
	last := c.state.LastStream
	broken := c.gone != nil
	c.lose(errConnGone)
	unsent := c.out.mem
	c.mu.Unlock()
	if !broken {
		c.sock.LastWrite(h2.AppendGoAway(unsent, last, code))
		c.linger(fault != nil)
	}
	c.in.Free()
	c.sock.Close()
	c.running.Wait()
	c.srv.workers.leave()
	c.mu.Lock()
	c.out.free()
	c.mu.Unlock()
	c.srv.forget(c, &c.peer)
}

// linger ends this side's direction and reads on for a moment, so that what
// the client has still sent does not reset the connection before the client
// has read why it ends (RFC 9113, section 6.8).
func (c *conn2) linger(refused bool) {
	if (refused || c.stopped()) && !c.hurried() {
		linger(c.sock, &c.in)
	}
}

// lose marks the connection and its streams as lost: nothing more is queued or
// written. It is called under mu.
func (c *conn2) lose(err error) {
	if c.gone != nil {
		return
	}
	c.gone = err
	for _, s := range c.open {
		s.fail(err)
	}
}

// suites12 are the cipher suites of TLS 1.2 that HTTP/2 may go over (RFC 9113,
// section 9.2.2): those with ephemeral keys and AEAD.
var suites12 = [...]uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}

// adequate reports whether HTTP/2 may go over a connection with this TLS.
func adequate(t *tls.ConnectionState) bool {
	if t.Version != tls.VersionTLS12 {
		return t.Version > tls.VersionTLS12
	}
	for _, suite := range suites12 {
		if t.CipherSuite == suite {
			return true
		}
	}
	return false
}
