package h1

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// alias returns the bytes as a string without copying them. It is the one
// place where this package makes a string that can change: the string is right
// for as long as the buffer keeps these bytes in place, which buffer.Hold
// promises for a head until buffer.Drop, and no longer.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// class says where a byte may stand; a byte may be of several.
type class uint8

const (
	tokenByte  class = 1 << iota // tchar (RFC 9110, section 5.6.2)
	targetByte                   // request target: visible US-ASCII but '#'
	hexByte                      // HEXDIG
	quotedByte                   // qdtext (RFC 9110, section 5.6.4)
	textByte                     // what a quoted-pair may quote: HTAB, SP, VCHAR, obs-text
)

// classes gives each byte its classes.
//
// A target is more than RFC 3986 allows: browsers send | [ ] { } ^ ` and quotes
// as they are (WHATWG URL), and no two parsers part over them.
var classes = func() (table [256]class) {
	mark := func(set string, c class) {
		for i := range len(set) {
			table[set[i]] |= c
		}
	}
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	mark(alnum+"!#$%&'*+-.^_`|~", tokenByte)
	mark("0123456789ABCDEFabcdef", hexByte)
	for c := 0; c < 256; c++ {
		switch {
		case c == '\t' || c == ' ' || c >= 0x80:
			table[c] |= quotedByte | textByte
		case c > ' ' && c < 0x7F:
			table[c] |= textByte
			if c != '"' && c != '\\' {
				table[c] |= quotedByte
			}
			if c != '#' {
				table[c] |= targetByte
			}
		}
	}
	return table
}()

// allOf reports whether each byte of s is of the class.
func allOf(s string, c class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

// isToken reports whether s is a token.
func isToken(s string) bool { return s != "" && allOf(s, tokenByte) }

const (
	ones = 0x0101010101010101
	high = 0x8080808080808080
)

// textEnd returns the index of the first byte at or after i that may not stand
// in a field value (a control other than HTAB; normally the CR at the end of
// the line), or len(p). It looks at 8 bytes at a time.
func textEnd(p []byte, i int) int {
	for i <= len(p)-8 {
		x := binary.LittleEndian.Uint64(p[i : i+8])
		del := x ^ 0x7F*ones
		// The lowest flag set is exact: a borrow only reaches upwards.
		flags := ((x-0x20*ones)&^x | (del-ones)&^del) & high
		if flags != 0 {
			if i += bits.TrailingZeros64(flags) >> 3; p[i] != '\t' {
				return i
			}
			i -= 7 // go on after the tab
		}
		i += 8
	}
	for i < len(p) && (p[i] >= 0x20 && p[i] != 0x7F || p[i] == '\t') {
		i++
	}
	return i
}

// lineEnd judges where a line stopped, i being what textEnd returned: nil means
// that CRLF stands at i.
func lineEnd(p []byte, i int) *rule {
	switch {
	case i >= len(p):
		return incomplete
	case p[i] == '\n':
		return bareLF
	case p[i] != '\r':
		return control
	case i+1 == len(p):
		return incomplete
	case p[i+1] != '\n':
		return bareCR
	}
	return nil
}

// scanSection looks for the end of a head or trailer section whose first from
// bytes were looked at before, so that a head that trickles in is looked at
// once. Stop tells that the section is to be parsed now, being whole or having
// a byte or line end that is wrong; else next is where to go on.
func scanSection(p []byte, from int) (next int, stop bool) {
	for i := from; ; i += 2 {
		i = textEnd(p, i)
		r := lineEnd(p, i)
		switch {
		case r == incomplete:
			return i, false
		case r != nil:
			return i, true
		case i+4 > len(p):
			return i, false
		case p[i+2] == '\r' && p[i+3] == '\n':
			return i, true
		}
	}
}
