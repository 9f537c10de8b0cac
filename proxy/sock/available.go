package sock

import (
	"io"
	"syscall"
)

// Available waits until something can be read and returns how many bytes, at
// least one, without reading them. What it returns can be spliced without
// another wait for the peer, so that a splice that lasts is the other side's
// doing. The error is as Fill's. It is for connections that CanSplice.
func (c *Conn) Available() (int64, error) {
	c.available, c.readErr = 0, nil
	if err := c.raw.Read(c.onAvailable); err != nil {
		return 0, err
	}
	return c.available, c.readErr
}

// availableReady is Available's step on a socket: as readReady it looks before
// every wait.
func (c *Conn) availableReady(fd uintptr) bool {
	for {
		n, err := pending(fd)
		switch {
		case n > 0:
			c.available = int64(n)
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return false
		case err == nil:
			c.readErr = io.EOF
		default:
			c.readErr = err
		}
		return true
	}
}
