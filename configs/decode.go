package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds the values that one file can come to once its aliases are
// followed. A file of 10,000 services with five versions each has half of it.
const maxNodes = 1_000_000

// decoder lays YAML nodes onto Go values, strictly. It follows the schema, not
// the file, so that its depth is bounded by the schema's even where an alias
// contains itself.
type decoder struct {
	getenv  func(string) (string, bool)
	lines   map[string]int // of every path that the file spells out
	errs    Errors
	visited int
}

// defaulter is a type whose elements in lists and maps start from a default.
type defaulter interface{ setDefaults() }

func (d *decoder) fail(line int, path, want, format string, args ...any) {
	if len(d.errs) < maxErrors {
		d.errs = append(d.errs, Error{line, path, fmt.Sprintf(format, args...), want})
	}
}

// value decodes one node of any kind.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value) {
	if d.visited++; d.visited > maxNodes {
		if d.visited == maxNodes+1 {
			d.fail(n.Line, path, "use fewer aliases", "the file comes to more than %d values", maxNodes)
		}
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.fail(n.Line, path, "leave the tag out", "YAML tag %s is not supported", quote(n.Tag))
		return
	}
	switch {
	case isScalar(v) && !isLongForm(n, v):
		d.scalar(n, path, v)
	case v.Kind() == reflect.Pointer:
		d.pointer(n, path, v)
	case isNull(n): // a section whose content is commented out
	case v.Kind() == reflect.Struct:
		d.structure(n, path, v)
	case v.Kind() == reflect.Map:
		d.dictionary(n, path, v)
	default:
		d.sequence(n, path, v)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// kind checks that a node is of the kind that the schema asks for.
func (d *decoder) kind(n *yaml.Node, path string, want yaml.Kind) bool {
	if n.Kind == want {
		return true
	}
	examples := map[yaml.Kind]string{
		yaml.ScalarNode:   "a single value",
		yaml.SequenceNode: "a list, such as [a, b]",
		yaml.MappingNode:  "a mapping, such as {key: value}",
	}
	names := map[yaml.Kind]string{yaml.ScalarNode: "a single value", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
	d.fail(n.Line, path, "want "+examples[want], "this is %s", names[n.Kind])
	return false
}

// pointer decodes what may be left out. Unlike a section it may not be empty:
// "tls:" with nothing below it would quietly turn TLS off.
func (d *decoder) pointer(n *yaml.Node, path string, v reflect.Value) {
	if isNull(n) && v.Type() != reflect.TypeFor[*Service]() && v.Type() != reflect.TypeFor[*Version]() {
		d.fail(n.Line, path, "fill it or leave the key out", "nothing is given")
		return
	}
	v.Set(fresh(v.Type().Elem()))
	d.value(n, path, v.Elem())
}

// fresh returns a pointer to a new value with its defaults.
func fresh(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if def, ok := v.Interface().(defaulter); ok {
		def.setDefaults()
	}
	return v
}

// entries calls f for each key and value of a mapping, having checked that the
// key is a plain word that comes once.
func (d *decoder) entries(n *yaml.Node, path string, f func(key string, line int, value *yaml.Node)) {
	if !d.kind(n, path, yaml.MappingNode) {
		return
	}
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch at := first[key.Value]; {
		case key.Kind != yaml.ScalarNode || isNull(key) || key.Style&yaml.TaggedStyle != 0:
			d.fail(key.Line, path, "want a plain word before the colon", "this key is not a word")
		case key.Tag == "!!merge":
			d.fail(key.Line, path, "spell the keys out, or alias a whole value", `merge keys ("<<") are not supported`)
		case at != 0:
			d.fail(key.Line, join(path, key.Value), "keep one", "the key is given twice, first on line %d", at)
		default:
			first[key.Value] = key.Line
			f(key.Value, key.Line, value)
		}
	}
}

// structure decodes a mapping whose keys the schema knows.
func (d *decoder) structure(n *yaml.Node, path string, v reflect.Value) {
	given := map[string]bool{}
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		given[n.Content[i].Value] = true
	}
	d.entries(n, path, func(key string, line int, value *yaml.Node) {
		field := fieldOf(v, key)
		if !field.IsValid() {
			known := keysOf(v.Type())
			d.fail(line, join(path, key), suggest(key, known), "unknown key")
			// The value is read as what was meant, so that its own errors are
			// reported at once and no other error follows from its absence.
			key = nearest(key, known)
			if key == "" || given[key] {
				return
			}
			field = fieldOf(v, key)
		}
		d.lines[join(path, key)] = line
		d.value(value, join(path, key), field)
	})
}

