package replay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/head"
)

// maxInterim is how many interim responses (1xx) may come before an answer.
const maxInterim = 16

// restful is for how long a connection may have been idle to be used without a
// look at it: what a server sends unasked, such as a 408, is no answer.
const restful = 100 * time.Millisecond

// errInterim is returned for a server that never comes to the point.
var errInterim = errors.New("there are only interim responses")

// client asks one target, over a connection that it keeps while that lasts. It
// is for one goroutine; interrupt alone may be called by others.
//
// It speaks by the codec of the proxy. With net/http's client a replay takes
// twice the CPU time, and is sooner at its end than the target.
type client struct {
	target  *Target
	timeout time.Duration
	now     func() time.Time
	tls     *tls.Config // nil: plain
	dialer  net.Dialer

	conn net.Conn // nil: none is open
	used time.Time
	in   buffer.Buffer
	out  []byte
	res  head.Response
	body h1.Body

	mu    sync.Mutex // guards conn where it changes
	ended bool
}

// newClient returns a client that has no connection yet.
func newClient(t *Target, cfg *Config) *client {
	c := &client{target: t, timeout: cfg.Timeout, now: cfg.Now, dialer: net.Dialer{KeepAlive: -1}}
	if t.URL.Scheme == "https" {
		c.tls = &tls.Config{ServerName: t.URL.Hostname(), RootCAs: t.Roots, NextProtos: []string{"http/1.1"}}
	}
	return c
}

// ask sends a request and reads its answer. Redirections are answers: the log
// has the request that followed.
func (c *client) ask(ctx context.Context, r *Request, cookies *jar, a *Answer) {
	began := c.now()
	a.reset()
	again := isIdempotent(r.Method)
	if c.conn != nil && (!again || began.Sub(c.used) > restful) && !isQuiet(c.conn) {
		c.hangUp()
	}
	kept := c.conn != nil
	unanswered, err := c.exchange(ctx, r, cookies, a)
	if unanswered && kept && again && wasClosed(err) { // between two requests, as servers do
		_, err = c.exchange(ctx, r, cookies, a)
	}
	c.used = c.now()
	a.Took, a.Err = c.used.Sub(began), err
}

// exchange is one try. Unanswered tells that it failed before a byte of the
// answer had come.
func (c *client) exchange(ctx context.Context, r *Request, cookies *jar, a *Answer) (unanswered bool, err error) {
	deadline := time.Now().Add(c.timeout)
	if c.conn == nil {
		if err := c.dial(ctx, deadline); err != nil {
			return true, err
		}
	} else if err := c.conn.SetDeadline(deadline); err != nil {
		return true, c.failed(err)
	}
	c.out = c.target.appendRequest(c.out[:0], r, cookies)
	if _, err := c.conn.Write(c.out); err != nil {
		return true, c.failed(err)
	}
	if unanswered, err := c.readHead(r.Method); err != nil {
		return unanswered, c.failed(err)
	}
	a.Status = c.res.Status
	a.keepFields(c.res.Fields)
	if cookies != nil {
		cookies.keep(r.Host, c.res.Fields, c.now())
	}
	c.in.Drop()
	if err := c.readBody(a); err != nil {
		return false, c.failed(err)
	}
	if c.res.Close || c.in.Len() > 0 {
		c.hangUp()
	}
	c.in.Release()
	return false, nil
}

// readHead reads the head of the answer into c.res, which lies in c.in.
func (c *client) readHead(method string) (unanswered bool, err error) {
	for n := 0; ; n++ {
		if err := h1.ReadResponse(&c.in, c, method, false, &c.res, nil); err != nil {
			return n == 0 && c.in.Len() == 0, err
		}
		if c.res.Status >= 200 {
			return false, nil
		}
		c.in.Drop()
		if n == maxInterim {
			return false, errInterim
		}
	}
}

// readBody reads the body to its end.
func (c *client) readBody(a *Answer) error {
	if c.res.Length > buffer.Small {
		c.in.Grow()
	}
	c.body.Init(&c.in, c, c.res.Length)
	for {
		p, err := c.body.Next()
		switch {
		case err == io.EOF:
			return nil
		case err == nil:
			err = a.keep(p)
		}
		if err != nil {
			return err
		}
	}
}

// Fill reads what has come on the connection.
func (c *client) Fill(b *buffer.Buffer) error {
	n, err := c.conn.Read(b.Space())
	if b.Wrote(n); n > 0 {
		return nil
	}
	return err
}

// dial opens a connection.
func (c *client) dial(ctx context.Context, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := c.dialer.DialContext(ctx, "tcp", c.target.address())
	if err != nil {
		return err
	}
	if c.tls != nil {
		over := tls.Client(conn, c.tls)
		if err := over.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return err
		}
		conn = over
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		_ = conn.Close()
		return net.ErrClosed
	}
	c.conn = conn
	return conn.SetDeadline(deadline)
}

// failed ends the connection on which something failed.
func (c *client) failed(err error) error {
	c.hangUp()
	return err
}

// hangUp closes the connection.
func (c *client) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.Close()
	c.conn = nil
	c.in.Free()
}

// interrupt ends what is under way, and all that would follow.
func (c *client) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.conn != nil {
		_ = c.conn.Close()
	}
}

// close closes the connection where one is open.
func (c *client) close() {
	if c.conn != nil {
		c.hangUp()
	}
}

// isIdempotent reports whether a request may be sent twice (RFC 9110, section
// 9.2.2).
func isIdempotent(method string) bool {
	return (&head.Request{Method: method}).IsIdempotent()
}

// wasClosed reports whether an error says that the other end is gone.
func wasClosed(err error) bool {
	return isEOF(err) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isQuiet reports whether a connection between two requests is open and nothing
// has come on it.
func isQuiet(conn net.Conn) bool {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	under, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := under.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}
