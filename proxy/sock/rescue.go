package sock

import "syscall"

// How a wait of Each stands, in Conn.blind. It is entered after a read that
// found bytes, and with no second read to see that there are no more. What came
// with those bytes in one notice, the end of the stream, is then never reported.
// A second read each time would cost what Each saves; instead the sweeper looks
// at the waits that last.
const (
	seeing    = iota // nobody waits, or nothing was missed
	waiting          // the wait was not looked at yet
	suspect          // there was something to read at the last look
	quiet            // there was nothing, and the connection may rest
	rescued          // the sweeper ended the wait, for what it missed
	dismissed        // the sweeper ended the wait, since it lasts
)

// rescueTicks is how many ticks lie between two looks: a second. A goroutine
// whose answer has come reads it long before that, so what can be read at two
// looks in a row was missed.
const rescueTicks = 20

// mostDismissed bounds how many waits of a shard are ended at a look for lasting:
// each costs some microseconds in which requests have to wait.
const mostDismissed = 512

// rescue ends the waits that missed something: it takes two calls. A wait that
// had nothing to read at its first look has missed nothing, and what comes
// later is reported. Such a wait lasts if it is found unchanged once more.
func (s *shard) rescue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	dismissed := 0
	for _, c := range s.conns {
		c.findLeft()
		state := c.blind.Load()
		switch {
		case state == quiet:
			if dismissed < mostDismissed && c.dismiss() {
				dismissed++
			}
		case state != waiting && state != suspect:
		case !readable(c.raw):
			c.blind.CompareAndSwap(state, c.rested())
		case state == waiting:
			c.blind.CompareAndSwap(waiting, suspect)
		case c.blind.CompareAndSwap(suspect, rescued):
			c.nc.SetReadDeadline(longAgo)
		}
	}
}

// rested is the state of a wait that has missed nothing.
func (c *Conn) rested() uint32 {
	if c.onWake != nil {
		return quiet
	}
	return seeing
}

// dismiss ends a wait with ErrResting, unless something has come.
func (c *Conn) dismiss() bool {
	if !c.blind.CompareAndSwap(quiet, dismissed) {
		return false
	}
	c.nc.SetReadDeadline(longAgo)
	return true
}

// readable reports whether a read would not wait.
func readable(raw syscall.RawConn) bool {
	found := false
	err := raw.Control(func(fd uintptr) { found = peek(fd) != syscall.EAGAIN })
	return err == nil && found
}
