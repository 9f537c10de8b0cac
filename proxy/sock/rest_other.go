//go:build !linux

package sock

// canRest tells that every wait needs a goroutine here.
const canRest = false

var resting rests

// rests has no connections, and poll is nothing.
type (
	rests struct{}
	poll  struct{}
)

func (rests) add(*Conn) bool  { return false }
func (rests) take(*Conn) bool { return false }
func (rests) end()            {}
