package hpack

import (
	"encoding/binary"
	"math"
	"slices"
)

// codeLengths are the lengths in bits of the codes of all bytes (RFC 7541,
// appendix B). The code is canonical: shorter codes come first, and those of one
// length are in the order of the bytes, so that lengths are all there is to say.
// What is left at the end, 30 one bits, is EOS.
var codeLengths = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
	28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
	5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
	6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
	24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
	21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
	19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	shortest = 5  // bits of the shortest code
	short    = 8  // bits of the codes that a table looks up
	longest  = 30 // bits of the longest code, of which EOS is one
)

// code is a byte, in the lower half, and the length of its code in bits in the
// upper one; 0 is none.
type code uint16

func newCode(symbol, length int) code { return code(length<<8 | symbol) }

func (c code) symbol() byte { return byte(c) }

func (c code) length() int { return int(c >> 8) }

// shortCodes has the code of up to 8 bits that the next 8 bits begin with.
// longCodes are the others in rising order.
var shortCodes, longCodes = assign()

// run is the codes of one length.
type run struct {
	length  int
	first   uint32 // the first code, its bits leftmost
	limit   uint32 // the first code beyond, its bits leftmost
	symbols []byte // in the order of their codes
}

// assign gives each byte its code.
func assign() (table [1 << short]code, long []run) {
	next := uint32(0) // the next code, its bits leftmost
	for length := shortest; length <= longest; length++ {
		r := run{length: length, first: next}
		for symbol, l := range codeLengths {
			if int(l) != length {
				continue
			}
			r.symbols = append(r.symbols, byte(symbol))
			from := next >> (32 - short)
			next += 1 << (32 - length)
			for at := from; length <= short && at < next>>(32-short); at++ {
				table[at] = newCode(symbol, length)
			}
		}
		if r.limit = next; length > short && len(r.symbols) > 0 {
			long = append(long, r)
		}
	}
	return table, long
}

// appendHuffman appends the string that src encodes (RFC 7541, section 5.2).
// It reports false for a string with EOS, or whose last octet is not filled up
// with the beginning of EOS, up to 7 one bits.
func appendHuffman(dst, src []byte) ([]byte, bool) {
	start := len(dst)
	dst = slices.Grow(dst, len(src)*8/shortest)
	out, n := dst[start:cap(dst)], 0
	var bits uint64 // the next bit is the highest
	var have int    // how many are there; those below may be ahead of src
	for {
		if len(src) >= 8 {
			bits |= binary.BigEndian.Uint64(src) >> have
			taken := (63 - have) >> 3
			src, have = src[taken:], have+taken<<3
		} else {
			for ; have <= 56 && len(src) > 0; have += 8 {
				bits |= uint64(src[0]) << (56 - have)
				src = src[1:]
			}
			if len(src) == 0 {
				break
			}
		}
		for have >= longest {
			c := lookup(bits)
			if c == 0 {
				return dst, false
			}
			out[n] = c.symbol()
			n++
			bits <<= c.length() & 63
			have -= c.length()
		}
	}
	// The end: as if ones followed, of which EOS and the padding consist.
	bits |= math.MaxUint64 >> have
	for have >= 8 || bits != math.MaxUint64 {
		c := lookup(bits)
		if c == 0 || c.length() > have {
			return dst, false
		}
		out[n] = c.symbol()
		n++
		bits = bits<<c.length() | (1<<c.length() - 1)
		have -= c.length()
	}
	return dst[:start+n], true
}

// lookup returns the code that the bits begin with, 0 where that is EOS.
func lookup(bits uint64) code {
	if c := shortCodes[bits>>(64-short)]; c != 0 {
		return c
	}
	return lookupLong(uint32(bits >> 32))
}

// lookupLong is lookup for codes of more than 8 bits. They are rare, and take
// the more octets the more runs there are to pass.
func lookupLong(bits uint32) code {
	for i := range longCodes {
		if r := &longCodes[i]; bits < r.limit {
			return newCode(int(r.symbols[(bits-r.first)>>(32-r.length)]), r.length)
		}
	}
	return 0
}
