package proxy

import (
	"runtime"

	"sluice/proxy/buffer"
	"sluice/proxy/h2"
	"sluice/proxy/h2/hpack"
)

// outgoing is what waits to be sent on an HTTP/2 connection, whole frames. It
// is guarded by conn2.mu.
type outgoing struct {
	mem      []byte
	spare    []byte // given back by the last write, for the next
	flushing bool   // a goroutine is the writer
	controls int    // frames that the client made us send, since the last write began
	room     waiters
	window   waiters // for the connection's flow-control window
	flusher  func()  // conn2.flushRest, made once: a go statement with arguments allocates
}

// maxControls is how many answers to frames of the client may wait to be sent,
// for a client that does not read them.
const maxControls = 250

// grow makes room for n more bytes.
func (o *outgoing) grow(n int) {
	need := len(o.mem) + n
	if need <= cap(o.mem) {
		return
	}
	if o.mem == nil && cap(o.spare) >= need {
		o.mem, o.spare = o.spare, nil
		return
	}
	var mem []byte
	if need <= buffer.Large {
		mem = buffer.Lend(need)
	} else {
		mem = make([]byte, 0, 2*need) // control frames alone go beyond what is lent
	}
	mem = append(mem, o.mem...)
	if o.mem != nil {
		buffer.GiveBack(o.mem)
	}
	o.mem = mem
}

// fits reports whether a frame with n bytes of payload may be queued. More
// blocks the stream that it is of, so that the memory of a connection is
// bounded, and its streams take turns.
func (o *outgoing) fits(n int) bool { return len(o.mem)+h2.HeaderLen+n <= buffer.Large }

// free gives the memory back, when nothing is being written.
func (o *outgoing) free() {
	if o.mem != nil {
		buffer.GiveBack(o.mem)
	}
	if o.spare != nil {
		buffer.GiveBack(o.spare)
	}
	o.mem, o.spare = nil, nil
}

// control makes room for an answer to a frame of the client, and reports the
// fault of one that lets too many wait. The caller appends it, and calls
// flushSoon.
func (c *conn2) control() *h2.Fault {
	if c.out.controls++; c.out.controls > maxControls {
		return h2.Calm(h2.ControlFlood)
	}
	c.out.grow(64)
	return nil
}

// queueHead queues the frames of a header block, which it may change. The first
// block after the client has lowered the size of its table begins with the
// update that the client then waits for, in a frame of its own.
func (c *conn2) queueHead(frames []byte) {
	c.out.grow(len(frames) + h2.HeaderLen + 1)
	if c.state.Peer.TableLowered && !c.tableLeft {
		c.tableLeft = true
		h := h2.ParseHeader(frames)
		c.out.mem = h2.AppendHeader(c.out.mem, 1, h2.Headers, h.Flags&h2.EndStream, h.Stream)
		c.out.mem = hpack.AppendTableSizeZero(c.out.mem)
		h2.AppendHeader(frames[:0], h.Length, h2.Continuation, h.Flags&^h2.EndStream, h.Stream)
	}
	c.out.mem = append(c.out.mem, frames...)
}

// reset queues a RST_STREAM. It is called under mu.
func (c *conn2) reset(stream uint32, code h2.Code) *h2.Fault {
	fault := c.control()
	c.out.mem = h2.AppendReset(c.out.mem, stream, code)
	c.closed.add(stream)
	c.flushSoon()
	return fault
}

// giveBack returns n consumed bytes to the connection's window, in large
// pieces. It is called under mu.
func (c *conn2) giveBack(n int64) {
	if c.owed += n; c.owed < connWindow/4 {
		return
	}
	c.out.grow(h2.HeaderLen + 4)
	c.out.mem = h2.AppendWindowUpdate(c.out.mem, 0, int(c.owed))
	c.state.Received -= c.owed
	c.owed = 0
	c.flushSoon()
}

