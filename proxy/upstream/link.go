//lint:file-ignore SA1019 what net/http offers instead (Transport.NewClientConn) sends requests before it has the endpoint's settings, and cannot be made to wait for them

package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// link is an HTTP/2 connection to an endpoint, which many requests share.
type link struct {
	*http2.ClientConn
	way *way
}

// retire lets a link take no more requests, and end with those that it has.
func (l *link) retire() {
	l.SetDoNotReuse()
	if st := l.State(); st.StreamsActive == 0 && st.StreamsReserved == 0 && st.StreamsPending == 0 {
		l.Close()
	}
}

// links are the HTTP/2 connections to an endpoint: one, and another only while
// all have as many requests as the endpoint takes at once.
type links struct {
	mu      sync.Mutex
	all     []*link
	dialing *dialing // nil: nobody dials
	closed  bool     // no more requests come
}

// dialing is a dial that others wait for.
type dialing struct {
	done chan struct{}
	err  error // read after done
}

// reserve returns a link with room for a request, reserved; or else the dial
// that is to be waited for, mine if the caller is to do it.
func (ls *links) reserve(w *way) (l *link, d *dialing, mine bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.all = slices.DeleteFunc(ls.all, func(l *link) bool { return l.State().Closed })
	for _, l := range ls.all {
		if l.way == w && l.ReserveNewRequest() {
			return l, nil, false
		}
	}
	if ls.dialing == nil {
		ls.dialing, mine = &dialing{done: make(chan struct{})}, true
	}
	return nil, ls.dialing, mine
}

// dialled takes in what came of the dial that the caller did.
func (ls *links) dialled(l *link, err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	d := ls.dialing
	ls.dialing = nil
	switch {
	case err == nil && ls.closed:
		l.Close()
		err = errRemoved
	case err == nil:
		ls.all = append(ls.all, l)
	}
	d.err = err
	close(d.done)
}

// errRemoved is what a request finds that was decided before its endpoint was
// removed, and comes after.
var errRemoved = errors.New("the endpoint is no longer configured")

// errNoRoom is what a request finds at an endpoint that takes no request on the
// connections that it lets be opened.
var errNoRoom = errors.New("no connection takes another request")

// retireAll lets all links end with the requests that they have; last says that
// no more will come.
func (ls *links) retireAll(last bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.all {
		l.retire()
	}
	ls.closed = ls.closed || last
}

// openStream begins a request on a link to the endpoint. It waits no longer than
// opt.Within; 0 is no limit but that of the dial.
func (e *Endpoint) openStream(v *view, opt *Acquire) (*Conn, error) {
	links, left := &e.keepsOf(opt.copy).links, opt.Within
	for until := time.Now().Add(within(v.cfg.ConnectTimeout, left)); ; {
		l, d, mine := links.reserve(v.way)
		if l != nil {
			return e.newStream(l), nil
		}
		if mine && left > 0 { // others wait for the dial too, and have more time
			go func() { links.dialled(e.dialLink(v)) }()
		} else if mine {
			links.dialled(e.dialLink(v))
		}
		if err := d.wait(left); err != nil {
			return nil, err
		}
		if time.Now().After(until) {
			return nil, errNoRoom
		}
	}
}

// wait returns the dial's error when it is over, or os.ErrDeadlineExceeded after
// what is left of the time; 0: the dial's own time.
func (d *dialing) wait(left time.Duration) error {
	if left <= 0 {
		<-d.done
		return d.err
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-d.done:
		return d.err
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

// dialLink opens a link. It is not used before the endpoint has answered a ping,
// behind its settings: these say how many requests it takes at once, and one
// that were sent beyond that would wait for the others' end. It also tells an
// endpoint that speaks no HTTP/2.
func (e *Endpoint) dialLink(v *view) (*link, error) {
	ctx, cancel := context.WithTimeout(e.cluster.ctx, v.cfg.ConnectTimeout)
	defer cancel()
	return e.connectLink(ctx, v.way)
}

// connectLink is dialLink within the context's time.
func (e *Endpoint) connectLink(ctx context.Context, w *way) (*link, error) {
	nc, err := e.connectPlainly(ctx, w)
	if err != nil {
		return nil, err
	}
	if t, secure := nc.(*tls.Conn); secure && t.ConnectionState().NegotiatedProtocol != http2.NextProtoTLS {
		nc.Close()
		return nil, errors.New("HTTP/2: the endpoint doesn't agree to it in the TLS handshake (ALPN)")
	}
	e.open.Add(1)
	cc, err := w.http2.NewClientConn(&counted{Conn: nc, endpoint: e})
	if err != nil {
		return nil, fmt.Errorf("HTTP/2: %w", err) // the library has closed it
	}
	if err := cc.Ping(ctx); err != nil {
		cc.Close()
		return nil, fmt.Errorf("HTTP/2: the endpoint doesn't greet: %w", err)
	}
	return &link{cc, w}, nil
}

// counted is a connection that is counted as long as it is open.
type counted struct {
	net.Conn
	endpoint *Endpoint
	once     sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.endpoint.open.Add(-1) })
	return c.Conn.Close()
}
