package sock

import "syscall"

// A client that leaves while an endpoint works is noticed by nobody: its socket
// is read only for the next request. To watch each one would cost calls with
// every request. Instead the sweeper looks, once a second, at the clients whose
// endpoints have been silent since its last look.

// WaitsFor tells that what is awaited on c is for a client, nil for none. If the
// client leaves while c has been waited for, under one timeout, for a second or
// two, c is aborted, and the client's Left is true. It holds until it is called
// again.
//
// Leaving is an end of the stream behind all that was read, as well as a reset:
// who ends its direction and goes on listening can't be told from who is gone.
func (c *Conn) WaitsFor(client *Conn) {
	if c.client.Load() != client {
		c.client.Store(client)
	}
}

// Left reports whether the peer was found to have left while another connection
// waited on its behalf.
func (c *Conn) Left() bool { return c.left.Load() }

// findLeft ends a wait whose client has left. It is called once a second, under
// the shard's lock. The deadline of a wait tells it from the next.
func (c *Conn) findLeft() {
	client, at := c.client.Load(), c.deadline.Load()
	if client == nil || at <= 0 || at != c.seenAt {
		c.seenAt = at
		return
	}
	if !client.hungUp() {
		return
	}
	client.left.Store(true)
	if c.deadline.CompareAndSwap(at, expired) {
		c.nc.SetDeadline(longAgo)
	}
}

// hungUp reports whether nothing more will come from the peer.
func (c *Conn) hungUp() bool {
	if c.raw == nil {
		return false
	}
	hungUp := false
	err := c.raw.Control(func(fd uintptr) { hungUp = peerEnded(fd, c.wire != nil) })
	return err == nil && hungUp
}

// atEnd reports whether the next read would find the end of the stream, or an
// error.
func atEnd(fd uintptr) bool {
	var one [1]byte
	n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	switch err {
	case nil:
		return n == 0
	case syscall.EAGAIN, syscall.EINTR:
		return false
	}
	return true
}