// flushSoon has what waits written without waiting for it. It is called under
// mu.
func (c *conn2) flushSoon() {
	if !c.out.flushing && c.gone == nil {
		c.out.flushing = true
		c.running.Add(1)
		go c.out.flusher()
	}
}

// beginFlush reports whether the caller is the writer now, and must call flush
// after mu is free. It is called under mu.
func (c *conn2) beginFlush() bool {
	if c.out.flushing || len(c.out.mem) == 0 || c.gone != nil {
		return false
	}
	c.out.flushing = true
	return true
}

// flush writes what waits, and what other streams add meanwhile: while it
// lets them run first, their frames go along in one write, which is worth a
// quarter of a small request's cost. A stream does not stay the writer of the
// others: what remains after its turn goes on elsewhere.
func (c *conn2) flush() {
	c.mu.Lock()
	others := len(c.open) > 1
	c.mu.Unlock()
	if others {
		runtime.Gosched()
	}
	if !c.writeOut(2) {
		c.running.Add(1)
		go c.out.flusher()
	}
}

// flushRest writes until nothing waits, in a goroutine of its own.
func (c *conn2) flushRest() {
	defer c.running.Done()
	for !c.writeOut(1 << 20) {
	}
}

// writeOut writes what waits, up to so many times, and reports whether it has
// ended being the writer.
func (c *conn2) writeOut(times int) (done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(c.out.mem) > 0 && c.gone == nil; times-- {
		if times == 0 {
			return false
		}
		out := c.out.mem
		c.out.mem, c.out.controls = nil, 0
		c.wakeForRoom()
		c.writeBy = after(c.peer.listener.BodyTimeout)
		c.retime()
		c.mu.Unlock()
		_, err := c.sock.Write(out)
		c.mu.Lock()
		c.writeBy = 0
		c.retime()
		if c.out.spare != nil {
			buffer.GiveBack(c.out.spare)
		}
		c.out.spare = out[:0]
		if err != nil {
			c.lose(errConnGone)
			c.sock.Abort() // the reader ends the connection
		}
	}
	c.out.flushing = false
	c.rest()
	return true
}

// rest gives back the memory of a connection without streams that has nothing
// to send. It is called under mu, by whichever comes last, the end of the write
// or of the stream that it was for.
func (c *conn2) rest() {
	if len(c.open) == 0 && len(c.out.mem) == 0 && !c.out.flushing && c.gone == nil {
		c.out.free()
	}
}

// wakeForRoom wakes the stream that has waited longest for room, if there is
// some. Each that has queued a frame wakes the next. It is called under mu.
func (c *conn2) wakeForRoom() {
	if c.out.fits(h2.MaxPayload) {
		c.out.room.wakeFirst()
	}
}

// wakeForWindow does the same for the connection's window.
func (c *conn2) wakeForWindow() {
	if c.state.Send > 0 {
		c.out.window.wakeFirst()
	}
}

// passTurns wakes whoever may go on, after a stream had its turn. It is called
// under mu.
func (c *conn2) passTurns() {
	c.wakeForRoom()
	c.wakeForWindow()
}

// waiters are streams that wait their turn, in order.
type waiters struct{ first, last *stream2 }

// add puts a stream at the end, unless it waits already, and then here.
func (w *waiters) add(s *stream2) {
	if s.waiting != nil {
		return
	}
	s.waiting, s.next = w, nil
	if w.first == nil {
		w.first = s
	} else {
		w.last.next = s
	}
	w.last = s
}

// wakeFirst takes the first out and wakes it.
func (w *waiters) wakeFirst() {
	s := w.first
	if s == nil {
		return
	}
	w.remove(s)
	s.writable.wake()
}

// remove takes a stream out, which waits at the front or, rarely, elsewhere.
func (w *waiters) remove(s *stream2) {
	var before *stream2
	for at := w.first; at != s; at = at.next {
		before = at
	}
	if before == nil {
		w.first = s.next
	} else {
		before.next = s.next
	}
	if w.last == s {
		w.last = before
	}
	s.waiting, s.next = nil, nil
}
