package buffer

// Lend returns empty memory from the pools with room for n bytes: Small, or
// Large, which n must not exceed. Give it back with GiveBack.
func Lend(n int) []byte {
	if n <= Small {
		return smallPool.Get().(*[Small]byte)[:0]
	}
	return largePool.Get().(*[Large]byte)[:0]
}

// GiveBack returns memory of Lend to the pools. Memory that has another size,
// because it was grown beyond what was lent, is left to the garbage collector.
func GiveBack(mem []byte) { put(mem[:cap(mem)]) }
