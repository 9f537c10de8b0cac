package compare

import (
	"bytes"
	"hash/maphash"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func (w *walk) space() {
	for w.at < len(w.body) {
		switch w.body[w.at] {
		case ' ', '\t', '\n', '\r':
			w.at++
		default:
			return
		}
	}
}

// skip takes the byte b, after white space.
func (w *walk) skip(b byte) bool {
	w.space()
	if w.at < len(w.body) && w.body[w.at] == b {
		w.at++
		return true
	}
	return false
}

// value reads one value (RFC 8259) into a node.
func (w *walk) value(at int32, where uint64, depth int) (reason string) {
	w.space()
	if w.at == len(w.body) {
		return notJSON
	}
	if len(w.nodes) > maxFields+1 {
		return tooMany
	}
	start := w.at
	switch b := w.body[start]; b {
	case '{':
		return w.object(at, where, depth)
	case '[':
		return w.array(at, where, depth)
	case '"':
		s, ok := w.str()
		if !ok {
			return notJSON
		}
		w.took(at, where, text, w.hash(s), start, 0)
	case 't':
		return w.literal("true", at, where, boolean)
	case 'f':
		return w.literal("false", at, where, boolean)
	case 'n':
		return w.literal("null", at, where, null)
	default:
		if !w.number() {
			return notJSON
		}
		w.scratch = decimal(w.scratch[:0], w.body[start:w.at])
		w.took(at, where, number, maphash.Bytes(w.seed, w.scratch), start, 0)
	}
	return ""
}

func (w *walk) object(at int32, where uint64, depth int) (reason string) {
	start := w.at
	if depth == maxDepth {
		return tooDeep
	}
	w.at++
	w.nodes[at].holds++
	for first := true; !w.skip('}'); first = false {
		if !first && !w.skip(',') {
			return notJSON
		}
		if w.space(); w.at == len(w.body) || w.body[w.at] != '"' {
			return notJSON
		}
		name, ok := w.str()
		if !ok || !w.skip(':') {
			return notJSON
		}
		child, place := w.child(at, name, where)
		if reason = w.value(child, place, depth+1); reason != "" {
			return reason
		}
	}
	w.took(at, where, object, 0, start, 0)
	return ""
}

func (w *walk) array(at int32, where uint64, depth int) (reason string) {
	start := w.at
	if depth == maxDepth {
		return tooDeep
	}
	w.at++
	w.nodes[at].holds++
	length := 0
	for ; !w.skip(']'); length++ {
		if length > 0 && !w.skip(',') {
			return notJSON
		}
		if reason = w.value(w.only(at, element), mix(where, uint64(length)), depth+1); reason != "" {
			return reason
		}
	}
	w.took(at, where, array, uint64(length), start, length)
	return ""
}

func (w *walk) literal(word string, at int32, where uint64, t types) (reason string) {
	start := w.at
	if !bytes.HasPrefix(w.body[start:], []byte(word)) {
		return notJSON
	}
	w.at += len(word)
	w.took(at, where, t, uint64(len(word)), start, 0)
	return ""
}

// str reads a string and returns it without its quotes, escapes as they are.
func (w *walk) str() ([]byte, bool) {
	start := w.at + 1
	for i := start; i < len(w.body); i++ {
		switch b := w.body[i]; {
		case b == '"':
			w.at = i + 1
			return w.body[start:i], true
		case b < 0x20:
			return nil, false
		case b == '\\':
			n := escape(w.body[i:])
			if n == 0 {
				return nil, false
			}
			i += n - 1
		}
	}
	return nil, false
}

// escape returns the length of the escape that s begins with; 0: it is none.
func escape(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(s) >= 6 {
			if _, ok := hex4(s[2:6]); ok {
				return 6
			}
		}
	}
	return 0
}

func hex4(s []byte) (rune, bool) {
	var r rune
	for _, b := range s {
		switch {
		case b >= '0' && b <= '9':
			b -= '0'
		case b >= 'a' && b <= 'f':
			b -= 'a' - 10
		case b >= 'A' && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(b)
	}
	return r, true
}

// unescape appends what a string says; its escapes are valid.
func unescape(to, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			to = append(to, s[i])
			i++
			continue
		}
		switch b := s[i+1]; b {
		case 'u':
			r, _ := hex4(s[i+2 : i+6])
			i += 6
			if utf16.IsSurrogate(r) {
				low := rune(0)
				if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
					low, _ = hex4(s[i+2 : i+6])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			to = utf8.AppendRune(to, r)
			continue
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		default:
			to = append(to, b)
		}
		i += 2
	}
	return to
}

// number reads a number.
func (w *walk) number() bool {
	s, i := w.body, w.at
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	from := i
	if !digits() || s[from] == '0' && i > from+1 {
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	w.at = i
	return true
}

// decimal appends a number in a form that depends on its value alone, exactly: 1,
// 1.0 and 10e-1 become the same. Exponents beyond 18 digits stay as they are.
func decimal(to, s []byte) []byte {
	mantissa, exponent := s, 0
	if i := bytes.IndexAny(s, "eE"); i >= 0 {
		var err error
		if mantissa = s[:i]; len(s)-i > 19 {
			return append(to, s...)
		} else if exponent, err = strconv.Atoi(string(s[i+1:])); err != nil {
			return append(to, s...)
		}
	}
	if mantissa[0] == '-' {
		to, mantissa = append(to, '-'), mantissa[1:]
	}
	from, fraction := len(to), false
	for _, b := range mantissa {
		switch {
		case b == '.':
			fraction = true
			continue
		case fraction:
			exponent--
		}
		if b != '0' || len(to) > from {
			to = append(to, b)
		}
	}
	for len(to) > from && to[len(to)-1] == '0' {
		to = to[:len(to)-1]
		exponent++
	}
	if len(to) == from {
		return append(to[:0], '0') // -0 too
	}
	to = append(to, 'e')
	return strconv.AppendInt(to, int64(exponent), 10)
}
