package journey

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// placeholder is {{NAME}}.
var placeholder = regexp.MustCompile(`\{\{([A-Za-z0-9][A-Za-z0-9._-]{0,63})\}\}`)

// values are what {{NAME}} stands for in one run.
type values struct {
	byName map[string]string
	masked []string // longest first, so that none hides a part of another
}

// leastMasked is how long a value must be to be masked: less comes everywhere,
// and is no secret.
const leastMasked = 4

func newValues(spec *Spec) *values {
	v := &values{byName: map[string]string{}}
	maps.Copy(v.byName, spec.Values)
	for _, name := range slices.Sorted(maps.Keys(spec.Secrets)) {
		v.set(name, spec.Secrets[name], false)
	}
	return v
}

// set gives a value its name.
func (v *values) set(name, value string, show bool) {
	v.byName[name] = value
	if show || len(value) < leastMasked {
		return
	}
	inJSON, _ := json.Marshal(value)
	for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value), pathText(value), string(inJSON[1 : len(inJSON)-1])} {
		if !slices.Contains(v.masked, form) {
			v.masked = append(v.masked, form)
		}
	}
	slices.SortStableFunc(v.masked, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// fill replaces {{NAME}} in a text, each value as written by form. It fails where
// a value is not there: its step has not captured it.
func (v *values) fill(text string, form func(string) string) (string, error) {
	var err error
	text = placeholder.ReplaceAllStringFunc(text, func(m string) string {
		value, ok := v.byName[m[2:len(m)-2]]
		if !ok && err == nil {
			err = fmt.Errorf("nothing is named %s", m[2:len(m)-2])
		}
		return form(value)
	})
	return text, err
}

// mask makes a text fit to be shown: without secrets, and without bytes that
// would move a terminal's cursor.
func (v *values) mask(text string) string {
	for _, secret := range v.masked {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == utf8.RuneError || 0x80 <= r && r < 0xa0 {
			return '.'
		}
		return r
	}, text)
}

func same(s string) string { return s }

// jsonText writes a value as it stands within a string of JSON.
func jsonText(s string) string {
	text, _ := json.Marshal(s)
	return string(text[1 : len(text)-1])
}

// pathText writes a value as a part of a request's target. What separates the
// parts of one stays, since a captured value may be a whole path.
func pathText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"#<>\\^`{|}", c) >= 0:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
