package routing

import "strings"

// A Cookie field is read as "name=value" pairs between semicolons, white space
// around both trimmed (RFC 6265, section 4.2.1, read leniently as section 5.4
// lets clients write). Junk between semicolons is skipped. Names are compared
// with case, values are opaque.

// nextCookie finds the first pair of that name, a token, and what follows it.
// Finding the name and then looking at what stands around it is twice as fast
// as taking every pair apart, and most requests hold the name at most once.
func nextCookie(field, name string) (value, rest string, ok bool) {
	for from := 0; ; {
		i := strings.Index(field[from:], name)
		if i < 0 {
			return "", "", false
		}
		start, end := from+i, from+i+len(name)
		from = end
		if !beginsPair(field, start) {
			continue
		}
		for end < len(field) && isSpace(field[end]) {
			end++
		}
		if end == len(field) || field[end] != '=' {
			continue
		}
		value = field[end+1:]
		if j := strings.IndexByte(value, ';'); j >= 0 {
			value, rest = value[:j], value[j+1:]
		}
		return trimSpace(value), rest, true
	}
}

// beginsPair reports whether only white space stands between i and the
// semicolon, or the field's beginning, before it.
func beginsPair(field string, i int) bool {
	for i > 0 && isSpace(field[i-1]) {
		i--
	}
	return i == 0 || field[i-1] == ';'
}

// Cookie returns the first value of a cookie in a Cookie field, and whether it
// has one.
func Cookie(field, name string) (value string, has bool) { return findCookie(field, name) }

// findCookie returns the first value of a cookie.
func findCookie(field, name string) (string, bool) {
	value, _, ok := nextCookie(field, name)
	return value, ok
}

// CookieWithout appends to dst a Cookie field without the cookie sluice_token
// and those named, the others as they came. What it appends is empty when no
// other is left: then the field is to be left out.
func CookieWithout(dst []byte, field string, names ...string) []byte {
	start := len(dst)
	for more := true; more; {
		var pair string
		pair, field, more = strings.Cut(field, ";")
		pair = trimSpace(pair)
		if pair == "" || isNamed(pair, names) {
			continue
		}
		if len(dst) > start {
			dst = append(dst, "; "...)
		}
		dst = append(dst, pair...)
	}
	return dst
}

// isNamed reports whether a pair is sluice_token or one of names. A pair
// without "=" counts by its whole text, as some servers take it for a name.
func isNamed(pair string, names []string) bool {
	name, _, _ := strings.Cut(pair, "=")
	name = trimSpace(name)
	if name == tokenCookie {
		return true
	}
	for _, n := range names {
		if name == n {
			return true
		}
	}
	return false
}

// trimSpace trims the white space of field values.
func trimSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// isSpace reports whether c is white space within a field (RFC 9110, section
// 5.6.3).
func isSpace(c byte) bool { return c == ' ' || c == '\t' }
