package upstream

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// isLocal reports whether a dial failed for want of something on this machine,
// which says nothing about the endpoint.
func isLocal(err error) bool {
	for _, local := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL, context.Canceled} {
		if errors.Is(err, local) {
			return true
		}
	}
	return false
}

// sayAgainAfter is how long a shortage that goes on is not logged again.
const sayAgainAfter = 10 * time.Second

// noteShortage tells of a dial that failed because this process, or the machine,
// has no file descriptor left.
func (c *Cluster) noteShortage(e *Endpoint, err error) {
	if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
		return
	}
	now := c.now().UnixNano()
	said := c.shortageSaid.Load()
	fresh := (said == 0 || now-said >= int64(sayAgainAfter)) && c.shortageSaid.CompareAndSwap(said, now)
	c.tell(Event{Kind: Shortage, Endpoint: e.Address, Err: err, Repeated: !fresh})
}
