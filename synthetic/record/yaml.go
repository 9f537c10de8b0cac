package record

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// WriteYAML writes the journey as a part of a file of Sluice. From tells where it
// is from.
func (j *Journey) WriteYAML(w io.Writer, from string) error {
	notes := append([]string{"Recorded from " + from + ": look through it, and give it to a service by journeys: [" + j.name + "]."}, j.notes...)
	var b bytes.Buffer
	for _, note := range notes {
		b.WriteString("# " + plain(note) + "\n")
	}
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	root := block("journeys", block(j.name, j.node()))
	if err := e.Encode(root); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (j *Journey) node() *yaml.Node {
	n := block()
	if j.host != "" {
		put(n, "host", text(j.host))
	}
	for _, part := range []struct {
		key string
		all []setting
	}{{"variables", j.variables}, {"secrets", j.secrets}} {
		values := block()
		for _, s := range part.all {
			value := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s.value, Style: yaml.DoubleQuotedStyle}
			put(values, s.name, value)
		}
		if len(part.all) > 0 {
			put(n, part.key, values)
		}
	}
	steps := &yaml.Node{Kind: yaml.SequenceNode}
	for _, s := range j.steps {
		steps.Content = append(steps.Content, s.node())
	}
	put(n, "steps", steps)
	return n
}

func (s *step) node() *yaml.Node {
	n := block("name", text(s.name))
	if s.method != "GET" {
		put(n, "method", text(s.method))
	}
	put(n, "path", text(s.path))
	if len(s.headers) > 0 {
		put(n, "headers", fieldsNode(s.headers))
	}
	switch b := &s.body; {
	case len(b.form) > 0:
		put(n, "body", block("form", fieldsNode(b.form)))
	case b.json != "":
		put(n, "body", block("json", text(b.json)))
	case b.text != "":
		put(n, "body", text(b.text))
	}
	status := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: strconv.Itoa(s.status)}}}
	expect := block("status", status)
	if s.kind != "" {
		put(expect, "header", block("Content-Type", text(s.kind+"*")))
	}
	expect.Style = yaml.FlowStyle
	put(n, "expect", expect)
	if len(s.captures) > 0 {
		captures := block()
		for _, c := range s.captures {
			from := block()
			for _, f := range []setting{{"json", c.json}, {"header", c.header}, {"cookie", c.cookie}, {"regex", c.regex}} {
				if f.value != "" {
					put(from, f.name, text(f.value))
				}
			}
			from.Style = yaml.FlowStyle
			put(captures, c.name, from)
		}
		put(n, "capture", captures)
	}
	for _, c := range s.comments {
		n.HeadComment += "# " + plain(c) + "\n"
	}
	return n
}

// block returns a mapping of keys and nodes.
func block(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		put(n, pairs[i].(string), pairs[i+1].(*yaml.Node))
	}
	return n
}

func put(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
}

// text returns a value of the file, in which "${" is no variable.
func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ReplaceAll(s, "${", "$${")}
}

func fieldsNode(fields []Field) *yaml.Node {
	n := block()
	for _, f := range fields {
		put(n, f.Name, text(f.Value))
	}
	return n
}

// plain makes a comment of a text from a recording.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}

// readJSON reads a text that holds one value of JSON, as journeys read bodies.
func readJSON(body []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return nil, false
	}
	return v, true
}

// textOf writes a value as a journey captures it.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		if n, err := v.Int64(); err == nil && strconv.FormatInt(n, 10) == v.String() {
			return v.String() // others are written in another form
		}
	}
	return ""
}
