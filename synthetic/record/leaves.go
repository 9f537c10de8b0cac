package record

import (
	"encoding/json"
	"fmt"
	"strings"
)

// leaf is a string or a number of a JSON text.
type leaf struct {
	path       string // RFC 9535
	key        string // the last name in it
	text       string
	isString   bool
	start, end int // where it stands
}

// The bounds of what is looked at of a JSON text.
const (
	maxLeaves = 10_000
	maxDepth  = 64
	maxKey    = 200
)

// level is an object or a list that is being read.
type level struct {
	path, key string
	isList    bool
	next      int  // of a list: the index of what comes next
	isValue   bool // of an object: a value comes next, under name
	name      string
}

// child returns where the next value stands.
func (l *level) child() (path, key string) {
	if l.isList {
		return fmt.Sprintf("%s[%d]", l.path, l.next), l.key
	}
	if l.name != "" && !strings.ContainsFunc(l.name, func(c rune) bool { return !isAlnum(c) && c != '_' }) && (l.name[0] < '0' || l.name[0] > '9') {
		return l.path + "." + l.name, l.name
	}
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(l.name)
	return l.path + "['" + quoted + "']", l.name
}

// walk calls each for the strings and numbers of a JSON text, in order. It
// returns false where it saw only some of them: the text is damaged, too deep, too
// long, or a name in it looks like that of a value of a journey.
func walk(text string, each func(leaf)) bool {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	stack := []*level{{path: "$"}}
	for n := 0; n < maxLeaves; {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			return len(stack) == 1 && n > 0
		}
		top := stack[len(stack)-1]
		end := int(d.InputOffset())
		if name, is := token.(string); is && len(stack) > 1 && !top.isList && !top.isValue {
			if len(name) > maxKey || placeholder.MatchString(name) {
				return false
			}
			top.name, top.isValue = name, true
			continue
		}
		path, key := "$", ""
		if len(stack) > 1 {
			path, key = top.child()
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				stack = stack[:len(stack)-1]
				continue
			}
			if len(stack) > maxDepth {
				return false
			}
			stack = append(stack, &level{path: path, key: key, isList: t == '['})
		case string, json.Number:
			_, isString := token.(string)
			raw := text[before:end]
			start := before + len(raw) - len(strings.TrimLeft(raw, " \t\r\n,:"))
			each(leaf{path, key, fmt.Sprint(t), isString, start, end})
		}
		n++
		top.next++
		top.isValue = false
	}
	return false
}
