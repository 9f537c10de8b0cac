package sock

import "errors"

// A client that says nothing costs the stack of the goroutine that waits for it,
// more than all else that is kept of its connection. So a wait of Each that lasts
// may end with ErrResting; the goroutine hands the connection to Rest, and ends.
// One goroutine then waits for all that rest, and gives each a new goroutine when
// something has happened to it.

// ErrResting is returned by Each, on a connection that MayRest, when nothing has
// come for a second or two.
var ErrResting = errors.New("sock: nothing has come for a while")

// MayRest lets waits of Each end with ErrResting, where the system has a way to
// wait without a goroutine. It is called before the first wait.
func (c *Conn) MayRest() { c.mayRest = canRest && c.raw != nil }

// Rest lets the connection be until there is something to read, or its end, or
// a timeout, StopReading or Abort makes reads fail. Then wake is called in a
// goroutine of its own, to wait by Each again; nothing that happened before is
// lost on that. Until then nobody but those methods may touch the reading side.
//
// It reports false if there is something of that kind already, or the system
// refuses: the caller goes on, as wake would.
func (c *Conn) Rest(wake func()) bool {
	if !resting.add(c, wake) {
		return false
	}
	// Who ends a wait says so first and looks for a resting connection then.
	ended := c.halted.Load() || c.TimedOut()
	return !ended || resting.take(c) == nil
}

// wake ends a rest. It is called after reads were made to fail.
func (c *Conn) wake() {
	if wake := resting.take(c); wake != nil {
		go wake()
	}
}

// Resting reports whether the connection rests.
func (c *Conn) Resting() bool { return c.place.Load() != 0 }
