package proxy

import (
	"sync"
	"time"

	"sluice/proxy/h2"
)

// chunk is memory for some of a request's body: as much as a frame may hold.
type chunk struct {
	n   int
	mem [h2.MaxPayload]byte
}

var chunkPool = sync.Pool{New: func() any { return new(chunk) }}

func (c *chunk) bytes() []byte { return c.mem[:c.n] }

func (c *chunk) free() {
	c.n = 0
	chunkPool.Put(c)
}

// chunks is a body that waits to be read. The stream's window bounds it.
type chunks struct{ list []*chunk }

// add copies data to the end.
func (b *chunks) add(data []byte) {
	for len(data) > 0 {
		if last := len(b.list) - 1; last < 0 || b.list[last].n == h2.MaxPayload {
			b.list = append(b.list, chunkPool.Get().(*chunk))
		}
		last := b.list[len(b.list)-1]
		n := copy(last.mem[last.n:], data)
		last.n += n
		data = data[n:]
	}
}

// take removes the first chunk, whose memory is the caller's then.
func (b *chunks) take() *chunk {
	first := b.list[0]
	n := copy(b.list, b.list[1:])
	b.list[n] = nil
	b.list = b.list[:n]
	return first
}

// free drops all that waits and returns how many bytes.
func (b *chunks) free() (n int64) {
	for i, c := range b.list {
		n += int64(c.n)
		c.free()
		b.list[i] = nil
	}
	b.list = b.list[:0]
	return n
}

// alarm wakes a goroutine that waits for something to change. A ring that
// nobody waits for is kept, once.
type alarm struct {
	rings chan struct{}
	timer *time.Timer // made when one is waited for first
}

// wake ends the wait, or the next one.
func (a *alarm) wake() {
	select {
	case a.rings <- struct{}{}:
	default:
	}
}

// hush forgets a ring that nobody waited for.
func (a *alarm) hush() {
	select {
	case <-a.rings:
	default:
	}
}

// wait waits for a ring and reports whether one came within d; 0: any time.
func (a *alarm) wait(d time.Duration) bool {
	if d == 0 {
		<-a.rings
		return true
	}
	select {
	case <-a.rings:
		return true
	default:
	}
	if a.timer == nil {
		a.timer = time.NewTimer(d)
	} else {
		a.timer.Reset(d)
	}
	defer a.timer.Stop()
	select {
	case <-a.rings:
		return true
	case <-a.timer.C:
		return false
	}
}
