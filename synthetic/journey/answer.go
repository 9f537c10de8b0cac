package journey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ohler55/ojg/jp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// answer is a response with as much of its body as is read.
type answer struct {
	*http.Response
	body []byte
	long bool // the body goes on
	took time.Duration

	parsed  any // the body as JSON, once asked for
	isJSON  bool
	jsonErr error
}

// readBody reads up to MaxBody bytes.
func (a *answer) readBody() (err error) {
	a.body, err = io.ReadAll(io.LimitReader(a.Body, MaxBody+1))
	if len(a.body) > MaxBody {
		a.body, a.long = a.body[:MaxBody], true
	}
	return err
}

// json returns the body as JSON.
func (a *answer) json() (any, error) {
	if !a.isJSON {
		a.isJSON = true
		a.parsed, a.jsonErr = readJSON(a.body)
	}
	return a.parsed, a.jsonErr
}

// first returns the first hit of a JSON path.
func (a *answer) first(text string, path jp.Expr) (any, error) {
	v, err := a.json()
	if err != nil {
		return nil, err
	}
	hits := hitsOf(path, v)
	if len(hits) == 0 {
		return nil, fmt.Errorf("%s is not in the body", text)
	}
	return hits[0], nil
}

// hitsOf returns what a path leads to; nothing where the library panics, as it does
// for a range of an empty list (found by fuzzing): there is nothing to be found then.
func hitsOf(path jp.Expr, v any) (hits []any) {
	defer func() {
		if recover() != nil {
			hits = nil
		}
	}()
	return path.Get(v)
}

// check reports in what an answer isn't as expected: in its status, or else in
// all the rest.
func (s *step) check(a *answer, v *values) error {
	is := func(r Statuses) bool { return r.From <= a.StatusCode && a.StatusCode <= r.To }
	if len(s.Expect.Status) > 0 && !slices.ContainsFunc(s.Expect.Status, is) {
		return fmt.Errorf("status %d, not %s", a.StatusCode, statusText(s.Expect.Status))
	}
	var errs []error
	if limit := s.Expect.Latency; limit > 0 && a.took > limit {
		errs = append(errs, fmt.Errorf("took %v, more than %v", a.took.Round(time.Millisecond), limit))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Expect.Header)) {
		errs = append(errs, a.checkField(name, s.Expect.Header[name], v))
	}
	if a.long && s.needsBody() {
		return errors.Join(append(errs, fmt.Errorf("the body has more than the %d bytes that are read", MaxBody))...)
	}
	for _, text := range s.Expect.Contains {
		text, err := v.fill(text, same)
		if err == nil && !bytes.Contains(a.body, []byte(text)) {
			err = fmt.Errorf("the body does not contain %q", text)
		}
		errs = append(errs, err)
	}
	for _, r := range s.regex {
		if !r.Match(a.body) {
			errs = append(errs, fmt.Errorf("the body does not match %q", r))
		}
	}
	for i := range s.json {
		errs = append(errs, a.checkJSON(&s.json[i], v))
	}
	if s.schema != nil {
		errs = append(errs, a.checkSchema(s.schema))
	}
	return errors.Join(errs...)
}

func (a *answer) checkField(name, pattern string, v *values) error {
	pattern, err := v.fill(pattern, same)
	if err != nil {
		return err
	}
	got := a.Header.Values(name)
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	if slices.ContainsFunc(got, func(s string) bool { return s == pattern || isPrefix && strings.HasPrefix(s, prefix) }) {
		return nil
	}
	if len(got) == 0 {
		return fmt.Errorf("no header %s", name)
	}
	if isSecret(name) {
		return fmt.Errorf("header %s has another value than %q", name, pattern)
	}
	return fmt.Errorf("header %s is %q, not %q", name, excerpt(got[0]), pattern)
}

func (a *answer) checkJSON(w *jsonWant, v *values) error {
	want, err := v.fill(w.want, same)
	if err != nil {
		return err
	}
	got, err := a.first(w.text, w.path)
	if err != nil || w.want == "*" || equals(got, want) {
		return err
	}
	text := excerpt(jsonOf(got))
	if isSecret(w.text) {
		text = "another value" // which may be a secret
	}
	return fmt.Errorf("%s is %s, not %s", w.text, text, want)
}

// equals compares a value with a text: a string as itself, anything else as JSON.
func equals(got any, want string) bool {
	if s, ok := got.(string); ok {
		return s == want
	}
	v, err := readJSON([]byte(want))
	return err == nil && jsonOf(v) == jsonOf(got)
}

func jsonOf(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

func (a *answer) checkSchema(schema *jsonschema.Schema) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	err = schema.Validate(v)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	why := invalid.Error()
	why = why[strings.LastIndexByte(why, '\n')+1:]
	return fmt.Errorf("the body breaks the schema: %s", excerpt(strings.TrimPrefix(why, "- ")))
}

// take captures the values of a step.
func (s *step) take(a *answer, v *values) error {
	for i := range s.capture {
		c := &s.capture[i]
		value, err := c.from(a)
		if err != nil {
			return fmt.Errorf("nothing to capture as %s: %w", c.Name, err)
		}
		if len(value) > maxValue {
			return fmt.Errorf("what would be captured as %s has %d bytes, more than %d", c.Name, len(value), maxValue)
		}
		v.set(c.Name, value, c.Show)
	}
	return nil
}

// maxValue bounds a captured value: it goes into heads.
const maxValue = 16 << 10

func (c *capture) from(a *answer) (string, error) {
	switch {
	case c.JSON != "":
		got, err := a.first(c.JSON, c.path)
		if s, ok := got.(string); ok || err != nil {
			return s, err
		}
		return jsonOf(got), nil
	case c.Header != "":
		if got := a.Header.Values(c.Header); len(got) > 0 {
			return got[0], nil
		}
		return "", fmt.Errorf("no header %s", c.Header)
	case c.Cookie != "":
		for _, cookie := range a.Cookies() {
			if cookie.Name == c.Cookie {
				return cookie.Value, nil
			}
		}
		return "", fmt.Errorf("the answer sets no cookie %s", c.Cookie)
	}
	got := c.regex.FindSubmatch(a.body)
	if got == nil {
		return "", fmt.Errorf("the body does not match %q", c.regex)
	}
	return string(got[min(1, len(got)-1)]), nil
}

func statusText(all []Statuses) string {
	var texts []string
	for _, s := range all {
		text := fmt.Sprint(s.From)
		if s.From != s.To {
			text += fmt.Sprintf("-%d", s.To)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " or ")
}

// excerpt is the beginning of a text from an answer, for a message.
func excerpt(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
