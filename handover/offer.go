package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Terms are what a running process does when a successor comes. Every function
// is called by one goroutine, one call at a time.
type Terms struct {
	// Freeze prepares the process to be replaced, so that a successor can take
	// all that it holds, and returns its sockets, which stay its own. An error
	// means that it did not, and nothing is frozen.
	Freeze func(ctx context.Context) ([]Socket, error)
	// Thaw undoes Freeze, since the successor failed.
	Thaw func(why error)
	// Left is called when the successor has taken over. It must be quick.
	Left func(pid int)
	// News gets what the successor tells afterwards, until Close. Nil: nothing.
	News func([]byte)
	// Timeout is how long Freeze may take, and how long the successor may take
	// from then on until it serves. Zero: DefaultTimeout.
	Timeout time.Duration
	Log     *zap.Logger // nil: none
}

// DefaultTimeout is that of Terms.
const DefaultTimeout = 30 * time.Second

// helloTime is how long a successor may take to say what it wants, and to be
// told in the end.
const helloTime = 5 * time.Second

// Door is where a running process can be asked for its sockets.
type Door struct {
	terms  Terms
	net    *net.UnixListener
	path   string
	gone   bool        // the successor has taken over, and has its own door at this path
	taking atomic.Bool // a successor is being served
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// Offer opens a door at a path, for processes of the same user and of root. A
// socket that stands there is replaced: the caller knows that no other process
// has a use for it.
func Offer(path string, terms Terms) (*Door, error) {
	if terms.Timeout <= 0 {
		terms.Timeout = DefaultTimeout
	}
	if terms.Log == nil {
		terms.Log = zap.NewNop()
	}
	if terms.News == nil {
		terms.News = func([]byte) {}
	}
	if fi, err := os.Lstat(path); err == nil && fi.Mode()&os.ModeSocket != 0 {
		os.Remove(path)
	}
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close(), os.Remove(path))
	}
	d := &Door{terms: terms, net: ln, path: path}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.tasks.Go(d.accept)
	return d, nil
}

// Close ends the offer, and the news. A handover that is under way fails, unless
// the successor has taken over.
func (d *Door) Close() {
	d.cancel()
	d.net.Close()
	d.tasks.Wait()
	if !d.gone {
		os.Remove(d.path)
	}
}

// accept takes callers until the door is closed.
func (d *Door) accept() {
	for d.ctx.Err() == nil {
		c, err := d.net.AcceptUnix()
		switch {
		case err == nil:
			d.tasks.Go(func() { d.receive(c) })
		case errors.Is(err, net.ErrClosed):
			return
		default: // out of descriptors, most likely
			select {
			case <-time.After(time.Second):
			case <-d.ctx.Done():
			}
		}
	}
}

// receive serves a caller.
func (d *Door) receive(c *net.UnixConn) {
	defer c.Close()
	defer context.AfterFunc(d.ctx, func() { c.Close() })() // a deadline would be set anew by the next read
	peer, err := peerOf(c)
	if err == nil && peer.uid != 0 && peer.uid != os.Geteuid() {
		err = fmt.Errorf("it runs as user %d", peer.uid)
	}
	if err == nil {
		var m message
		if m, err = receive(c, time.Now().Add(helloTime)); err == nil && m.Kind != kindTake {
			err = errMalformed
		}
	}
	if errors.Is(err, io.EOF) {
		return // somebody looked whether there is anybody
	}
	if err == nil && !d.taking.CompareAndSwap(false, true) {
		err = errors.New("another upgrade is under way")
	}
	if err != nil {
		d.terms.Log.Warn("a process that wanted to take over is refused", zap.Int("pid", peer.pid), zap.Error(err))
		_ = c.SetWriteDeadline(time.Now().Add(helloTime))
		_ = send(c, message{Kind: kindRefused, Reason: err.Error()})
		return
	}
	if !d.replace(c, peer) {
		d.taking.Store(false)
		return
	}
	if err := d.follow(c); d.ctx.Err() == nil && !errors.Is(err, io.EOF) {
		d.terms.Log.Warn("the successor can't be followed any more", zap.Error(err))
	}
}

// replace leads the handover to a successor, and reports whether it has taken
// over.
func (d *Door) replace(c *net.UnixConn, peer peer) bool {
	log := d.terms.Log.With(zap.Int("successor", peer.pid))
	log.Info("another process takes over: the listening sockets go to it")
	ctx, cancel := context.WithTimeout(d.ctx, d.terms.Timeout)
	defer cancel()
	sockets, err := d.terms.Freeze(ctx)
	if err != nil {
		log.Error("the takeover is refused; this process goes on as before", zap.Error(err))
		_ = c.SetWriteDeadline(time.Now().Add(helloTime))
		_ = send(c, message{Kind: kindRefused, Reason: err.Error()})
		return false
	}
	if err := d.awaitReady(c, peer, sockets); err != nil {
		log.Error("the takeover failed; this process goes on as before", zap.Error(err))
		c.Close() // before Thaw, so that the successor gives back what it holds
		d.terms.Thaw(err)
		return false
	}
	if err := send(c, message{Kind: kindLeft}); err != nil {
		log.Error("the successor ended as it took over; this process goes on as before", zap.Error(err))
		d.terms.Thaw(err)
		return false
	}
	d.gone = true
	log.Info("the other process has taken over")
	d.terms.Left(peer.pid)
	return true
}

// awaitReady sends the sockets and waits until the successor serves.
func (d *Door) awaitReady(c *net.UnixConn, peer peer, sockets []Socket) error {
	_ = c.SetWriteDeadline(time.Now().Add(helloTime))
	if err := send(c, message{Kind: kindSockets, Sockets: sockets}); err != nil {
		return err
	}
	m, err := receive(c, time.Now().Add(d.terms.Timeout))
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it ended before it served")
	case d.ctx.Err() != nil:
		return errors.New("this process is stopping")
	case errors.Is(err, os.ErrDeadlineExceeded):
		peer.kill()
		return fmt.Errorf("it did not serve within %s, and was killed, as it held what this process needs", d.terms.Timeout)
	case err != nil:
		return err
	case m.Kind == kindFailed:
		return fmt.Errorf("it says: %s", m.Reason)
	case m.Kind != kindReady:
		return errMalformed
	}
	return nil
}
