package routing

// maxName is the longest name of a service, version, rule or key in bytes. It
// keeps pin cookies and metric labels short.
const maxName = 64

// The sets that names are made of, in words for error messages.
const (
	nameRule    = "a name is 1 to 64 of A-Z a-z 0-9 . _ - and begins with a letter or digit"
	serviceRule = "a service's name is 1 to 64 of a-z 0-9 . _ - and begins with a letter, since it is a key of the Sluice-Override dictionary"
	tokenRule   = "allowed are letters, digits and !#$%&'*+-.^_`|~"
)

// validName reports whether s may name a version, a rule or a key. Each such
// name stands unquoted in cookies, header fields and labels.
func validName(s string) bool {
	if s == "" || len(s) > maxName || !isAlphanumeric(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// validService reports whether s may name a service: a validName that is also
// a key of an RFC 9651 dictionary (section 3.1.2).
func validService(s string) bool {
	if !validName(s) || s[0] < 'a' {
		return false
	}
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// validToken reports whether s is a token (RFC 9110, section 5.6.2): the name
// of a header field, a cookie or a method.
func validToken(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && !isTokenMark(s[i]) {
			return false
		}
	}
	return true
}

func isTokenMark(c byte) bool {
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}

// hasControl reports whether s holds a byte that no header value, path or
// parameter may hold: a control or DEL.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7F {
			return true
		}
	}
	return false
}
