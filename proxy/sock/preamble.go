package sock

import (
	"errors"
	"io"
	"syscall"
)

// Preamble reads what comes on a connection before all else, TLS included, and
// not a byte more. It shows judge what has arrived, up to size bytes, whenever
// more has: judge returns how long the preamble is, 0 if there is none, and
// true as soon as it can tell. The error is as Fill's; of a peer that ends in the
// middle it is known only when the time is over.
func (c *Conn) Preamble(size int, judge func(p []byte) (length int, known bool)) error {
	if c.raw == nil {
		return errors.New("sock: this connection has no socket to look at")
	}
	p, left, known := make([]byte, size), 0, false
	var failed error
	err := c.raw.Read(func(fd uintptr) bool {
		if !known {
			n, _, err := syscall.Recvfrom(int(fd), p, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			for err == syscall.EINTR {
				n, _, err = syscall.Recvfrom(int(fd), p, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			}
			switch {
			case err == syscall.EAGAIN:
				return false
			case err != nil || n <= 0:
				failed = ended(err)
				return true
			}
			if left, known = judge(p[:n]); !known {
				return false
			}
		}
		for left > 0 {
			n, err := recv(fd, p[:min(left, size)])
			switch {
			case err == syscall.EINTR:
			case err == syscall.EAGAIN:
				return false
			case err != nil || n <= 0:
				failed = ended(err)
				return true
			default:
				left -= n
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// ended returns why a read got nothing.
func ended(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}
