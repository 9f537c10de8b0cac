package proxy

import (
	"sluice/proxy/buffer"
	"sluice/proxy/h2"
	"sluice/proxy/h2/hpack"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
)

// startHeaders makes room for the header of the frame that a header block
// becomes (h2.FinishHeaders).
func startHeaders(dst []byte) []byte { return append(dst, make([]byte, h2.HeaderLen)...) }

// appendHeaderBlock appends a status and the fields that were not dropped.
func appendHeaderBlock(dst []byte, status int, fields []head.Field) []byte {
	dst = hpack.AppendStatus(dst, status)
	return appendFields2(dst, fields)
}

// appendFields2 appends the fields that were not dropped.
func appendFields2(dst []byte, fields []head.Field) []byte {
	for i := range fields {
		if f := &fields[i]; f.Name != "" {
			dst = hpack.AppendField(dst, f.Name, f.Value)
		}
	}
	return dst
}

func appendLength(dst []byte, n int64) []byte { return hpack.AppendContentLength(dst, n) }

// startOut begins frames in memory of the stream's own, which goes to the
// connection in one piece.
func (s *stream2) startOut() int {
	if s.out == nil {
		s.out = buffer.Lend(buffer.Small)
	}
	mark := len(s.out)
	s.out = startHeaders(s.out)
	return mark
}

// finishOut ends a header block that startOut began.
func (s *stream2) finishOut(mark int) {
	s.out = h2.FinishHeaders(s.out, mark, s.ID, false)
	s.headLen = len(s.out)
}

// inform implements downstream.
func (s *stream2) inform(res *head.Response) error {
	mark := s.startOut()
	s.out = appendHeaderBlock(s.out, res.Status, res.Fields)
	s.finishOut(mark)
	s.left = -1 // the final response follows, and more than nothing is to come
	return s.flush()
}

// begin implements downstream. Whether the connection ends is not the stream's
// to say.
func (s *stream2) begin(res *head.Response, extra []head.Field, _ bool) error {
	mark := s.startOut()
	status := res.Status
	if status == 101 {
		status = 200 // RFC 8441, section 5
	}
	s.out = appendHeaderBlock(s.out, status, res.Fields)
	s.out = appendFields2(s.out, extra)
	s.left = -1
	if res.Length >= 0 && res.Status != 101 {
		s.left = res.Length
		if res.Declared >= 0 {
			s.out = appendLength(s.out, res.Declared)
		}
	}
	s.finishOut(mark)
	return nil
}

// write implements downstream. Short pieces are gathered behind the head.
func (s *stream2) write(p []byte) error {
	if len(s.out)+len(p) <= buffer.Small {
		if s.out == nil {
			s.out = buffer.Lend(buffer.Small)
		}
		s.out = append(s.out, p...)
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.send(nil, p, false)
}

// splice implements downstream: frames can't be spliced.
func (s *stream2) splice(*upstream.Conn, int64) (int64, error) { return 0, nil }

// flush implements downstream.
func (s *stream2) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	return s.sendOut(false)
}

// finish implements downstream.
func (s *stream2) finish(trailers []head.Field) error {
	if len(trailers) == 0 {
		return s.sendOut(true)
	}
	if err := s.flush(); err != nil {
		return err
	}
	mark := s.startOut()
	s.out = appendFields2(s.out, trailers)
	s.finishOut(mark)
	return s.sendOut(true)
}

// sendOut sends what was put together.
func (s *stream2) sendOut(end bool) error {
	frames, data := s.out[:s.headLen], s.out[s.headLen:]
	s.headLen, s.out = 0, s.out[:0]
	return s.send(frames, data, end)
}

