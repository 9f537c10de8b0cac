package upstream

import (
	"errors"
	"fmt"
	"net"
	"time"
)

var (
	// ErrNoEndpoint is returned when every endpoint is down or ejected, or the
	// cluster is closed.
	ErrNoEndpoint = errors.New("no usable endpoint")
	// ErrOverloaded is returned when MaxConnections are in use, and as many
	// requests wait already as may.
	ErrOverloaded = errors.New("all connections allowed to the version are in use")
)

// DialError is returned when a connection could not be opened. Nothing was
// sent, so any request may be tried elsewhere.
type DialError struct {
	Endpoint *Endpoint
	Err      error
}

// Error names the endpoint and the cause.
func (e *DialError) Error() string {
	return fmt.Sprintf("connect to %s: %v", e.Endpoint.Address, e.Err)
}

// Unwrap returns the dialer's error.
func (e *DialError) Unwrap() error { return e.Err }

// Acquire says what connection is wanted. The zero value wants any.
type Acquire struct {
	// MustBeFresh dials: for the retry of a request that a pooled connection
	// failed.
	MustBeFresh bool
	// Check looks at a pooled connection even if it was idle for a moment
	// only: for a request whose body follows, which cannot be sent twice and
	// does not go through sock.Conn.Exchange, which looks by itself.
	Check bool
	// Avoid is the endpoint that just failed. Another is chosen if there is
	// one.
	Avoid *Endpoint
	// Key is what Hash chooses by, if HasKey is set.
	Key    uint64
	HasKey bool
	// Origin is the client's, where Cluster.TellsOrigin; nil: the proxy itself.
	Origin *Origin
	// Wait waits, if MaxPending allows it, where all connections are in use,
	// until Left is closed; nil: never.
	Wait bool
	Left <-chan struct{}
	// Within bounds each wait further; 0: not.
	Within time.Duration
	// Uncounted lets a failure to connect say nothing about the endpoint.
	Uncounted bool

	copy bool // AcquireCopy
}

// Acquire returns a connection to one of the usable endpoints: a pooled one if
// there is one, else a new one. It waits for PendingTimeout, if at all, and then
// for ConnectTimeout at most. The error is ErrNoEndpoint, ErrOverloaded,
// ErrPendingTimeout, ErrLeft or a *DialError.
func (c *Cluster) Acquire(opt Acquire) (*Conn, error) {
	v := c.view.Load()
	if len(v.usable) == 0 {
		if v = c.settle(v, opt.Within); len(v.usable) == 0 {
			return nil, ErrNoEndpoint
		}
	}
	waited, err := c.claim(v, &opt)
	if err != nil {
		return nil, err
	}
	if waited {
		if v = c.view.Load(); len(v.usable) == 0 {
			c.unclaim()
			return nil, ErrNoEndpoint
		}
	}
	e := c.choose(v, &opt)
	e.active.Add(1)
	conn, err := e.take(v, &opt)
	if err != nil {
		e.active.Add(-1)
		c.unclaim()
		c.noteDial(v, e, &opt, err)
		return nil, &DialError{Endpoint: e, Err: err}
	}
	return conn, nil
}

// take returns a connection to the endpoint, in the version's way.
func (e *Endpoint) take(v *view, opt *Acquire) (*Conn, error) {
	if v.way.http2 != nil {
		return e.openStream(v, opt)
	}
	var from Origin
	if opt.Origin != nil && v.way.header != NoProxyHeader {
		from = *opt.Origin
	}
	if !opt.MustBeFresh {
		if conn := e.takeIdle(v, opt, from); conn != nil {
			return conn, nil
		}
	}
	return e.dial(v, opt.Within, from)
}

// noteDial takes in that a dial failed. Of one that was given less time than
// the configuration gives, a timeout says nothing.
func (c *Cluster) noteDial(v *view, e *Endpoint, opt *Acquire, err error) {
	var network net.Error
	hurried := opt.Within > 0 && opt.Within < v.cfg.ConnectTimeout && errors.As(err, &network) && network.Timeout()
	switch {
	case isLocal(err):
		c.noteShortage(e, err)
	case !hurried && !opt.Uncounted:
		c.failed(e)
	}
}
