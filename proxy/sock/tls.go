package sock

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"syscall"
)

// NewTLS speaks TLS over nc; side is tls.Server or tls.Client. The handshake is
// due, on NetConn, before anything else.
//
// TLS reads and writes through a wire, so that records come off the socket, and
// go to it, by the very calls that serve plain connections: a wait owns no
// memory, and Each and Exchange mean the same.
func NewTLS(nc net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) *Conn {
	c := &Conn{}
	c.control(nc)
	under := nc
	if c.raw != nil {
		c.wire = &wire{Conn: nc, c: c, more: true}
		under = c.wire
	}
	c.nc = side(under, config)
	watch(c)
	return c
}

// wire is what TLS takes for the connection. Outside of callbacks of RawConn it
// is the connection.
type wire struct {
	net.Conn
	c *Conn

	direct  bool    // a callback reads: on fd, and without waiting
	fd      uintptr // of that callback
	lazy    bool    // no look at the socket after a read that has emptied it
	emptied bool    // by the last read, in this callback
	blind   bool    // the last read was refused for that

	records records
	more    bool // TLS may hold something that was not read yet
}

// errAgain is what a read gets that would have to wait. It is temporary, hence
// TLS goes on after it where it was.
var errAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "sock: nothing to read yet" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if !w.direct {
		n, err := w.Conn.Read(p)
		w.records.pass(p[:n])
		return n, err
	}
	if w.blind = w.lazy && w.emptied; w.blind {
		return 0, errAgain
	}
	for {
		n, err := recv(w.fd, p)
		switch {
		case n > 0:
			w.emptied = n < len(p)
			w.records.pass(p[:n])
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, errAgain
		default: // not the bare number: some of those pass for temporary
			return 0, &net.OpError{Op: "read", Net: "tcp", Err: err}
		}
	}
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) { return w.c.writeSocket(p) }

// begin prepares for the reads of one callback. Lazy reads take what a read has
// emptied for empty: bytes that come later are reported, the end of the stream
// that came with the last bytes is not (see rescue).
func (w *wire) begin(lazy bool) {
	if w != nil {
		w.lazy, w.emptied = lazy, false
	}
}

// recv reads what has arrived, as the function recv does; over TLS, what
// records held.
func (c *Conn) recv(fd uintptr, p []byte) (int, error) {
	w := c.wire
	if w == nil {
		return recv(fd, p)
	}
	w.direct, w.fd, w.records.ended = true, fd, 0
	n, err := c.nc.Read(p)
	w.direct = false
	switch {
	case n > 0: // an end behind it is told by the next read
		w.more = w.more || n == len(p) || w.records.ended != 1 || !w.records.between()
		return n, nil
	case err == io.EOF:
		return 0, nil
	case err == errAgain:
		w.more = false
		return 0, syscall.EAGAIN
	}
	return 0, err
}

// spoiledTLS is the look before a write. A byte on the socket is no bad sign:
// tickets and key updates may come at any time. They are read; what else is read
// spoils the connection. An alert is told of: the peer may refuse this side's
// certificate so, after a handshake that went well.
func (c *Conn) spoiledTLS(fd uintptr) error {
	if !c.wire.more && peek(fd) == syscall.EAGAIN {
		return nil
	}
	c.wire.begin(false)
	switch n, err := c.recv(fd, make([]byte, 1)); {
	case err == syscall.EAGAIN:
		return nil
	case n > 0 || err == nil:
		return ErrSpoiled
	default:
		return fmt.Errorf("%w: %w", ErrSpoiled, err)
	}
}
