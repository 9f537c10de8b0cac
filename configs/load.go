package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Load reads a file, with the environment of the process. Its error is Errors,
// wrapped with the path, or tells why the file could not be read.
func Load(path string) (*File, error) {
	f, _, err := load(path, os.LookupEnv)
	return f, err
}

// load returns the sources even where it fails, for a watcher to wait for them.
func load(path string, getenv func(string) (string, bool)) (*File, sources, error) {
	src := sources{}
	data, _, err := src.read(path, maxFile)
	if err != nil {
		return nil, src, fmt.Errorf("%s: cannot read it: %w", path, err)
	}
	f, err := parse(path, data, getenv, src)
	return f, src, err
}

// Parse reads a file from memory. Relative paths in it are relative to the
// directory of name, which need not exist; the certificates, keys and secrets
// that it names must. Its error is Errors, wrapped with name. Nothing but
// getenv gives variables; nil: none is set.
func Parse(name string, data []byte, getenv func(string) (string, bool)) (*File, error) {
	if getenv == nil {
		getenv = func(string) (string, bool) { return "", false }
	}
	return parse(name, data, getenv, sources{})
}

func parse(name string, data []byte, getenv func(string) (string, bool), src sources) (*File, error) {
	file := DefaultFile()
	f := &file
	f.name, f.getenv, f.sources = name, getenv, src
	errs := f.decode(data)
	if f.lines != nil { // else there is nothing to complete
		c := newChecker(f, errs)
		f.complete(c)
		f.validate(c)
		errs, f.Warnings = c.errs, c.warnings
	}
	if len(errs) > 0 {
		errs.sort()
		return nil, fmt.Errorf("%s: %w", name, errs)
	}
	Errors(f.Warnings).sort()
	return f, nil
}

// decode lays the text onto f. Lines stay nil where it is no YAML, not a
// mapping, or too long: then there is nothing to validate.
func (f *File) decode(data []byte) Errors {
	if len(data) > maxFile {
		return Errors{{Msg: fmt.Sprintf("the file is longer than %d bytes", maxFile)}}
	}
	root, err := document(data)
	if err != nil {
		return Errors{*err}
	}
	d := &decoder{getenv: f.getenv, lines: map[string]int{}}
	d.value(root, "", reflect.ValueOf(f).Elem())
	if root.Kind == yaml.MappingNode && d.visited <= maxNodes {
		f.lines = d.lines
	}
	return d.errs
}

const wantFile = `the least file is: services: {web: {versions: {v1: {endpoints: ["127.0.0.1:9001"], weight: 100}}}}`

// document returns the only document of a file.
func document(data []byte) (root *yaml.Node, failure *Error) {
	// The parser is not ours. Whatever it makes of a hostile file, a running
	// proxy that reloads must survive it.
	defer func() {
		if r := recover(); r != nil {
			root, failure = nil, &Error{Msg: fmt.Sprintf("the YAML parser failed: %v", r)}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Error{Msg: "the file is empty", Want: wantFile}
	case err != nil:
		return nil, syntaxError(err)
	case len(doc.Content) == 0 || isNull(doc.Content[0]):
		return nil, &Error{Msg: "the file is empty", Want: wantFile}
	}
	switch err := dec.Decode(&more); {
	case errors.Is(err, io.EOF):
		return doc.Content[0], nil
	case err != nil:
		return nil, syntaxError(err)
	}
	return nil, &Error{Line: more.Line, Msg: "the file holds more than one document", Want: `take out what follows "---"`}
}

// syntaxError takes the line out of the parser's message.
func syntaxError(err error) *Error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	e := &Error{Msg: msg}
	if m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(msg); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Msg = strings.TrimPrefix(msg, m[0])
	}
	e.Msg = "not valid YAML: " + e.Msg
	return e
}
