package sock

import "syscall"

// How the wait of an Exchange or of Each stands, in Conn.blind. The wait is entered
// without a read, so what the peer did before the write may never be reported:
// bytes that nobody asked for, or the end of its direction while it reads on
// (a lingering close). Looking before each write would cost the system call
// that Exchange saves; instead the sweeper looks at the waits that last.
const (
	seeing  = iota // no Exchange waits, or nothing was missed
	waiting        // an Exchange waits and was not looked at yet
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

// afterRescue undoes what rescue did to a connection, and reads what its wait
// has missed.
func (c *Conn) afterRescue(err error) error {
	c.endRescue()
	if err == nil {
		return nil
	}
	return c.raw.Control(c.onRescue)
}

// readable reports whether a read would not wait.
func readable(raw syscall.RawConn) bool {
	found := false
	err := raw.Control(func(fd uintptr) { found = peek(fd) != syscall.EAGAIN })
	return err == nil && found
}
