// Package sock is the proxy's view of a connection: reads that own no memory
// while they wait, a write that waits for its answer in the same call,
// deadlines that cost an atomic store, and bodies that the kernel moves from
// socket to socket.
package sock

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/proxy/buffer"
)

// Conn is a stream connection, of a client or to an endpoint. One goroutine
// may read while another writes; each direction serves one at a time.
type Conn struct {
	nc   net.Conn
	tcp  *net.TCPConn    // nil over TLS and Unix sockets
	raw  syscall.RawConn // of the socket, under TLS too; nil where nc has none
	wire *wire           // between TLS and the socket; nil without TLS

	// What the callbacks below read and write. RawConn takes functions; they
	// are made once per connection, since a closure per call would allocate.
	onRead      func(fd uintptr) bool
	onWrite     func(fd uintptr) bool
	onExchange  func(fd uintptr) bool
	onEach      func(fd uintptr) bool
	onAvailable func(fd uintptr) bool
	onQuiet     func(fd uintptr)
	in          *buffer.Buffer
	readErr     error
	available   int64
	out         []byte
	wrote       int
	outErr      error
	handle      func() bool
	shared      bool           // other goroutines than that of Each write too
	held        atomic.Uintptr // the descriptor + 1 while handle is running and writes straight to it; 0: it isn't
	writing     []byte         // what onWrite has still to send
	writeErr    error
	quiet       bool
	reset       atomic.Bool   // Reset was called
	drained     bool          // the last read took all that had arrived
	blind       atomic.Uint32 // how a wait of Each stands; see the blind constants
	halted      atomic.Bool   // StopReading or Abort was called

	onWake   func()        // what follows a rest; nil: waits of Each do not end for one
	slow     bool          // woken from a long rest: the next follows at once
	place    atomic.Uint64 // among those that rest; 0: it doesn't. Changed under rests.mu, as the two below are
	restedAt int64         // when that began
	polled   *poll         // which knows the socket

	client atomic.Pointer[Conn] // for whom this one is waited for; see WaitsFor
	left   atomic.Bool          // the peer has left while another connection was waited for
	seenAt int64                // deadline at the sweeper's last look for that; guarded by shard.mu

	shard    *shard
	index    int          // place in shard.conns; guarded by shard.mu
	deadline atomic.Int64 // Now() by which something must have happened; 0: no limit; expired: it has not
}

// New wraps a connection and watches its timeouts until Close. It reads and
// writes nothing. For TLS there is NewTLS.
func New(nc net.Conn) *Conn {
	c := &Conn{nc: nc}
	c.tcp, _ = nc.(*net.TCPConn)
	c.control(nc)
	watch(c)
	return c
}

// control makes the callbacks that work on the socket of a connection.
func (c *Conn) control(nc net.Conn) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return
	}
	if c.raw, _ = sc.SyscallConn(); c.raw == nil {
		return
	}
	c.onRead, c.onExchange, c.onEach = c.readReady, c.exchangeReady, c.eachReady
	c.onWrite, c.onAvailable = c.writeReady, c.availableReady
	c.onQuiet = func(fd uintptr) { c.quiet = peek(fd) == syscall.EAGAIN }
}

// NetConn returns the connection underneath.
func (c *Conn) NetConn() net.Conn { return c.nc }

// RemoteAddr returns the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// LocalAddr returns the address of this side.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// Close ends the connection both ways.
func (c *Conn) Close() error {
	unwatch(c)
	if c.wire != nil && c.reset.Load() {
		return c.wire.Conn.Close()
	}
	return c.nc.Close()
}

// CloseWrite sends the end of the stream; reading goes on. Over a connection
// that cannot be closed halfway it does nothing.
func (c *Conn) CloseWrite() error {
	if hc, ok := c.nc.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return nil
}

// StopReading makes reads, also one that is under way, fail at once.
func (c *Conn) StopReading() {
	c.halted.Store(true)
	c.nc.SetReadDeadline(longAgo)
	c.wake()
}

// ResumeReading undoes StopReading, unless the connection has timed out.
func (c *Conn) ResumeReading() {
	c.halted.Store(false)
	c.nc.SetReadDeadline(time.Time{})
	if c.TimedOut() {
		c.Abort()
	}
}

