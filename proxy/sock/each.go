package sock

import (
	"io"
	"syscall"
	"time"

	"sluice/proxy/buffer"
)

// Each reads what the peer sends into b, empty until then, and calls handle
// after each read, until handle returns false; then it returns nil. Handle
// takes all bytes that it returns true for. The error is as Fill's, from a wait
// or a read; and ErrResting where MayRest was called.
//
// Between two calls of handle nothing is read in vain: the whole runs inside
// one RawConn.Read, which forgets readiness only when it begins, so that what
// arrives while handle works ends the wait after it. Handle may write to the
// connection, but it must not read from it by any other method: they would wait
// for this one.
func (c *Conn) Each(b *buffer.Buffer, handle func() bool) error {
	if c.raw == nil {
		for {
			if err := c.Fill(b); err != nil {
				return err
			}
			if !handle() {
				return nil
			}
		}
	}
	c.in, c.readErr, c.handle = b, nil, handle
	err := c.raw.Read(c.onEach)
	for state := c.blind.Swap(seeing); state >= rescued; state = c.blind.Swap(seeing) {
		c.endRescue()
		switch {
		case err == nil:
		case state == dismissed:
			err = ErrResting
		default: // the wait was ended for what it had missed
			err = c.raw.Read(c.onEach)
		}
	}
	c.in, c.handle = nil, nil
	if err != nil {
		return err
	}
	return c.readErr
}

// eachReady is Each's step on a readable socket.
//
// A read that doesn't fill the memory has taken all there was, but what came
// with it may have been more than bytes: the end of the stream. One notice
// tells of both, and a wait after the read would be told nothing. The sweeper
// finds such waits (see rescue).
func (c *Conn) eachReady(fd uintptr) bool {
	if c.blind.Swap(seeing) >= rescued {
		c.endRescue()
	}
	c.wire.begin(true)
	for {
		space := c.in.Space()
		n, err := c.recv(fd, space)
		switch {
		case n > 0:
			c.in.Wrote(n)
			if !c.callHandle(fd) {
				return true
			}
			if n == len(space) || c.wire != nil && c.wire.more {
				continue
			}
			c.in.Release()
			return c.settle(true)
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.in.Release()
			return c.settle(c.onWake != nil || c.wire != nil && c.wire.blind)
		case err == nil:
			err = io.EOF
		}
		c.in.Release()
		c.readErr = err
		return true
	}
}

// settle ends a step of Each after which there is nothing to read, as far as one
// can see; it reports whether Each ends. The sweeper looks at the wait if it may
// have missed something, or may last.
func (c *Conn) settle(look bool) bool {
	if c.slow {
		c.readErr = ErrResting
		return true
	}
	if look {
		c.blind.Store(waiting)
	}
	return false
}

// callHandle calls handle, whose writes go straight to the socket.
func (c *Conn) callHandle(fd uintptr) bool {
	if c.shared {
		return c.handle()
	}
	c.held.Store(fd + 1)
	defer c.held.Store(0)
	return c.handle()
}

// ShareWrites tells that other goroutines than that of Each write too, one at a
// time. It is called before the first wait.
func (c *Conn) ShareWrites() { c.shared = true }

// endRescue lets a connection wait again that the sweeper has woken, unless its
// reads were to fail anyway.
func (c *Conn) endRescue() {
	c.shard.mu.Lock() // the sweeper is done with the connection
	defer c.shard.mu.Unlock()
	c.nc.SetReadDeadline(time.Time{})
	if c.halted.Load() || c.TimedOut() {
		c.nc.SetReadDeadline(longAgo)
	}
}
