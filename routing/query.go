package routing

import "strings"

// A query is read as "name=value" pairs between ampersands, percent-encoded,
// with "+" for a space (WHATWG URL, application/x-www-form-urlencoded). It is
// decoded while it is compared, so that nothing is allocated.

// findParam returns the first value of a parameter, still encoded; name is
// decoded.
func findParam(query, name string) (string, bool) {
	for query != "" {
		pair, rest, _ := strings.Cut(query, "&")
		if mayBegin(pair, name[0]) {
			if n, value, _ := strings.Cut(pair, "="); decodedEqual(n, name) {
				return value, true
			}
		}
		query = rest
	}
	return "", false
}

// mayBegin reports whether a pair's decoded form may begin with c: a glance
// that spares most pairs the rest.
func mayBegin(pair string, c byte) bool {
	return pair != "" && (pair[0] == c || pair[0] == '%' || pair[0] == '+')
}

// CleanQuery returns a query without its sluice-token parameters, however
// their name is encoded, the others as they came, and the first token. With
// found false, clean is the query itself and nothing was allocated.
func CleanQuery(query string) (clean, token string, found bool) {
	token, found = findParam(query, tokenParam)
	if !found {
		return query, "", false
	}
	kept := make([]byte, 0, len(query))
	for rest := query; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		if name, _, _ := strings.Cut(pair, "="); decodedEqual(name, tokenParam) {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, '&')
		}
		kept = append(kept, pair...)
	}
	return string(kept), token, true
}

// decodedEqual reports whether the decoded form of encoded is plain.
func decodedEqual(encoded, plain string) bool {
	rest, ok := cutDecoded(encoded, plain)
	return ok && rest == ""
}

// cutDecoded cuts from encoded what decodes to prefix. ok is false if its
// decoded form does not begin so.
func cutDecoded(encoded, prefix string) (rest string, ok bool) {
	for i := range len(prefix) {
		if encoded == "" {
			return "", false
		}
		c, n := decodeByte(encoded)
		if c != prefix[i] {
			return "", false
		}
		encoded = encoded[n:]
	}
	return encoded, true
}

// decoded returns the decoded form of s; it allocates only if that differs.
func decoded(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	plain := make([]byte, 0, len(s))
	for s != "" {
		c, n := decodeByte(s)
		plain = append(plain, c)
		s = s[n:]
	}
	return string(plain)
}

// decodeByte decodes the first byte of s and says how many bytes it took. A
// "%" that two hex digits don't follow stands for itself.
func decodeByte(s string) (c byte, n int) {
	switch {
	case s[0] == '+':
		return ' ', 1
	case s[0] == '%' && len(s) >= 3:
		hi, ok1 := unhex(s[1])
		lo, ok2 := unhex(s[2])
		if ok1 && ok2 {
			return hi<<4 | lo, 3
		}
	}
	return s[0], 1
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
