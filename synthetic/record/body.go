package record

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"regexp"
	"strings"
)

// formType is the media type of forms.
const formType = "application/x-www-form-urlencoded"

// body is what a step sends: one of these.
type body struct {
	form []Field
	json string
	text string
	kind string // the media type, where it doesn't follow
}

// body returns what a step sends, and tells of what it doesn't.
func (v *values) body(e *Exchange, s *step) body {
	kind := valueOf(e.Fields, "Content-Type")
	switch {
	case e.long > 0:
		s.comments = append(s.comments, fmt.Sprintf("its body of %d bytes is left out; put it into a file, and write body: {file: FILE}", e.long))
		return body{kind: kind}
	case len(e.Body) == 0:
		return body{}
	}
	text := string(e.Body)
	switch t := mediaType(kind); {
	case t == formType:
		if form, ok := formOf(text); ok {
			for i, f := range form {
				form[i].Value = v.replace(slot{name: f.Name, value: f.Value})
			}
			return body{form: form}
		}
		return body{text: v.query(text), kind: kind}
	case isJSON(t) && json.Valid(e.Body):
		return v.jsonBody(text, kind)
	case t == "multipart/form-data":
		if _, p, err := mime.ParseMediaType(kind); err == nil && p["boundary"] != "" {
			return body{text: v.multipart(text, "--"+p["boundary"]), kind: kind}
		}
	}
	return body{text: v.opaque(text), kind: kind}
}

// named is a name with its value, in whatever language: name=value, "name":
// "value", <name>value.
var named = regexp.MustCompile(`(?:([\w.\[\]-]{1,60})["']?\s{0,3}[=:]\s{0,3}["']?|<([\w:.-]{1,60})[^<>]{0,200}>)([^"'&\s,;<>{}]+)`)

// opaque hides what is likely to be a secret in a text of an unknown form.
func (v *values) opaque(text string) string {
	var b strings.Builder
	done := 0
	hide := func(name string, start, end int) {
		b.WriteString(v.within(text[done:start]))
		b.WriteString("{{" + v.secret(name, text[start:end]) + "}}")
		done = end
	}
	for _, m := range named.FindAllStringSubmatchIndex(text, -1) {
		for _, name := range [][]int{m[2:4], m[4:6]} {
			if name[0] >= 0 && isSecretName(text[name[0]:name[1]]) {
				hide(text[name[0]:name[1]], m[6], m[7])
			}
		}
	}
	b.WriteString(v.within(text[done:]))
	return token.ReplaceAllStringFunc(b.String(), func(t string) string { return "{{" + v.secret("token", t) + "}}" })
}

// formOf reads a form, where each name has one value, as a journey's has.
func formOf(text string) (form []Field, ok bool) {
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(text, "&") {
		name, value, has := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !has || seen[name] || !isFormName(name) {
			return nil, false
		}
		seen[name] = true
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, false
		}
		form = append(form, Field{name, value})
	}
	return form, true
}

// isFormName tells whether a name is one, and not a body of another kind.
func isFormName(name string) bool {
	return len(name) <= 200 && !strings.ContainsAny(name, "<>{}\"' \r\n\t:")
}

// jsonBody replaces values of a JSON text. A number that is captured makes a text
// of it: the name of a value stands within strings of JSON alone.
func (v *values) jsonBody(text, kind string) body {
	var b strings.Builder
	done, isText := 0, false
	if !walk(text, func(leaf) {}) {
		return body{text: v.opaque(text), kind: kind}
	}
	walk(text, func(l leaf) {
		value := v.replace(slot{name: l.key, value: l.text, whole: !l.isString})
		if value == l.text {
			return
		}
		b.WriteString(text[done:l.start])
		if l.isString {
			quoted, _ := json.Marshal(value)
			value = string(quoted)
		} else {
			isText = true
		}
		b.WriteString(value)
		done = l.end
	})
	b.WriteString(text[done:])
	switch {
	case isText:
		return body{text: b.String(), kind: kind}
	case mediaType(kind) == "application/json":
		kind = "" // it follows
	}
	return body{json: b.String(), kind: kind}
}

// multipart replaces values of a form of parts (RFC 7578), and what looks like a
// secret in its files.
func (v *values) multipart(text, boundary string) string {
	parts := strings.Split(text, boundary)
	for i, part := range parts {
		head, value, ok := strings.Cut(part, "\r\n\r\n")
		value, ends := strings.CutSuffix(value, "\r\n")
		name := nameOfPart(head)
		if !ok || !ends || name == "" {
			parts[i] = v.opaque(part)
			continue
		}
		parts[i] = head + "\r\n\r\n" + v.replace(slot{name: name, value: value}) + "\r\n"
	}
	return strings.Join(parts, boundary)
}

// nameOfPart returns the name of a part that is no file.
func nameOfPart(head string) string {
	for line := range strings.SplitSeq(head, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "Content-Disposition") {
			continue
		}
		if _, p, err := mime.ParseMediaType(strings.TrimSpace(value)); err == nil && p["filename"] == "" {
			return p["name"]
		}
	}
	return ""
}
