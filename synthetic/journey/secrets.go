package journey

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// secretParts are parts of the names whose values are not shown, wherever they come
// from: an answer that is not as expected holds tokens that nobody captured.
var secretParts = []string{"passw", "passphrase", "secret", "token", "jwt", "csrf", "credential", "apikey", "api_key", "api-key",
	"privatekey", "private_key", "private-key", "session", "signature", "authorization", "cookie"}

// The reach, in bytes, of what stands between such a part and its value: the rest
// of the name, and other attributes of an HTML field.
const (
	nameReach  = 64
	fieldReach = 256
)

// isSecret tells whether a name says that its value is one.
func isSecret(name string) bool {
	_, part := nextSecret(asciiLower(name))
	return part != ""
}

// nextSecret returns where the first of secretParts is in a text; "": nowhere.
func nextSecret(lower string) (at int, part string) {
	for _, p := range secretParts {
		if i := strings.Index(lower, p); i >= 0 && (part == "" || i < at) {
			at, part = i, p
		}
	}
	return at, part
}

// asciiLower keeps each byte in its place.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// hideNamed masks the values whose names say that they are secrets, but for those
// that the journey shows.
func (v *values) hideNamed(text string) string {
	var b strings.Builder
	for lower := asciiLower(text); ; {
		at, part := nextSecret(lower)
		if part == "" {
			b.WriteString(text)
			return b.String()
		}
		at += len(part)
		b.WriteString(text[:at])
		n, shown := v.hideValue(text[at:])
		b.WriteString(shown)
		text, lower = text[at+n:], lower[at+n:]
	}
}

// hideValue returns how much of a text behind a part of a secret name is the rest
// of the name with its value, and how that is shown; 0: no value follows.
func (v *values) hideValue(text string) (n int, shown string) {
	at := valueAt(text)
	if at < 0 {
		return 0, ""
	}
	quote, value := valueOf(text[at:])
	n = at + len(quote) + len(value)
	if !v.shows(value) {
		value = "***"
	}
	return n, text[:at] + quote + value
}

// valueAt returns where the value begins that belongs to a name whose rest a text
// begins with: that of a member of a JSON object, of a parameter of a query or a
// form, or of a field of an HTML form; -1: there is none.
func valueAt(text string) int {
	near := text[:min(len(text), nameReach)]
	if i := strings.IndexAny(near, "\"\\"); i >= 0 && near[i] == '"' {
		if rest := strings.TrimLeft(text[i+1:], " \t\r\n"); strings.HasPrefix(rest, ":") {
			return len(text) - len(strings.TrimLeft(rest[1:], " \t\r\n"))
		}
	}
	rest := strings.TrimLeftFunc(near, func(r rune) bool {
		return r == '_' || r == '-' || r == '.' || r == '%' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	})
	i := len(near) - len(rest)
	if strings.HasPrefix(rest, "=") {
		return i + 1
	}
	field := text[i:min(len(text), i+fieldReach)]
	if end := strings.IndexAny(field, "<>"); end >= 0 {
		field = field[:end]
	}
	if j := strings.Index(field, " value="); j >= 0 {
		return i + j + len(" value=")
	}
	return -1
}

// valueOf returns the value that a text begins with, and the quote before it, if
// any. It goes to its closing quote, or to what can't be part of it.
func valueOf(text string) (quote, value string) {
	if text == "" || text[0] != '"' && text[0] != '\'' {
		if end := strings.IndexAny(text, " \t\r\n,{}[]&<>\"'"); end >= 0 {
			text = text[:end]
		}
		return "", text
	}
	quote = text[:1]
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case quote[0]:
			return quote, text[1:i]
		}
	}
	return quote, text[1:]
}

// shows tells whether a value may be seen: it is one of the journey's that is no
// secret, or none at all.
func (v *values) shows(value string) bool {
	for _, known := range v.byName {
		inJSON, _ := json.Marshal(known)
		if slices.Contains(v.masked, known) {
			continue
		}
		if value == known || value == url.QueryEscape(known) || value == string(inJSON[1:len(inJSON)-1]) {
			return true
		}
	}
	return slices.Contains([]string{"", "***", "null", "true", "false"}, value)
}
