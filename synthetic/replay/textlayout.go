package replay

import (
	"errors"
	"fmt"
	"strings"
)

// The layouts of text logs that have a name, written as nginx's log_format.
// nginx's own default is combined.
const (
	commonLayout   = `$remote_addr $ident $remote_user [$time_local] "$request" $status $body_bytes_sent`
	combinedLayout = commonLayout + ` "$http_referer" "$http_user_agent"`
)

// textLayout reads a line of text by a layout: variables, and what stands between
// them. What follows the last variable on a line is ignored, so that a layout
// also reads logs that others have added to.
type textLayout struct {
	before    string
	variables []variable
}

// variable is one of a layout, and the text behind it.
type variable struct {
	name, after string
}

// parseTextLayout reads a layout such as `$remote_addr [$time_local] "$request"`.
func parseTextLayout(layout string) (*textLayout, error) {
	t := new(textLayout)
	before, rest, ok := strings.Cut(layout, "$")
	if !ok {
		return nil, fmt.Errorf("the layout %s has no $variable", shown(layout))
	}
	t.before = before
	for ok {
		n := 0
		for n < len(rest) && isNameByte(rest[n]) {
			n++
		}
		if n == 0 {
			return nil, fmt.Errorf("the layout %s has a $ without a name behind it", shown(layout))
		}
		v := variable{name: rest[:n]}
		v.after, rest, ok = strings.Cut(rest[n:], "$")
		if ok && v.after == "" {
			return nil, fmt.Errorf("nothing stands between $%s and the variable behind it, so they can't be told apart", v.name)
		}
		t.variables = append(t.variables, v)
	}
	if !t.has("request") && !(t.has("request_method") && t.has("request_uri")) {
		return nil, errors.New("the layout needs $request, or $request_method and $request_uri")
	}
	return t, nil
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// has reports whether the layout holds a variable.
func (t *textLayout) has(name string) bool {
	for _, v := range t.variables {
		if v.name == name {
			return true
		}
	}
	return false
}

// read calls set with each variable's value, unescaped; a dash counts as none.
func (t *textLayout) read(line string, set func(name, value string) error) error {
	rest, ok := strings.CutPrefix(line, t.before)
	if !ok {
		return fmt.Errorf("it does not begin with %s", shown(t.before))
	}
	for i, v := range t.variables {
		end := endOf(rest, v.after, i == len(t.variables)-1)
		if end < 0 {
			return fmt.Errorf("there is no %s behind $%s", shown(v.after), v.name)
		}
		if value := rest[:end]; value != "-" && value != "" {
			if err := set(v.name, unescape(value)); err != nil {
				return err
			}
		}
		rest = rest[min(end+len(v.after), len(rest)):]
	}
	return nil
}

// endOf returns where a value ends that text follows, or -1. A quotation mark
// behind a backslash ends nothing.
func endOf(s, after string, last bool) int {
	if after == "" {
		if i := strings.IndexByte(s, ' '); i >= 0 {
			return i
		}
		return len(s)
	}
	if after[0] != '"' {
		if i := strings.Index(s, after); i >= 0 || !last {
			return i
		}
		return len(s)
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"' && (strings.HasPrefix(s[i:], after) || last && i == len(s)-1):
			return i
		}
	}
	return -1
}

// unescape takes back what Apache and nginx do to bytes that a line can't hold:
// \xhh, and a backslash before quotes, backslashes and the letters of C.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if s[i] == 'x' && i+2 < len(s) {
			if high, low := hexDigit(s[i+1]), hexDigit(s[i+2]); high >= 0 && low >= 0 {
				b = append(b, byte(high<<4|low))
				i += 2
				continue
			}
		}
		if at := strings.IndexByte(`"\bnrtv`, s[i]); at >= 0 {
			b = append(b, "\"\\\b\n\r\t\v"[at])
		} else {
			b = append(b, '\\', s[i])
		}
	}
	return string(b)
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
