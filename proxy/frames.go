package proxy

import (
	"encoding/binary"
	"math/rand/v2"
)

// frames follows one direction of a WebSocket, to know where its frames end (RFC
// 6455, section 5.2): a frame of the proxy's own may only stand between two.
type frames struct {
	head   [14]byte
	n      int    // bytes of head so far
	left   uint64 // bytes of payload to come
	closed bool   // a Close frame has begun: none may follow (section 5.5.1)
}

// boundary reports whether a frame may begin now.
func (f *frames) boundary() bool { return f.n == 0 && f.left == 0 }

// pass takes note of what was carried.
func (f *frames) pass(p []byte) {
	for len(p) > 0 {
		p = p[f.passSome(p):]
	}
}

// passRest takes note of p up to the end of the frame under way, and returns how
// much of p that is.
func (f *frames) passRest(p []byte) (n int) {
	for n < len(p) && !f.boundary() {
		n += f.passSome(p[n:])
	}
	return n
}

// passSome takes note of one byte of a head, or of the payload at hand, and
// returns how much that is. P is not empty.
func (f *frames) passSome(p []byte) int {
	if f.left > 0 {
		n := min(f.left, uint64(len(p)))
		f.left -= n
		return int(n)
	}
	f.head[f.n] = p[0]
	if f.n++; f.n < 2 {
		return 1
	}
	length, extended := uint64(f.head[1]&0x7f), 0
	switch length {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	size := 2 + extended
	if f.head[1]&0x80 != 0 {
		size += 4 // the mask
	}
	if f.n < size {
		return 1
	}
	switch extended {
	case 2:
		length = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 8:
		length = binary.BigEndian.Uint64(f.head[2:])
	}
	f.closed = f.closed || f.head[0]&0x0f == opClose
	f.n, f.left = 0, length
	return 1
}

// opClose is the opcode of a Close frame.
const opClose = 8

// The status codes with which the proxy closes a WebSocket: towards the client,
// which is to come again (1012, in the registry that RFC 6455, section 11.7 set
// up), and towards the endpoint (section 7.4.1).
const (
	serviceRestart = 1012
	goingAway      = 1001
)

// closeFrame returns a Close frame with a status code. One that goes to a server
// is masked (section 5.3).
func closeFrame(code uint16, masked bool) []byte {
	out := []byte{0x80 | opClose, 2}
	if !masked {
		return binary.BigEndian.AppendUint16(out, code)
	}
	out[1] |= 0x80
	mask := rand.Uint32()
	out = binary.BigEndian.AppendUint32(out, mask)
	return binary.BigEndian.AppendUint16(out, code^uint16(mask>>16))
}
