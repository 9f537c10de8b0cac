package replay

import (
	"encoding/json"
	"strconv"
	"strings"
)

// maxNesting is how deep JSON may be: as deep as encoding/json takes it.
const maxNesting = 10_000

// picker picks a few values out of JSON objects, each of which it reads once. To
// make a map of an object takes ten times as long, and a log has many lines.
type picker struct {
	root   branch
	values []string // by slot, of the object read last; "": there is none
}

// branch is what is looked for in an object.
type branch struct {
	slot  int // of the value itself; -1: none
	below map[string]*branch
	slots []int // of the value and all below it
}

func newPicker() *picker { return &picker{root: branch{slot: -1}} }

// look has values be picked from a path, and returns their slots, the first of
// which counts first. A dot leads into an object, or is part of a name.
func (p *picker) look(path string) []int {
	return p.lookIn(nil, &p.root, path)
}

// lookIn has the path be looked for below the last of the branches.
func (p *picker) lookIn(above []*branch, b *branch, path string) []int {
	above = append(above, b)
	slots := []int{p.slot(above, b.child(path))}
	for i := range len(path) {
		if path[i] == '.' {
			slots = append(slots, p.lookIn(above, b.child(path[:i]), path[i+1:])...)
		}
	}
	return slots
}

// slot gives a branch a slot, of which those above it know.
func (p *picker) slot(above []*branch, b *branch) int {
	if b.slot < 0 {
		b.slot = len(p.values)
		p.values = append(p.values, "")
		b.slots = append(b.slots, b.slot)
		for _, a := range above {
			a.slots = append(a.slots, b.slot)
		}
	}
	return b.slot
}

// child returns the branch of a member.
func (b *branch) child(name string) *branch {
	if b.below == nil {
		b.below = map[string]*branch{}
	}
	if b.below[name] == nil {
		b.below[name] = &branch{slot: -1}
	}
	return b.below[name]
}

// read reads an object and picks its values: texts and numbers, and of a list
// the first member if it is one. It reports whether s is one object of JSON
// (RFC 8259) and nothing else. Bytes that are not UTF-8 are left as they are.
func (p *picker) read(s string) bool {
	clear(p.values)
	r := picking{s: s, values: p.values}
	r.space()
	if r.at() != '{' || !r.object(&p.root) {
		return false
	}
	r.space()
	return r.i == len(s)
}

// picking is the reading of one object. Its methods report whether what they
// read is valid.
type picking struct {
	s      string
	i      int // where it is
	depth  int
	values []string
}

// at returns the byte that is next; 0, which is never valid, at the end.
func (r *picking) at() byte {
	if r.i < len(r.s) {
		return r.s[r.i]
	}
	return 0
}

// take goes past a byte if it is next.
func (r *picking) take(c byte) bool {
	if r.at() != c {
		return false
	}
	r.i++
	return true
}

func (r *picking) space() {
	for r.i < len(r.s) && (r.s[r.i] == ' ' || r.s[r.i] == '\t' || r.s[r.i] == '\n' || r.s[r.i] == '\r') {
		r.i++
	}
}

// value reads a value; b is nil where nothing in it is looked for.
func (r *picking) value(b *branch) bool {
	switch r.at() {
	case '{':
		return r.object(b)
	case '[':
		return r.list(b)
	case 't':
		return r.word("true")
	case 'f':
		return r.word("false")
	case 'n':
		return r.word("null")
	}
	return r.scalar(b)
}

func (r *picking) word(w string) bool {
	ok := strings.HasPrefix(r.s[r.i:], w)
	r.i += len(w)
	return ok
}

// object reads an object. Of members with the same name the last one counts, as
// with encoding/json.
func (r *picking) object(b *branch) bool {
	return r.members('}', func() bool {
		name, ok := r.text()
		r.space()
		if !ok || !r.take(':') {
			return false
		}
		r.space()
		var child *branch
		if b != nil {
			if child = b.below[name]; child != nil {
				for _, slot := range child.slots {
					r.values[slot] = ""
				}
			}
		}
		return r.value(child)
	})
}

// list reads a list, whose first member stands for it.
func (r *picking) list(b *branch) bool {
	return r.members(']', func() bool {
		first := b
		b = nil
		if c := r.at(); first != nil && (c == '{' || c == '[') {
			first = nil
		}
		return r.value(first)
	})
}

// members reads what stands between brackets.
func (r *picking) members(end byte, member func() bool) bool {
	r.i++
	if r.depth++; r.depth > maxNesting {
		return false
	}
	r.space()
	if !r.take(end) {
		for {
			r.space()
			if !member() {
				return false
			}
			r.space()
			if r.take(end) {
				break
			}
			if !r.take(',') {
				return false
			}
		}
	}
	r.depth--
	return true
}

// scalar reads a text or a number.
func (r *picking) scalar(b *branch) bool {
	var v string
	var ok bool
	if r.at() == '"' {
		v, ok = r.text()
	} else {
		v, ok = r.number()
	}
	if b != nil && b.slot >= 0 {
		r.values[b.slot] = v
	}
	return ok
}

// text reads a text. One without escapes is a part of the line.
func (r *picking) text() (string, bool) {
	if !r.take('"') {
		return "", false
	}
	start, escaped := r.i, false
	for ; r.i < len(r.s); r.i++ {
		switch c := r.s[r.i]; {
		case c == '"':
			raw := r.s[start:r.i]
			r.i++
			if !escaped {
				return raw, true
			}
			var v string
			err := json.Unmarshal([]byte(r.s[start-1:r.i]), &v)
			return v, err == nil
		case c == '\\':
			escaped = true
			r.i++
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// number reads a number. It is written without an exponent, and whole numbers
// without a point.
func (r *picking) number() (string, bool) {
	start := r.i
	r.take('-')
	if !r.take('0') && !r.digits() {
		return "", false
	}
	pointed := r.take('.')
	if pointed && !r.digits() {
		return "", false
	}
	if c := r.at(); c != 'e' && c != 'E' {
		v := r.s[start:r.i]
		if pointed {
			v = strings.TrimSuffix(strings.TrimRight(v, "0"), ".")
		}
		return v, true
	}
	r.i++
	if c := r.at(); c == '+' || c == '-' {
		r.i++
	}
	if !r.digits() {
		return "", false
	}
	f, err := strconv.ParseFloat(r.s[start:r.i], 64)
	if err != nil { // no float is as large, and nothing that is looked for
		return "", true
	}
	return strconv.FormatFloat(f, 'f', -1, 64), true
}

// digits reads at least one digit.
func (r *picking) digits() bool {
	start := r.i
	for c := r.at(); c >= '0' && c <= '9'; c = r.at() {
		r.i++
	}
	return r.i > start
}
