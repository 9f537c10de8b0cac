package hpack

import "encoding/binary"

// nameBytes are those that a field name may have in HTTP/2: tchar (RFC 9110,
// section 5.6.2) but for upper-case letters (RFC 9113, section 8.2.1).
var nameBytes = func() (table [256]bool) {
	const set = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
	for i := range len(set) {
		table[set[i]] = true
	}
	return table
}()

// validName reports whether a field, or after a colon a pseudo-header field,
// may have this name.
func validName(name []byte) bool {
	if len(name) > 0 && name[0] == ':' {
		name = name[1:]
	}
	for _, c := range name {
		if !nameBytes[c] {
			return false
		}
	}
	return len(name) > 0
}

const (
	ones = 0x0101010101010101
	high = 0x8080808080808080
)

// validValue reports whether a field may have this value: no control character
// but HTAB, and no white space at its ends. It looks at 8 bytes at a time, and
// at each of those among which there is a control character.
func validValue(value []byte) bool {
	if n := len(value); n > 0 && (isSpace(value[0]) || isSpace(value[n-1])) {
		return false
	}
	for len(value) >= 8 {
		x := binary.LittleEndian.Uint64(value)
		del := x ^ 0x7F*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&high != 0 && !isText(value[:8]) {
			return false
		}
		value = value[8:]
	}
	return isText(value)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// isText reports whether no byte is a control character other than HTAB.
func isText(p []byte) bool {
	for _, c := range p {
		if c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}
