package h2

// Window is a flow-control window: how many bytes of DATA may still be sent. A
// change of SETTINGS can make it negative.
type Window int64

// grow adds to the window and reports whether it is still one.
func (w *Window) grow(n int64) bool {
	*w += Window(n)
	return *w <= MaxWindow
}

// Conn is the state of a connection that all its streams share.
type Conn struct {
	Send Window // what may still be sent on all streams together
	// Received is what came and has not been given back. The client may not
	// take it above Granted.
	Received, Granted int64
	Peer              Settings
	LastStream        uint32 // the highest that the client has opened
	Block             uint32 // the stream whose header block is under way; 0: none
}

// Begin makes c the state of a new connection that lets a client send granted
// bytes before the first are consumed.
func (c *Conn) Begin(granted int64) {
	*c = Conn{Send: DefaultWindow, Granted: granted, Peer: DefaultSettings}
}

// Sequence judges whether a frame may come now: nothing comes between the
// frames of a header block (RFC 9113, section 6.10).
func (c *Conn) Sequence(h *Header) *Fault {
	switch {
	case c.Block == 0 && h.Type == Continuation:
		return blockMissing
	case c.Block != 0 && (h.Type != Continuation || h.Stream != c.Block):
		return blockBroken
	}
	return nil
}

// Open judges the number of a new stream (RFC 9113, section 5.1.1).
func (c *Conn) Open(stream uint32) *Fault {
	if stream%2 == 0 || stream <= c.LastStream {
		return streamNumber
	}
	c.LastStream = stream
	return nil
}

// Unknown judges a frame for a stream that is not open. One that was never
// opened ends the connection; one that is closed is no fault, since this side
// may have closed it while the frame was on its way (RFC 9113, section 5.1).
func (c *Conn) Unknown(stream uint32) *Fault {
	if stream > c.LastStream || stream%2 == 0 {
		return onIdle
	}
	return nil
}

// Grow takes in a WINDOW_UPDATE of the connection.
func (c *Conn) Grow(n uint32) *Fault {
	if n == 0 {
		return zeroIncrement
	}
	if !c.Send.grow(int64(n)) {
		return windowOverflow
	}
	return nil
}

// Take counts n bytes of a DATA frame, padding included (RFC 9113, section
// 6.9.1), against the connection's window.
func (c *Conn) Take(n int) *Fault {
	if c.Received += int64(n); c.Received > c.Granted {
		return overConnWindow
	}
	return nil
}

// Stream is the state of a stream that a client has opened.
//
//	            HEADERS                    end of the response
//	idle ------------------> open -----------------------------> half-closed (local)
//	                           |                                       |
//	                END_STREAM |                            END_STREAM |
//	                           v           end of the response         v
//	                 half-closed (remote) ------------------------> closed
//
// RST_STREAM, either way, leads from each state to closed.
type Stream struct {
	ID   uint32
	Send Window // what may still be sent on it
	// Received is what came and has not been given back; the client may not
	// take it above Granted.
	Received, Granted int64
	Declared          int64 // Content-Length, or -1
	Length            int64 // of the body that has come
	RemoteEnd         bool  // the client has sent END_STREAM
	LocalEnd          bool  // the response has been sent to its end
}

// Data counts the data of a DATA frame; n is its length with padding.
func (s *Stream) Data(data, n int, end bool) *Fault {
	if s.RemoteEnd {
		return afterEnd
	}
	if s.Received += int64(n); s.Received > s.Granted {
		return overStreamWindow
	}
	s.Length += int64(data)
	if s.Declared >= 0 && s.Length > s.Declared {
		return lengthExceeded
	}
	if end {
		return s.end()
	}
	return nil
}

// Trailers takes in a second header block.
func (s *Stream) Trailers(end bool) *Fault {
	switch {
	case s.RemoteEnd:
		return afterEnd
	case !end:
		return trailersOpen
	}
	return s.end()
}

// end takes in END_STREAM: a body must be as long as its Content-Length says
// (RFC 9113, section 8.1.1).
func (s *Stream) end() *Fault {
	s.RemoteEnd = true
	if s.Declared >= 0 && s.Length != s.Declared {
		return lengthMissed
	}
	return nil
}

// Grow takes in a WINDOW_UPDATE of the stream.
func (s *Stream) Grow(n uint32) *Fault {
	if n == 0 {
		return streamZero
	}
	if !s.Send.grow(int64(n)) {
		return streamOverflow
	}
	return nil
}

// Shift takes in a change of the initial window (RFC 9113, section 6.9.2).
func (s *Stream) Shift(by int64) *Fault {
	if !s.Send.grow(by) {
		return settingsWindow
	}
	return nil
}
