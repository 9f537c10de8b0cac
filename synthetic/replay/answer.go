package replay

import (
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

// The bounds of what answers may hold.
const (
	// maxDiscarded is how much of a body is read at the most: an answer without an
	// end is cut off there, and its connection with it.
	maxDiscarded = 1 << 30
	maxCompared  = 1 << 20   // bytes of a body that are kept for a comparison
	maxKept      = 128 << 20 // bytes of all bodies that are being compared
)

// errEndless is the end of a body that had none.
var errEndless = errors.New("the body has more than 1 GiB")

// Answer is what came back for a request.
type Answer struct {
	Status    int          // 0: none came
	Fields    []head.Field // of a comparison
	Body      []byte       // of a comparison, at most 1 MiB
	Truncated bool         // the body was longer than that, or too much was being compared
	Size      int64        // of the body, as received
	Took      time.Duration
	Err       error // why there is no answer, or not all of it

	kept *memory // nil: nothing is kept of fields and body
}

// memory is what the bodies that are being compared may hold together.
type memory struct{ used atomic.Int64 }

// take reports whether there is room for n bytes more, which are then taken.
func (m *memory) take(n int) bool {
	if m.used.Add(int64(n)) <= maxKept {
		return true
	}
	m.used.Add(-int64(n))
	return false
}

// keepFields copies the fields out of the memory that they came in.
func (a *Answer) keepFields(fields []head.Field) {
	if a.kept == nil {
		return
	}
	for _, f := range fields {
		a.Fields = append(a.Fields, head.Field{ID: f.ID, Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)})
	}
}

// keep takes the next bytes of the body.
func (a *Answer) keep(p []byte) error {
	if a.Size += int64(len(p)); a.Size > maxDiscarded {
		return errEndless
	}
	if a.kept == nil || a.Truncated {
		return nil
	}
	if room := maxCompared - len(a.Body); len(p) > room {
		p, a.Truncated = p[:room], true
	}
	if !a.grow(len(a.Body) + len(p)) {
		a.Truncated = true
		return nil
	}
	a.Body = append(a.Body, p...)
	return nil
}

// grow makes room for n bytes of body, in steps, and reports whether it could.
func (a *Answer) grow(n int) bool {
	had := cap(a.Body)
	if n <= had {
		return true
	}
	size := buffer.Small
	for size < n {
		size *= 4 // Small, Large, 256 KiB, 1 MiB
	}
	if !a.kept.take(size) {
		return false
	}
	var more []byte
	if size <= buffer.Large {
		more = buffer.Lend(size)
	} else {
		more = make([]byte, 0, size)
	}
	more = append(more, a.Body...)
	a.giveBack()
	a.Body = more
	return true
}

// giveBack lets go of the body's memory.
func (a *Answer) giveBack() {
	if cap(a.Body) > 0 {
		a.kept.used.Add(-int64(cap(a.Body)))
		buffer.GiveBack(a.Body)
		a.Body = nil
	}
}

// reset empties the answer for another one.
func (a *Answer) reset() {
	a.giveBack()
	clear(a.Fields)
	*a = Answer{Fields: a.Fields[:0], kept: a.kept}
}