// Abort makes reads and writes, also those under way, fail at once and for
// good. Close is still due.
func (c *Conn) Abort() {
	c.halted.Store(true)
	c.nc.SetDeadline(longAgo)
	c.wake()
}

// Reset makes Close end the connection with a reset, so that the peer sees that
// what it got is not the whole, and aborts it. Over TLS it then ends without
// the close_notify that Close would send: that is the end in good order.
func (c *Conn) Reset() {
	under := c.nc
	if c.wire != nil {
		under = c.wire.Conn
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.reset.Store(true)
	c.Abort()
}

// LastWrite writes p to a peer that may have let the connection time out. It
// waits for a moment at most, and the caller closes the connection next.
func (c *Conn) LastWrite(p []byte) {
	c.nc.SetWriteDeadline(time.Now().Add(lastWriteTime))
	c.nc.Write(p)
}

// lastWriteTime bounds LastWrite.
const lastWriteTime = time.Second

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// Fill reads what the peer has sent into b, waiting for the first byte. While
// it waits, an empty b owns no memory. The error is io.EOF at the
// end of the stream, os.ErrDeadlineExceeded (wrapped) after a timeout, and
// io.ErrShortBuffer where b is full.
func (c *Conn) Fill(b *buffer.Buffer) error {
	if b.Full() {
		return io.ErrShortBuffer // a read of no bytes would look like the end
	}
	if c.raw == nil {
		n, err := c.nc.Read(b.Space())
		b.Wrote(n)
		if n > 0 {
			return nil
		}
		b.Release()
		return err
	}
	c.in, c.readErr = b, nil
	err := c.raw.Read(c.onRead)
	c.in = nil
	if err != nil {
		return err
	}
	return c.readErr
}

// readReady is Fill's step on a readable socket: it reports false to be called
// again when there is something to read. A read that finds nothing comes
// before every wait, so that readiness reported earlier is never lost.
func (c *Conn) readReady(fd uintptr) bool {
	c.wire.begin(false)
	for {
		space := c.in.Space()
		n, err := c.recv(fd, space)
		switch {
		case n > 0:
			c.in.Wrote(n)
			c.drained = n < len(space) || c.wire != nil // of TLS the look before the next write tells
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.in.Release()
			return false
		case err == nil:
			c.in.Release()
			c.readErr = io.EOF
		default:
			c.in.Release()
			c.readErr = err
		}
		return true
	}
}

// Exchange writes p and then waits for the first bytes of the answer, which
// go into b, empty until then. Written is how much of p was handed over, also in
// an error, which is ErrSpoiled if the connection was of no use any more: then
// nothing was. Over TLS that can't be told beforehand.
func (c *Conn) Exchange(p []byte, b *buffer.Buffer) (written int, err error) {
	if len(p) == 0 {
		return 0, c.Fill(b) // without a write, a wait could last forever
	}
	if c.raw == nil {
		if written, err = c.nc.Write(p); err != nil {
			return written, err
		}
		return written, c.Fill(b)
	}
	c.in, c.readErr, c.out, c.wrote, c.outErr = b, nil, p, 0, nil
	err = c.raw.Read(c.onExchange)
	c.in, c.out = nil, nil
	switch {
	case err != nil:
		return c.wrote, err
	case c.outErr != nil:
		return c.wrote, c.outErr
	case c.wrote < len(p): // the socket's buffer is full: the plain way
		n, err := c.nc.Write(p[c.wrote:])
		if err != nil {
			return c.wrote + n, err
		}
		return len(p), c.Fill(b)
	}
	return len(p), c.readErr
}

// ErrSpoiled is returned by Exchange when the peer has closed the connection, or
// sent something that nobody asked for, which the next answer must not be taken
// from.
var ErrSpoiled = errors.New("sock: the peer has closed the connection or sent what nobody asked for")

// exchangeReady looks and writes when it is called first, and reads from then
// on.
//
// RawConn.Read forgets earlier readiness when it begins, so a wait without a
// read first would miss what came before. The look is for that, and it tells
// more than the read would that it stands for: that the connection is still
// good, and nothing on it could pass for the answer.
func (c *Conn) exchangeReady(fd uintptr) bool {
	if c.out == nil {
		return c.readReady(fd)
	}
	if c.outErr = c.spoiled(fd); c.outErr != nil {
		return true
	}
	if c.wire != nil {
		c.held.Store(fd + 1)
		c.wrote, c.outErr = c.nc.Write(c.out)
		c.held.Store(0)
		c.out = nil
		return c.outErr != nil
	}
	for {
		n, err := send(fd, c.out)
		switch {
		case n == len(c.out):
			c.wrote, c.out = n, nil
			return false
		case err == syscall.EINTR:
			continue
		case err != nil && err != syscall.EAGAIN:
			c.outErr = err
		case n > 0:
			c.wrote = n
		}
		return true
	}
}

// spoiled is the look before a write.
func (c *Conn) spoiled(fd uintptr) error {
	if c.wire != nil {
		return c.spoiledTLS(fd)
	}
	if peek(fd) != syscall.EAGAIN {
		return ErrSpoiled
	}
	return nil
}

// Write writes all of p.
func (c *Conn) Write(p []byte) (int, error) {
	if c.wire != nil || c.raw == nil {
		return c.nc.Write(p)
	}
	return c.writeSocket(p)
}

// writeSocket writes all of p to the socket. Inside Each the descriptor is at
// hand, and held: the way by RawConn is for what the socket does not take at
// once, and for errors.
func (c *Conn) writeSocket(p []byte) (n int, err error) {
	if held := c.held.Load(); held != 0 {
		if n, err = send(held-1, p); n == len(p) {
			return n, nil
		} else if err != nil {
			n = 0
		}
	}
	c.writing, c.writeErr = p[n:], nil
	err = c.raw.Write(c.onWrite)
	n = len(p) - len(c.writing)
	c.writing = nil
	if err == nil {
		err = c.writeErr
	}
	return n, err
}

// writeReady is writeSocket's step on a writable socket.
func (c *Conn) writeReady(fd uintptr) bool {
	for len(c.writing) > 0 {
		n, err := send(fd, c.writing)
		switch {
		case err == nil:
			c.writing = c.writing[n:]
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		default:
			c.writeErr = err
			return true
		}
	}
	return true
}

// Quiet reports whether the connection is open and has nothing to read, as an
// idle connection must be before it is used again. It does not wait, and counts
// as reading. Over TLS it looks at the socket, where a ticket may have come.
// Where it cannot look (a connection without a descriptor), it answers true.
func (c *Conn) Quiet() bool {
	if c.raw == nil {
		return true
	}
	c.quiet = false
	err := c.raw.Control(c.onQuiet)
	return err == nil && c.quiet
}

// Spent reports whether all that has arrived was read, so that the connection
// can be used again. It looks at the socket only where the last read does not
// tell: one that filled its memory, or a splice, may have left something. It
// counts as reading.
func (c *Conn) Spent() bool { return c.drained || c.Quiet() }

// peek looks whether there is something to read: nil if there is, or the end
// of the stream, and EAGAIN if there is nothing.
func peek(fd uintptr) error {
	for {
		if err := look(fd); err != syscall.EINTR {
			return err
		}
	}
}

// CanSplice reports whether the kernel can move bytes from src to c.
func (c *Conn) CanSplice(src *Conn) bool { return c.tcp != nil && src.tcp != nil }

// Splice moves n bytes from src to c inside the kernel (splice(2)). Both must
// be plain TCP. Progress renews neither side's timeout: call it in pieces. It
// returns io.ErrUnexpectedEOF where src ended before n bytes.
func (c *Conn) Splice(src *Conn, n int64, lim *io.LimitedReader) (int64, error) {
	src.drained = false
	lim.R, lim.N = src.tcp, n
	moved, err := c.tcp.ReadFrom(lim)
	lim.R = nil
	if err == nil && moved < n {
		err = io.ErrUnexpectedEOF
	}
	return moved, err
}

// SetTimeout ends reads and writes that are under way, or begin later, d from
// now unless it is called again before; 0 means never. It is as fine as Tick.
// A connection that has timed out stays so and can only be closed.
func (c *Conn) SetTimeout(d time.Duration) {
	at := int64(0)
	if d > 0 {
		at = Now() + int64(d)
	}
	if c.deadline.Swap(at) == expired {
		c.deadline.Store(expired)
		return
	}
	if at > 0 {
		c.shard.soonest(at)
	}
}

// TimedOut reports whether the connection was ended by its timeout.
func (c *Conn) TimedOut() bool { return c.deadline.Load() == expired }
