package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrNobody is returned by Take when no process offers its sockets at the path.
var ErrNobody = errors.New("no running process offers its sockets there")

// Takeover is a successor's side of a handover. It goes on after Ready, until
// Close, for Tell; a Ready that fails, or Fail, ends it.
type Takeover struct {
	Sockets []Socket // the predecessor's
	PID     int      // of the predecessor
	conn    *net.UnixConn
}

// Take asks the process at a path for its sockets. From then on that process
// changes nothing, and waits. Until ctx ends, so does Take.
func Take(ctx context.Context, path string) (*Takeover, error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%s: %w", path, ErrNobody)
	case err != nil:
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	m, err := ask(c)
	if err != nil {
		c.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Takeover{Sockets: m.Sockets, PID: m.PID, conn: c}, nil
}

// ask sends the request and waits for the sockets.
func ask(c *net.UnixConn) (message, error) {
	peer, err := peerOf(c)
	if err == nil && peer.uid != 0 && peer.uid != os.Geteuid() {
		err = fmt.Errorf("the process there runs as user %d, not as %d", peer.uid, os.Geteuid())
	}
	if err != nil {
		return message{}, err
	}
	if err := send(c, message{Kind: kindTake}); err != nil {
		return message{}, err
	}
	m, err := receive(c, time.Time{})
	switch {
	case errors.Is(err, io.EOF):
		return m, errors.New("the running process ended or went back to work")
	case err != nil:
		return m, err
	case m.Kind == kindRefused:
		return m, fmt.Errorf("the running process refuses to be replaced: %s", m.Reason)
	case m.Kind != kindSockets:
		Close(m.Sockets)
		return m, errMalformed
	}
	return m, nil
}

// Ready says that this process serves, and waits until the predecessor knows
// it. An error means that the predecessor goes on, and this process must not.
func (t *Takeover) Ready(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { t.conn.Close() })
	defer stop()
	if err := t.ready(); err != nil {
		t.conn.Close()
		return err
	}
	return nil
}

func (t *Takeover) ready() error {
	if err := send(t.conn, message{Kind: kindReady}); err != nil {
		return fmt.Errorf("the process that was to be replaced is gone or went back to work: %w", err)
	}
	m, err := receive(t.conn, time.Now().Add(helloTime))
	if err == nil && m.Kind != kindLeft {
		err = errMalformed
	}
	if err != nil {
		return fmt.Errorf("the process that was to be replaced went back to work: %w", err)
	}
	return nil
}

// Fail tells the predecessor why this process can't take over.
func (t *Takeover) Fail(why error) {
	_ = t.conn.SetWriteDeadline(time.Now().Add(helloTime))
	_ = send(t.conn, message{Kind: kindFailed, Reason: why.Error()})
	t.conn.Close()
}