// send queues frames of a head, and DATA frames of data as far as the windows
// and the queue have room, waiting where they have none, and has it all
// written.
func (s *stream2) send(frames, data []byte, end bool) error {
	c := s.conn
	c.mu.Lock()
	for {
		if s.failure != nil {
			c.passTurns() // the stream may have been woken before it failed
			c.mu.Unlock()
			return s.failure
		}
		before := len(data)
		queued := s.queue(&frames, &data, end)
		s.sending.moved += int64(before - len(data))
		if queued {
			break
		}
		flush := c.beginFlush()
		c.mu.Unlock()
		if flush {
			c.flush()
		}
		in := s.writable.wait(s.sending.begin(c.peer.listener, 0))
		s.sending.end(0)
		c.mu.Lock()
		if !in && s.failure == nil {
			s.resetCode = h2.Cancel
			s.fail(errUnread)
		}
	}
	flush := c.beginFlush()
	c.mu.Unlock()
	if flush {
		c.flush()
	}
	return nil
}

// queue puts as much as it may into the connection's queue, and reports
// whether that was all. If not, the stream waits for what it lacks, and will be
// woken: in one of the connection's lists, or in none where its own window is
// shut. Whatever came of a turn, the next stream gets its own: this one may
// have been woken for a window that it can't use. It is called under mu.
func (s *stream2) queue(frames, data *[]byte, end bool) (all bool) {
	lacks := s.put(frames, data, end)
	if s.waiting != nil && s.waiting != lacks {
		s.waiting.remove(s)
	}
	if lacks != nil {
		lacks.add(s)
	}
	s.conn.passTurns()
	return s.LocalEnd || len(*frames)+len(*data) == 0 && !end
}

// put does what queue says, and returns the list to wait in: nil where that was
// all, or the stream's own window is shut.
func (s *stream2) put(frames, data *[]byte, end bool) (lacks *waiters) {
	c := s.conn
	if s.LocalEnd {
		return nil
	}
	if len(*frames) > 0 {
		if !c.out.fits(0) {
			return &c.out.room
		}
		if s.ends(len(*data), 0, end) {
			(*frames)[4] |= byte(h2.EndStream) // the flags of the first frame, HEADERS
		}
		c.queueHead(*frames)
		*frames = nil
	}
	for !s.LocalEnd && (len(*data) > 0 || end) {
		n := min(len(*data), h2.MaxPayload)
		if n > 0 {
			if n = s.allowed(n); n <= 0 {
				if s.Send > 0 {
					return &c.out.window
				}
				return nil
			}
		}
		if !c.out.fits(n) {
			return &c.out.room
		}
		s.queueData((*data)[:n], s.ends(len(*data), n, end))
		if *data = (*data)[n:]; len(*data) > 0 && c.out.room.first != nil {
			return &c.out.room // one frame each, and then the next stream's turn
		}
	}
	return nil
}

// allowed returns how much of n bytes the windows let pass.
func (s *stream2) allowed(n int) int {
	return int(min(int64(n), int64(s.Send), int64(s.conn.state.Send)))
}

// queueData queues a DATA frame that the windows allow.
func (s *stream2) queueData(p []byte, end bool) {
	c := s.conn
	s.Send -= h2.Window(len(p))
	c.state.Send -= h2.Window(len(p))
	if s.left > 0 {
		s.left -= int64(len(p))
	}
	c.budget.Earn(h2.PingFlood, 1) // gRPC clients measure the way by a ping for each DATA frame (grpc's BDP estimation)
	if end || len(p) >= worthUpdates {
		// Each frame of a fair size may be answered by an update of either
		// window; some clients send both each time.
		c.budget.Earn(h2.WindowFlood, 4)
	}
	c.out.grow(h2.HeaderLen + len(p))
	c.out.mem = h2.AppendData(c.out.mem, s.ID, p, end)
	c.wakeForWindow()
}

// worthUpdates is the least DATA, in bytes, that pays for updates of the
// windows: a client that opens its window byte by byte must do without.
const worthUpdates = 256

// ends reports whether the stream ends with the frame that takes n of the data
// that is left, and notes it.
func (s *stream2) ends(data, n int, end bool) bool {
	if n < data || !end && (s.left < 0 || s.left > int64(n)) {
		return false
	}
	s.LocalEnd = true
	return true
}