// dictionary decodes a mapping whose keys are names, or other scalars.
func (d *decoder) dictionary(n *yaml.Node, path string, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(n, path, func(key string, line int, value *yaml.Node) {
		at := join(path, key)
		d.lines[at] = line
		element := reflect.New(v.Type().Elem()).Elem()
		if element.Kind() == reflect.Pointer {
			element.Set(fresh(element.Type().Elem())) // never nil, even where decoding fails
		}
		d.value(value, at, element)
		name := reflect.New(v.Type().Key()).Elem()
		if err := setText(name, key); err != nil {
			d.problem(line, at, err)
			return
		}
		if v.MapIndex(name).IsValid() {
			d.fail(line, at, "keep one", "the key is given twice, in other words")
		}
		v.SetMapIndex(name, element)
	})
}

// sequence decodes a list.
func (d *decoder) sequence(n *yaml.Node, path string, v reflect.Value) {
	if !d.kind(n, path, yaml.SequenceNode) {
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
	for i, item := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.lines[at] = item.Line
		if isNull(item) {
			d.fail(item.Line, at, "fill it or take it out", "this item of the list is empty")
			continue
		}
		element := fresh(v.Type().Elem())
		d.value(item, at, element.Elem())
		v.Set(reflect.Append(v, element.Elem()))
	}
}

// scalar decodes a single value from its text: types come from the schema, not
// from what YAML makes of the text, so that a tag 0123 stays "0123".
func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value) {
	if !d.kind(n, path, yaml.ScalarNode) {
		return
	}
	if isNull(n) {
		d.fail(n.Line, path, "give one or leave the key out", "no value is given")
		return
	}
	text, err := expand(n.Value, d.getenv)
	if err == nil {
		err = setText(v, text)
	}
	if err != nil {
		d.problem(n.Line, path, err)
	}
}

// problem reports what is wrong with a text.
func (d *decoder) problem(line int, path string, err error) {
	p := &problem{msg: err.Error()}
	errors.As(err, &p)
	d.fail(line, path, p.want, "%s", p.msg)
}

// isScalar tells whether a Go value is written as one scalar.
func isScalar(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case textDecoder, *netip.Prefix:
		return true
	}
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return false
}

// isLongForm tells whether a value that may be written as one scalar is written
// as a mapping instead.
func isLongForm(n *yaml.Node, v reflect.Value) bool {
	return n.Kind == yaml.MappingNode && v.Kind() == reflect.Struct && len(keysOf(v.Type())) > 0
}

// setText stores a scalar's text in a Go value.
func setText(v reflect.Value, text string) (err error) {
	switch p := v.Addr().Interface().(type) {
	case textDecoder:
		return p.decodeText(text)
	case enum:
		return setEnum(v, p, text)
	case *time.Duration:
		*p, err = parseDuration(text)
		return err
	case *netip.Prefix:
		*p, err = parsePrefix(text)
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return problemf("want true or false", "%s is neither true nor false", quote(text))
		}
		v.SetBool(text == "true")
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return problemf("want a number such as 0.01", "%s is not a number", quote(text))
		}
		v.SetFloat(f)
	default:
		i, err := strconv.Atoi(text)
		if err != nil {
			return problemf("want a number such as 100", "%s is not a whole number", quote(text))
		}
		v.SetInt(int64(i))
	}
	return nil
}

// fieldOf returns the field of a struct that a key names.
func fieldOf(v reflect.Value, key string) reflect.Value {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "-" && tag != "" {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// keysOf returns the keys that a struct knows.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
			keys = append(keys, tag)
		}
	}
	return keys
}

// join appends a key to a path. Keys that would make the path ambiguous are
// quoted: services.web.versions["v1.2"].
func join(path, key string) string {
	plain := key != ""
	for i := range len(key) {
		if c := key[i]; !isLetter(c) && !isDigit(c) && c != '_' && c != '-' {
			plain = false
		}
	}
	switch {
	case !plain:
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// parent cuts the last key or index off a path.
func parent(path string) string {
	if inner, ok := strings.CutSuffix(path, `"]`); ok {
		if at := strings.LastIndex(inner, `["`); at >= 0 {
			return inner[:at]
		}
	}
	if at := strings.LastIndexAny(path, ".["); at >= 0 {
		return path[:at]
	}
	return ""
}
