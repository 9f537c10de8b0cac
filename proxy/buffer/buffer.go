// Package buffer is the memory between a socket and a codec: pooled, taken
// when bytes arrive and given back when none wait, so that an idle connection
// owns none.
package buffer

import "sync"

// Sizes of the kinds of memory in the pools, in bytes. A head begins in a
// small one; a head that outgrows it, and a long body, move to a large one.
// Large is also the longest head that a Buffer can hold.
const (
	Small = 16 << 10
	Large = 64 << 10
)

// rest is the memory of a few bytes that wait for more to come: the head of a
// client that sends it by drips would hold sixteen times that.
const rest = 1 << 10

var (
	smallPool = sync.Pool{New: func() any { return new([Small]byte) }}
	largePool = sync.Pool{New: func() any { return new([Large]byte) }}
	restPool  = sync.Pool{New: func() any { return new([rest]byte) }}
)

// Buffer holds bytes that were read and are not consumed yet. The zero value
// is an empty buffer without memory. It serves one goroutine at a time.
//
//	mem: | held: a head still in use | consumed | unread | free |
//	     0                           held       r        w      len(mem)
type Buffer struct {
	mem  []byte
	held int    // mem[:held] is aliased by a head and must neither move nor change
	r, w int    // mem[r:w] is unread; held <= r <= w
	old  []byte // memory that a held head stayed behind in when the rest moved on
}

// Bytes returns the unread bytes. They stay in place until the next call of
// Space, Grow or Release.
func (b *Buffer) Bytes() []byte { return b.mem[b.r:b.w] }

// Len returns the number of unread bytes.
func (b *Buffer) Len() int { return b.w - b.r }

// Consume marks the first n unread bytes as read.
func (b *Buffer) Consume(n int) {
	b.r += n
	if b.r == b.w {
		b.r, b.w = b.held, b.held
	}
}

// Hold consumes n bytes and keeps all that was consumed so far in its place
// until Drop: a parsed head points into it. What was held before stays held.
func (b *Buffer) Hold(n int) {
	b.r += n
	b.held = b.r
}

// Drop ends Hold. Strings that alias the held bytes are no longer valid.
func (b *Buffer) Drop() {
	b.held = 0
	if b.old != nil {
		put(b.old)
		b.old = nil
	}
	if b.r == b.w {
		b.r, b.w = 0, 0
	}
}

// minSpace is the least room that a read is worth: below it, bytes are moved
// together, or on to other memory, first.
const minSpace = 4 << 10

// Space returns room to read into, never empty unless the buffer is Full. It
// takes memory from the pool if the buffer has none.
func (b *Buffer) Space() []byte {
	if b.mem == nil {
		b.mem = smallPool.Get().(*[Small]byte)[:]
	}
	if len(b.mem)-b.w < minSpace {
		b.makeRoom()
	}
	return b.mem[b.w:]
}

// Wrote tells that n bytes of what Space returned were filled.
func (b *Buffer) Wrote(n int) { b.w += n }

// Full reports whether the unread bytes fill the largest memory: Space has
// nothing left to give.
func (b *Buffer) Full() bool { return b.w-b.r == Large }

// Grow moves the unread bytes to large memory, for a long body.
func (b *Buffer) Grow() {
	if len(b.mem) < Large {
		b.moveTo(largePool.Get().(*[Large]byte)[:])
	}
}

// makeRoom moves the unread bytes to the front of the memory, or, where that
// frees too little, on to large memory.
func (b *Buffer) makeRoom() {
	if n := b.w - b.r; len(b.mem)-b.held-n >= minSpace {
		copy(b.mem[b.held:], b.mem[b.r:b.w])
		b.r, b.w = b.held, b.held+n
		return
	}
	switch {
	case len(b.mem) < Small && b.held == 0:
		b.moveTo(smallPool.Get().(*[Small]byte)[:])
	case len(b.mem) < Large || b.held > 0:
		b.moveTo(largePool.Get().(*[Large]byte)[:])
	case b.r > 0:
		b.w = copy(b.mem, b.mem[b.r:b.w])
		b.r = 0
	}
}

// moveTo goes on in other memory; a held head stays behind where it is.
func (b *Buffer) moveTo(mem []byte) {
	n := copy(mem, b.mem[b.r:b.w])
	switch {
	case b.held > 0 && b.old == nil:
		b.old = b.mem
	case b.held > 0:
		// A second head is held since the first was left behind: there is no
		// place to remember this memory in, so the garbage collector has it.
	case b.mem != nil:
		put(b.mem)
	}
	b.mem, b.held, b.r, b.w = mem, 0, 0, n
}

// Release gives the memory back to the pool if nothing in it is unread or
// held. A few unread bytes go to memory of their size.
func (b *Buffer) Release() {
	switch {
	case b.mem == nil || b.old != nil || b.held > 0:
	case b.w == 0:
		put(b.mem)
		b.mem = nil
	case b.w-b.r <= rest && len(b.mem) > rest:
		b.moveTo(restPool.Get().(*[rest]byte)[:])
	}
}

// Free empties the buffer and gives all memory back.
func (b *Buffer) Free() {
	b.held, b.r, b.w = 0, 0, 0
	b.Drop()
	b.Release()
}

func put(mem []byte) {
	switch len(mem) {
	case rest:
		restPool.Put((*[rest]byte)(mem))
	case Small:
		smallPool.Put((*[Small]byte)(mem))
	case Large:
		largePool.Put((*[Large]byte)(mem))
	}
}
