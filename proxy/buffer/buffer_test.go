package buffer

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// write puts p into the buffer as a reader would, in as many steps as it takes.
func write(b *Buffer, p []byte) {
	for len(p) > 0 && !b.Full() {
		n := copy(b.Space(), p)
		b.Wrote(n)
		p = p[n:]
	}
}

// pattern returns n bytes that differ from their neighbours.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

func TestZeroBufferOwnsNothing(t *testing.T) {
	var b Buffer
	b.Release()
	b.Drop()
	b.Free()
	if b.Len() != 0 || len(b.Bytes()) != 0 || b.Full() || b.mem != nil {
		t.Errorf("the zero buffer holds %+v", b)
	}
}

func TestReleaseOnlyWhenEmpty(t *testing.T) {
	var b Buffer
	defer b.Free()
	write(&b, []byte("head body"))
	if b.Release(); b.mem == nil {
		t.Fatal("memory with unread bytes was given back")
	}
	b.Hold(5)
	b.Consume(4)
	if b.Release(); b.mem == nil || b.Len() != 0 {
		t.Fatal("memory with a held head was given back")
	}
	b.Drop()
	if b.Release(); b.mem != nil {
		t.Error("empty memory was kept")
	}
}

// TestAFewBytesThatWait hold memory of their size until more come.
func TestAFewBytesThatWait(t *testing.T) {
	for _, n := range []int{1, rest, rest + 1} {
		var b Buffer
		p := pattern(n)
		write(&b, []byte("before"))
		write(&b, p)
		b.Consume(len("before"))
		b.Release()
		if want := map[bool]int{true: rest, false: Small}[n <= rest]; len(b.mem) != want {
			t.Errorf("%d bytes hold %d, want %d", n, len(b.mem), want)
		}
		scribble()
		write(&b, p)
		if !bytes.Equal(b.Bytes(), append(p, p...)) || len(b.mem) != Small {
			t.Errorf("%d bytes and as many again: %d in memory of %d", n, b.Len(), len(b.mem))
		}
		b.Free()
	}
}

func TestGrowsToLargeAndNoFurther(t *testing.T) {
	var b Buffer
	defer b.Free()
	data := pattern(Large + 100)
	write(&b, data)
	if !b.Full() || !bytes.Equal(b.Bytes(), data[:Large]) || len(b.Space()) != 0 {
		t.Errorf("got %d bytes, full %v", b.Len(), b.Full())
	}
	b.Consume(10)
	if b.Full() || len(b.Space()) != 10 {
		t.Errorf("after 10 were consumed there is room for %d", len(b.Space()))
	}
	write(&b, data[Large:Large+10])
	if !bytes.Equal(b.Bytes(), data[10:Large+10]) {
		t.Error("the bytes changed when they moved")
	}
}

func TestGrow(t *testing.T) {
	var b Buffer
	defer b.Free()
	b.Grow()
	if len(b.Space()) != Large {
		t.Errorf("an empty buffer grew to %d", len(b.Space()))
	}
	var c Buffer
	defer c.Free()
	write(&c, []byte("headbody"))
	headBytes := c.Bytes()[:4]
	c.Hold(4)
	c.Grow()
	c.Grow()
	if string(c.Bytes()) != "body" || string(headBytes) != "head" || len(c.mem) != Large {
		t.Errorf("after Grow: %q, %q", c.Bytes(), headBytes)
	}
}

// TestHeldMemoryIsNotReused moves on twice while heads are held, and checks
// that no other buffer is given the memory that they lie in.
func TestHeldMemoryIsNotReused(t *testing.T) {
	var b Buffer
	var heads, was [][]byte
	for range 3 {
		write(&b, pattern(60<<10))
		b.Consume(10)
		heads = append(heads, b.Bytes()[:50<<10])
		was = append(was, bytes.Clone(b.Bytes()[:50<<10]))
		b.Hold(50 << 10)
	}
	for range 8 {
		var other Buffer
		defer other.Free()
		write(&other, make([]byte, Large))
	}
	for i, h := range heads {
		if !bytes.Equal(h, was[i]) {
			t.Errorf("held head %d changed", i)
		}
	}
	b.Drop()
	b.Free()
}

// TestLikeModel does whatever a codec and a connection may do, beside a slice
// that holds what should be unread, and copies of what is held.
func TestLikeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Buffer
		var unread []byte
		type held struct{ now, was []byte }
		var heads []held
		next := byte(0)
		size := rapid.SampledFrom([]int{1, 3, 100, minSpace, Small, 40 << 10, Large})
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				p := make([]byte, size.Draw(t, "n"))
				for i := range p {
					next++
					p[i] = next
				}
				p = p[:min(len(p), Large-len(unread))]
				write(&b, p)
				unread = append(unread, p...)
			},
			"consume": func(t *rapid.T) {
				n := min(size.Draw(t, "n"), len(unread))
				b.Consume(n)
				unread = unread[n:]
			},
			"hold": func(t *rapid.T) {
				n := min(size.Draw(t, "n"), len(unread))
				heads = append(heads, held{b.Bytes()[:n], bytes.Clone(unread[:n])})
				b.Hold(n)
				unread = unread[n:]
			},
			"drop":    func(*rapid.T) { b.Drop(); heads = nil },
			"grow":    func(*rapid.T) { b.Grow() },
			"release": func(*rapid.T) { b.Release() },
			"other":   func(*rapid.T) { scribble() },
			"": func(t *rapid.T) {
				if !bytes.Equal(b.Bytes(), unread) || b.Len() != len(unread) || b.Full() != (len(unread) == Large) {
					t.Fatalf("unread: got %d bytes, want %d", b.Len(), len(unread))
				}
				for _, h := range heads {
					if !bytes.Equal(h.now, h.was) {
						t.Fatalf("a held head of %d bytes changed", len(h.was))
					}
				}
			},
		})
		b.Free()
		if b.mem != nil || b.old != nil {
			t.Fatalf("after Free: %d bytes of memory", len(b.mem))
		}
	})
}

// scribble takes memory from the pools, writes over it and gives it back, as
// another connection would.
func scribble() {
	var small, large, few Buffer
	write(&few, []byte("few"))
	few.Release()
	clear(few.mem)
	few.Free()
	clear(small.Space())
	large.Grow()
	clear(large.Space())
	small.Free()
	large.Free()
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops memory at random")
	}
	data := []byte("GET / HTTP/1.1\r\n\r\n")
	n := testing.AllocsPerRun(100, func() {
		var b Buffer
		write(&b, data)
		b.Hold(len(data))
		b.Drop()
		b.Release()
		write(&b, data) // a head that comes in pieces
		b.Release()
		b.Free()
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkCycle(b *testing.B) {
	data := []byte("GET / HTTP/1.1\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		var buf Buffer
		buf.Wrote(copy(buf.Space(), data))
		buf.Hold(len(data))
		buf.Drop()
		buf.Release()
	}
}
