// Package journey runs journeys: requests in order against one version of a
// service, with what is expected of their answers and values that later requests
// use. A run reads at most MaxBody bytes of any answer, ends within its time, and
// keeps what was exchanged with secrets masked.
package journey

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/ohler55/ojg/jp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// MaxBody is how many bytes of an answer's body are read. What an expectation or
// a capture looks for must be found in them; a longer body fails the step then.
const MaxBody = 1 << 20

// Spec is a journey as it is written. Paths, values of headers, bodies and
// expectations, regular expressions apart, may hold {{NAME}}.
type Spec struct {
	Name    string
	Host    string            // the Host of its requests; "": the target's
	Timeout time.Duration     // of a run; above 0
	Direct  bool              // for who runs it: endpoints are asked, and not the proxy before them
	Values  map[string]string // by name
	Secrets map[string]string // by name; masked wherever they would be shown
	Steps   []Step
}

// Step is one request, and what comes of it; or a handshake, or a gRPC health
// check, where TLS or GRPC says so.
type Step struct {
	Name    string
	TLS     *TLS  // of the rest, Expect.Latency, Timeout and Retries hold
	GRPC    *GRPC // see there
	Method  string
	Path    string // with the query
	Headers map[string]string
	Body    Body
	Expect  Expect
	Capture []Capture
	Timeout time.Duration // of one try; above 0
	Retries int           // further tries where one didn't pass
}

// Body is what a step sends: one of these.
type Body struct {
	Text    string
	Content []byte // sent as it is
	Form    map[string]string
	JSON    string // {{NAME}} stands within strings
}

// Statuses is a range of statuses.
type Statuses struct{ From, To int } // both included

// Expect is what an answer must be like; all of it must hold.
type Expect struct {
	Status   []Statuses // one of these; none: any
	Header   map[string]string
	Contains []string
	Regex    []string
	JSON     map[string]string // JSON path: value, or "*" for any
	Schema   []byte            // a JSON Schema; nil: none
	Latency  time.Duration     // to the end of the body; 0: no limit
}

// Capture is a value for later steps. One of JSON, Header, Cookie and Regex says
// where it is found.
type Capture struct {
	Name                        string
	JSON, Header, Cookie, Regex string
	Show                        bool // it is no secret
}

// Journey is a Spec that is ready to run, at any time and at the same time.
type Journey struct {
	spec  Spec
	steps []step
}

// step is a Step with its expressions compiled.
type step struct {
	Step
	regex   []*regexp.Regexp
	json    []jsonWant
	schema  *jsonschema.Schema
	capture []capture
}

// jsonWant is a JSON path and the value that its first hit must have.
type jsonWant struct {
	text string
	path jp.Expr
	want string
}

type capture struct {
	Capture
	path  jp.Expr
	regex *regexp.Regexp
}

// New compiles a journey. Its error names the step whose expression is wrong.
func New(spec Spec) (*Journey, error) {
	j := &Journey{spec: spec}
	for _, s := range spec.Steps {
		c, err := compile(s)
		if err != nil {
			return nil, fmt.Errorf("journey %s, step %s: %w", spec.Name, s.Name, err)
		}
		j.steps = append(j.steps, c)
	}
	return j, nil
}

// Name returns the journey's name.
func (j *Journey) Name() string { return j.spec.Name }

// Direct reports whether endpoints are to be asked, and not the proxy before them.
func (j *Journey) Direct() bool { return j.spec.Direct }

func compile(s Step) (c step, err error) {
	if s.GRPC != nil {
		s = s.GRPC.step(s)
	}
	c.Step = s
	for _, expr := range s.Expect.Regex {
		r, err := regexp.Compile(expr)
		if err != nil {
			return c, err
		}
		c.regex = append(c.regex, r)
	}
	for text, want := range s.Expect.JSON {
		path, err := jp.ParseString(text)
		if err != nil {
			return c, fmt.Errorf("%s is no JSON path: %w", text, err)
		}
		c.json = append(c.json, jsonWant{text, path, want})
	}
	slices.SortFunc(c.json, func(a, b jsonWant) int { return bytes.Compare([]byte(a.text), []byte(b.text)) })
	if s.Expect.Schema != nil {
		if c.schema, err = compileSchema(s.Expect.Schema); err != nil {
			return c, err
		}
	}
	for _, from := range s.Capture {
		one := capture{Capture: from}
		if from.JSON != "" {
			if one.path, err = jp.ParseString(from.JSON); err != nil {
				return c, fmt.Errorf("%s is no JSON path: %w", from.JSON, err)
			}
		}
		if from.Regex != "" {
			if one.regex, err = regexp.Compile(from.Regex); err != nil {
				return c, err
			}
		}
		c.capture = append(c.capture, one)
	}
	return c, nil
}

// schemaURL is what a schema refers to itself by.
const schemaURL = "file:///schema.json"

// compileSchema compiles a schema that refers to no other: none is fetched.
func compileSchema(text []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the schema is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err = c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

// needsBody tells whether anything looks at the body of the answer.
func (s *step) needsBody() bool {
	return len(s.Expect.Contains)+len(s.regex)+len(s.json) > 0 || s.schema != nil ||
		slices.ContainsFunc(s.capture, func(c capture) bool { return c.JSON != "" || c.Regex != "" })
}

// readJSON reads a body that holds one JSON value. Numbers become int64 where
// they can, else float64, as filters of JSON paths compare them. Nesting is
// bounded by encoding/json, to 10,000.
func readJSON(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the body is not JSON: %w", err)
	}
	if d.More() {
		return nil, fmt.Errorf("the body is not JSON: more than one value")
	}
	return plain(v), nil
}

// plain replaces json.Number within v.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String() // beyond float64
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}
