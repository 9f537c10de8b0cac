package sock

import (
	"errors"
	"time"
)

// A client that says nothing costs the stack of the goroutine that waits for it,
// more than all else that is kept of its connection. So a wait of Each that lasts
// may end with ErrResting; the goroutine hands the connection to Rest, and ends.
// One goroutine then waits for all that rest, and gives each a new goroutine when
// something has happened to it.
//
// Who asks seldom would have the sweeper end a wait for each request. So, after a
// rest that was a long one, Each ends as soon as all that has come is handled.

// longRest is how long a rest is that another follows at once.
const longRest = int64(time.Second)

// ErrResting is returned by Each, on a connection that MayRest, when nothing has
// come for a second or two, or nothing more after a rest.
var ErrResting = errors.New("sock: nothing has come for a while")

// MayRest lets waits of Each end with ErrResting, where the system has a way to
// wait without a goroutine. Wake is what Rest is to call. It is called before the
// first wait.
func (c *Conn) MayRest(wake func()) {
	if canRest && c.raw != nil {
		c.onWake = wake
	}
}

// Rest lets the connection be until there is something to read, or its end, or
// a timeout, StopReading or Abort makes reads fail. Then wake is called in a
// goroutine of its own, to wait by Each again; nothing that happened before is
// lost on that. Until then nobody but those methods may touch the reading side.
//
// It reports false if there is something of that kind already, or the system
// refuses: the caller goes on, as wake would.
func (c *Conn) Rest() bool {
	c.slow = false // unless it wakes late
	if !resting.add(c) {
		return false
	}
	// Who ends a wait says so first and looks for a resting connection then.
	ended := c.halted.Load() || c.TimedOut()
	return !ended || !resting.take(c)
}

// wake ends a rest. It is called after reads were made to fail.
func (c *Conn) wake() {
	if resting.take(c) {
		go c.onWake()
	}
}

// Resting reports whether the connection rests.
func (c *Conn) Resting() bool { return c.place.Load() != 0 }
