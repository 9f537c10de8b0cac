package sock

import "syscall"

// How a wait of Each stands, in Conn.blind. It is entered after a read that
// found bytes, and with no second read to see that there are no more. What came
// with those bytes in one notice, the end of the stream, is then never reported.
// A second read each time would cost what Each saves; instead the sweeper looks
// at the waits that last.
const (
	seeing  = iota // nobody waits, or nothing was missed
	waiting        // the wait was not looked at yet
	suspect        // there was something to read at the last look
	rescued        // the sweeper ended the wait
)

// rescueTicks is how many ticks lie between two looks: a second. A goroutine
// whose answer has come reads it long before that, so what can be read at two
// looks in a row was missed.
const rescueTicks = 20

// rescue ends the waits that missed something: it takes two calls. A wait that
// had nothing to read at its first look has missed nothing, and what comes
// later is reported.
func (s *shard) rescue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.findLeft()
		state := c.blind.Load()
		switch {
		case state != waiting && state != suspect:
		case !readable(c.raw):
			c.blind.CompareAndSwap(state, seeing)
		case state == waiting:
			c.blind.CompareAndSwap(waiting, suspect)
		case c.blind.CompareAndSwap(suspect, rescued):
			c.nc.SetReadDeadline(longAgo)
		}
	}
}

// readable reports whether a read would not wait.
func readable(raw syscall.RawConn) bool {
	found := false
	err := raw.Control(func(fd uintptr) { found = peek(fd) != syscall.EAGAIN })
	return err == nil && found
}
