package proxy

import (
	"time"

	"sluice/proxy/buffer"
	"sluice/proxy/h2"
	"sluice/proxy/head"
	"sluice/proxy/sock"
)

// frame takes in a frame, whose header was checked. A fault that it returns
// ends the connection; those of a stream reset it here.
func (c *conn2) frame(h *h2.Header, p []byte) *h2.Fault {
	if fault := c.state.Sequence(h); fault != nil {
		return fault
	}
	if !c.settled && (h.Type != h2.SettingsFrame || h.Flags.Has(h2.Ack)) {
		return h2.FirstSettings
	}
	switch h.Type {
	case h2.Data:
		return c.data(h, p)
	case h2.Headers:
		return c.headers(h, p)
	case h2.Continuation:
		return c.continuation(h, p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch h.Type {
	case h2.ResetStream:
		return c.resetByClient(h.Stream)
	case h2.SettingsFrame:
		return c.settings(h, p)
	case h2.Ping:
		return c.ping(h, p)
	case h2.WindowUpdate:
		return c.windowUpdate(h.Stream, h2.Increment(p))
	case h2.Priority:
		if fault := h2.CheckPriority(h.Stream, p); fault != nil {
			return c.fault(h.Stream, fault)
		}
	case h2.GoAway:
		return nil // the client opens no more streams; it will close
	}
	return c.spend(h2.PriorityFlood)
}

// spend counts what a client may do only so often. It is called under mu.
func (c *conn2) spend(a h2.Abuse) *h2.Fault { return c.budget.Spend(a, sock.Now()) }

// fault resets a stream for what the client did on it, which counts as if the
// client had reset it: both cost the same. It is called under mu.
func (c *conn2) fault(stream uint32, f *h2.Fault) *h2.Fault {
	if f.Conn {
		return f
	}
	if s := c.find(stream); s != nil {
		s.resetSent = true
		s.fail(f)
	}
	if f := c.spend(h2.RapidReset); f != nil {
		return f
	}
	return c.reset(stream, f.Code)
}

// resetUnasked does the same for a frame that was judged by its header alone.
func (c *conn2) resetUnasked(stream uint32, f *h2.Fault) *h2.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fault(stream, f)
}

// find returns a stream that is not closed, or nil. The latest are asked for
// most.
func (c *conn2) find(id uint32) *stream2 {
	for i := len(c.open) - 1; i >= 0; i-- {
		if s := c.open[i]; s.ID == id {
			if s.LocalEnd && s.RemoteEnd {
				return nil // its goroutine has only to leave
			}
			return s
		}
	}
	return nil
}

// data takes in a DATA frame.
func (c *conn2) data(h *h2.Header, payload []byte) *h2.Fault {
	data, fault := h.DataPayload(payload)
	if fault != nil {
		return fault
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if fault := c.state.Take(h.Length); fault != nil {
		return fault
	}
	end := h.Flags.Has(h2.EndStream)
	if len(data) == 0 && !end {
		if fault := c.spend(h2.EmptyFrames); fault != nil {
			return fault
		}
	}
	s := c.find(h.Stream)
	if s == nil || s.failure != nil {
		c.giveBack(int64(h.Length))
		return c.late(h.Stream, s != nil && s.failure != errReset)
	}
	if fault := s.Data(len(data), h.Length, end); fault != nil {
		c.giveBack(int64(h.Length))
		return c.fault(h.Stream, fault)
	}
	s.received(data, h.Length-len(data))
	return nil
}

// late judges a frame for a stream that takes none any more: one that was reset
// may have been on its way then.
func (c *conn2) late(stream uint32, known bool) *h2.Fault {
	if known || c.closed.has(stream) {
		return nil
	}
	if fault := c.state.Unknown(stream); fault != nil {
		return fault
	}
	return c.fault(stream, h2.Closed)
}

// headers takes in a HEADERS frame.
func (c *conn2) headers(h *h2.Header, p []byte) *h2.Fault {
	fragment, fault := h.HeadersPayload(p)
	if fault != nil && fault.Conn {
		return fault
	}
	c.blockEnd, c.blockFault = h.Flags.Has(h2.EndStream), fault
	if h.Flags.Has(h2.EndHeaders) {
		return c.headerBlock(h.Stream, fragment)
	}
	c.state.Block = h.Stream
	c.block, c.frames = append(c.block[:0], fragment...), 1
	return nil
}

// maxBlockFrames is how many frames a header block may have: at the least
// bytes that a frame should have, 1 KiB, the longest block has 64.
const maxBlockFrames = 64

// continuation takes in a CONTINUATION frame.
func (c *conn2) continuation(h *h2.Header, p []byte) *h2.Fault {
	c.frames++
	if c.frames > maxBlockFrames || len(c.block)+len(p) > c.headBytes() {
		return h2.Calm(h2.ContinuationFlood)
	}
	if len(p) == 0 {
		c.mu.Lock()
		fault := c.spend(h2.EmptyFrames)
		c.mu.Unlock()
		if fault != nil {
			return fault
		}
	}
	c.block = append(c.block, p...)
	if !h.Flags.Has(h2.EndHeaders) {
		return nil
	}
	c.state.Block = 0
	fault := c.headerBlock(h.Stream, c.block)
	if cap(c.block) > buffer.Small {
		c.block = nil
	}
	return fault
}

// headerBlock takes in a whole header block: it opens a stream, or ends one as
// its trailers. It is always decoded, or the decoder's table would no longer be
// that of the client.
func (c *conn2) headerBlock(id uint32, block []byte) *h2.Fault {
	c.mu.Lock()
	s := c.find(id)
	if s != nil {
		defer c.mu.Unlock()
		return c.trailers(s, block)
	}
	known := id%2 == 1 && id <= c.state.LastStream
	ignored := known && c.closed.has(id)
	var fault *h2.Fault
	if !known {
		fault = c.state.Open(id)
	}
	c.mu.Unlock()
	switch {
	case fault != nil:
		return fault
	case !known:
		return c.openStream(id, block)
	}
	if _, fault := c.decode(nil, block); fault != nil || ignored {
		return fault
	}
	return h2.ClosedConn
}

// decode decodes a block into the memory of a stream, or of nobody.
func (c *conn2) decode(s *stream2, block []byte) (*stream2, *h2.Fault) {
	if s == nil {
		s = &c.nobody
	}
	res, err := c.decoder.Decode(block, s.text[:0], s.fields[:0], c.headBytes(), c.maxFields()+maxPseudo)
	s.text, s.fields, s.tooLarge, s.malformed = res.Text, res.Fields, res.TooLarge, res.Malformed
	if err != nil {
		return s, h2.Compression
	}
	return s, nil
}

// maxPseudo is how many pseudo-header fields come before the fields that the
// listener's limit is about.
const maxPseudo = 5

// openStream makes a stream of a request's fields. It starts with the others
// that the frames at hand have opened.
func (c *conn2) openStream(id uint32, block []byte) *h2.Fault {
	s, fault := c.decode(acquireStream(c, id, c.blockEnd), block)
	if fault != nil {
		s.release()
		return fault
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.blockFault != nil:
		s.release()
		return c.fault(id, c.blockFault)
	case len(c.open) >= maxStreams || c.stopping.final:
		s.release()
		if fault := c.spend(h2.RapidReset); fault != nil {
			return fault
		}
		return c.reset(id, h2.RefusedStream)
	}
	if refusal := s.request(); refusal != nil {
		defer s.release()
		return c.refuse(s, refusal)
	}
	s.Send, s.Granted = h2.Window(c.state.Peer.InitialWindow), streamWindow
	c.open = append(c.open, s)
	if len(c.open) == 1 {
		c.timeIdle()
	}
	c.fresh = append(c.fresh, s)
	return nil
}

// trailers takes in the second header block of a stream. It is called under
// mu.
func (c *conn2) trailers(s *stream2, block []byte) *h2.Fault {
	t, fault := c.decode(nil, block)
	switch {
	case fault != nil:
		return fault
	case s.failure == errReset:
		return h2.ClosedConn
	case s.failure != nil:
		return nil
	case c.blockFault != nil:
		return c.fault(s.ID, c.blockFault)
	case t.malformed || t.tooLarge:
		return c.fault(s.ID, h2.BadTrailers)
	}
	if fault := s.Trailers(c.blockEnd); fault != nil {
		return c.fault(s.ID, fault)
	}
	kept, refusal := h2.Trailers(t.fields)
	if refusal != nil {
		return c.fault(s.ID, h2.BadTrailers)
	}
	s.takeTrailers(kept)
	return nil
}

// refuse answers a request that is not served, or resets its stream. It is
// called under mu.
func (c *conn2) refuse(s *stream2, r *h2.Refusal) *h2.Fault {
	status := r.Status
	if status == 0 {
		status = 400
	}
	if !c.peer.synthetic {
		c.srv.stats.Refused(status)
	}
	c.srv.access.logRefused(&c.peer, status, r)
	if r.Status == 0 {
		return c.fault(s.ID, h2.BadRequest)
	}
	abuse := h2.RapidReset
	if status == 431 {
		abuse = h2.HeaderBomb
	}
	if fault := c.spend(abuse); fault != nil {
		return fault
	}
	fault := c.control()
	text := "The request is refused: " + r.Reason + ".\n"
	c.queueHead(appendRefusal(nil, s.ID, status, text, c.srv.date(time.Now()), s.isHead()))
	if !s.RemoteEnd {
		c.out.mem = h2.AppendReset(c.out.mem, s.ID, h2.NoError)
	}
	c.closed.add(s.ID)
	c.flushSoon()
	return fault
}

// appendRefusal appends a whole response to a request that is not served.
func appendRefusal(dst []byte, id uint32, status int, text, date string, isHead bool) []byte {
	fields := [...]head.Field{
		{Name: "content-type", Value: "text/plain; charset=utf-8"}, {Name: "date", Value: date},
	}
	mark := len(dst)
	dst = appendHeaderBlock(startHeaders(dst), status, fields[:])
	dst = appendLength(dst, int64(len(text)))
	dst = h2.FinishHeaders(dst, mark, id, isHead)
	if isHead {
		return dst
	}
	return h2.AppendData(dst, id, []byte(text), true)
}

// resetByClient takes in RST_STREAM. It is called under mu.
func (c *conn2) resetByClient(id uint32) *h2.Fault {
	s := c.find(id)
	if s == nil {
		return c.state.Unknown(id)
	}
	if s.failure != nil {
		return nil
	}
	s.fail(errReset)
	if s.LocalEnd {
		return nil
	}
	return c.spend(h2.RapidReset)
}

// settings takes in SETTINGS. It is called under mu.
func (c *conn2) settings(h *h2.Header, p []byte) *h2.Fault {
	if h.Flags.Has(h2.Ack) {
		return c.spend(h2.SettingsFlood)
	}
	before := c.state.Peer.InitialWindow
	if fault := c.state.Peer.Apply(p); fault != nil {
		return fault
	}
	if by := c.state.Peer.InitialWindow - before; by != 0 {
		for _, s := range c.open {
			if fault := s.Shift(by); fault != nil {
				return fault
			}
			s.writable.wake()
		}
	}
	if !c.settled {
		c.settled = true
		c.timeIdle()
	} else if fault := c.spend(h2.SettingsFlood); fault != nil {
		return fault
	}
	fault := c.control()
	c.out.mem = h2.AppendHeader(c.out.mem, 0, h2.SettingsFrame, h2.Ack, 0)
	c.flushSoon()
	return fault
}

// ping takes in PING. It is called under mu.
func (c *conn2) ping(h *h2.Header, p []byte) *h2.Fault {
	if h.Flags.Has(h2.Ack) {
		if c.stopping.pinged && string(p) == stopPing {
			return c.stopHeard()
		}
		return c.spend(h2.PingFlood)
	}
	if fault := c.spend(h2.PingFlood); fault != nil {
		return fault
	}
	fault := c.control()
	c.out.mem = h2.AppendPing(c.out.mem, h2.Ack, p)
	c.flushSoon()
	return fault
}

// windowUpdate takes in WINDOW_UPDATE. It is called under mu.
func (c *conn2) windowUpdate(id uint32, n uint32) *h2.Fault {
	if fault := c.spend(h2.WindowFlood); fault != nil {
		return fault
	}
	if id == 0 {
		fault := c.state.Grow(n)
		c.wakeForWindow()
		return fault
	}
	s := c.find(id)
	if s == nil {
		return c.state.Unknown(id)
	}
	if fault := s.Grow(n); fault != nil {
		return c.fault(id, fault)
	}
	s.writable.wake()
	return nil
}

// recent remembers the streams that were reset last: frames for them may have
// been on their way.
type recent struct {
	ids [64]uint32
	at  int
}

func (r *recent) add(id uint32) {
	r.ids[r.at] = id
	r.at = (r.at + 1) % len(r.ids)
}

func (r *recent) has(id uint32) bool {
	for _, known := range r.ids {
		if known == id {
			return true
		}
	}
	return false
}
