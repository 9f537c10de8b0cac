package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ohler55/ojg/jp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The bounds of journeys.
const (
	maxSteps       = 100
	maxJourneyFile = 1 << 20
	maxJourneyTime = 10 * time.Minute
	leastMasked    = 4 // bytes of a value: less comes everywhere
)

// placeholder is {{NAME}}. Anything else in braces is itself, since pages and
// bodies are full of them.
var placeholder = regexp.MustCompile(`\{\{([A-Za-z0-9][A-Za-z0-9._-]{0,63})\}\}`)

// validateJourneys checks the journeys, and that those exist that are named.
func (f *File) validateJourneys(c *checker) {
	for _, name := range sorted(f.Journeys) {
		path := join("journeys", name)
		c.name(path, "journey", name)
		c.journey(path, f.Journeys[name])
	}
	for _, name := range sorted(f.Services) {
		c.journeys(join("services", name)+".journeys", f.Services[name].Journeys)
		c.grpcNeedsHTTP2(join("services", name)+".journeys", f.Services[name])
		c.journeysArrive(join("services", name)+".journeys", name)
	}
	for _, name := range sorted(f.Policies) {
		for i, s := range f.Policies[name].Stages {
			if s.Probe != nil {
				c.journeys(index(join("policies", name)+".stages", i)+".probe.journeys", s.Probe.Journeys)
			}
		}
	}
}

// journeys checks names of journeys.
func (c *checker) journeys(path string, names []string) {
	distinct(c, path, names)
	known := sorted(c.f.Journeys)
	for i, name := range names {
		switch at := index(path, i); {
		case !isName(name):
			c.name(at, "journey", name)
		case !slices.Contains(known, name):
			c.fail(at, wantJourney(name, known), "there is no journey %s", quote(name))
		}
	}
}

// journeysArrive refuses journeys of a service that no host is known for, by which
// their requests would come to it.
func (c *checker) journeysArrive(path, service string) {
	for _, r := range c.f.Routes {
		if r.Service == service && (len(r.Hosts) == 0 || slices.ContainsFunc(r.Hosts, func(h string) bool { return !strings.HasPrefix(h, "*") })) {
			return
		}
	}
	for i, name := range c.f.Services[service].Journeys {
		if j := c.f.Journeys[name]; j != nil && j.Host == "" && !j.Direct {
			c.fail(index(path, i), "give the journey a host, or direct: true", "%s has no host, and no route to the service has one without a wildcard", quote(name))
		}
	}
}

func wantJourney(name string, known []string) string {
	if len(known) == 0 {
		return "declare it under journeys"
	}
	return suggest(name, known)
}

func (c *checker) journey(path string, j *Journey) {
	if j.Host != "" && !isHost(strings.ToLower(j.Host)) {
		c.fail(path+".host", "want a name such as shop.example.com", "%s is not a host", quote(j.Host))
	}
	c.ranged(path+".timeout", j.Timeout, 100*time.Millisecond, maxJourneyTime)
	known := map[string]bool{} // what {{NAME}} may name
	for _, name := range sorted(j.Variables) {
		c.name(join(path+".variables", name), "variable", name)
		known[name] = true
	}
	for _, name := range sorted(j.Secrets) {
		at := join(path+".secrets", name)
		if _, inFile := j.SecretFiles[name]; inFile {
			at = join(path+".secret_files", name)
		}
		c.name(at, "secret", name)
		if known[name] {
			c.fail(at, "keep one", "%s is a variable already", name)
		}
		if n := j.Secrets[name].Len(); n < leastMasked {
			c.fail(at, fmt.Sprintf("want at least %d, since less can't be masked", leastMasked), "the secret has %d bytes", n)
		}
		known[name] = true
	}
	for name := range j.SecretFiles {
		known[name] = true // also where it could not be read, which is said
	}
	switch n := len(j.Steps); {
	case n == 0 && !c.unsure(path+".steps"):
		c.fail(path, "want steps: [{path: /}]", "the journey has no step")
	case n > maxSteps:
		c.fail(path+".steps", fmt.Sprintf("want at most %d", maxSteps), "%d steps are too many", n)
	}
	names := make([]string, len(j.Steps))
	for i := range j.Steps {
		names[i] = j.Steps[i].Name
		c.step(index(path+".steps", i), &j.Steps[i], known)
	}
	distinct(c, path+".steps", names)
}

// step checks one step; known are the names of values that it may use, and gains
// those that it captures.
func (c *checker) step(path string, s *JourneyStep, known map[string]bool) {
	c.name(path+".name", "step", s.Name)
	c.ranged(path+".timeout", s.Timeout, 10*time.Millisecond, maxJourneyTime)
	c.between(path+".retries", int64(s.Retries), 0, 10)
	c.atMost(path+".expect.latency", s.Expect.Latency, maxJourneyTime)
	if c.otherStep(path, s, known) {
		return
	}
	if !isToken(s.Method) || strings.ToUpper(s.Method) != s.Method || s.Method == "CONNECT" {
		c.fail(path+".method", "want a method in capitals, such as GET", "%s is not a method of a step", quote(s.Method))
	}
	if !strings.HasPrefix(s.Path, "/") && !strings.HasPrefix(s.Path, "{{") || hasControls(s.Path) || strings.ContainsAny(s.Path, " \t#") {
		c.fail(path+".path", `want a path with its query, such as "/cart?id={{id}}"`, "%s cannot be asked for", quote(s.Path))
	}
	c.known(path+".path", s.Path, known)
	c.stepHeaders(path+".headers", s.Headers, known)
	if s.Body != nil {
		c.body(path+".body", s.Body, known)
	}
	c.expect(path+".expect", &s.Expect, known)
	for _, name := range sorted(s.Capture) {
		c.name(join(path+".capture", name), "captured value", name)
		c.capture(join(path+".capture", name), s.Capture[name])
	}
	for name := range s.Capture {
		known[name] = true
	}
}

// ownFields are fields of a request that follow from the rest of it.
var ownFields = []string{"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive", "expect"}

func (c *checker) stepHeaders(path string, headers map[string]string, known map[string]bool) {
	for _, name := range sorted(headers) {
		at := join(path, name)
		switch lower := strings.ToLower(name); {
		case !isToken(name):
			c.fail(at, wantToken, "%s cannot name a header", quote(name))
		case slices.Contains(ownFields, lower):
			c.fail(at, "leave it out; the journey's host gives the Host", "%s follows from the rest of the request", name)
		case strings.HasPrefix(lower, "sluice-"):
			c.fail(at, "leave it out", "%s is the proxy's own word", name)
		case hasControls(headers[name]):
			c.fail(at, "take them out", "%s has control characters", quote(headers[name]))
		}
		c.known(at, headers[name], known)
	}
}

func (c *checker) body(path string, b *JourneyBody, known map[string]bool) {
	given := 0
	for _, is := range []bool{b.Text != "", b.File != "", len(b.Form) > 0, b.JSON != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		c.fail(path, "keep one", "a body is one of text, file, form and json")
	}
	c.known(path+".text", b.Text, known)
	c.known(path+".json", b.JSON, known)
	for _, name := range sorted(b.Form) {
		c.known(join(path+".form", name), b.Form[name], known)
	}
	if b.JSON != "" && !json.Valid([]byte(placeholder.ReplaceAllString(b.JSON, "x"))) {
		c.fail(path+".json", `want JSON in which {{NAME}} stands within strings, such as '{"user": "{{user}}"}'; text takes anything`, "the body is not JSON")
	}
}

func (c *checker) expect(path string, e *JourneyExpect, known map[string]bool) {
	distinct(c, path+".status", e.Status)
	for _, name := range sorted(e.Header) {
		at := join(path+".header", name)
		if !isToken(name) {
			c.fail(at, wantToken, "%s cannot name a header", quote(name))
		}
		c.pattern(at, e.Header[name])
		c.known(at, e.Header[name], known)
	}
	for i, text := range e.Contains {
		c.known(index(path+".contains", i), text, known)
	}
	for i, expr := range e.Regex {
		c.regex(index(path+".regex", i), expr)
	}
	for _, expr := range sorted(e.JSON) {
		c.jsonPath(join(path+".json", expr), expr)
		c.known(join(path+".json", expr), e.JSON[expr], known)
	}
	if e.Schema != nil {
		c.schema(path+".schema_file", e.Schema)
	}
}

func (c *checker) capture(path string, from *Capture) {
	if from == nil {
		return
	}
	given := 0
	for _, text := range []string{from.JSON, from.Header, from.Cookie, from.Regex} {
		if text != "" {
			given++
		}
	}
	if given != 1 && !c.unsure(path) {
		c.fail(path, "want one of json, header, cookie and regex, such as {json: $.token}", "a value is captured from %d places", given)
	}
	if from.JSON != "" {
		c.jsonPath(path+".json", from.JSON)
	}
	if from.Regex != "" {
		c.regex(path+".regex", from.Regex)
	}
	for _, f := range []struct{ key, name string }{{".header", from.Header}, {".cookie", from.Cookie}} {
		if f.name != "" && !isToken(f.name) {
			c.fail(path+f.key, wantToken, "%s cannot name one", quote(f.name))
		}
	}
}

// known refuses {{NAME}} of values that are not there when the text is used.
func (c *checker) known(path, text string, known map[string]bool) {
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		if !known[m[1]] {
			c.fail(path, "want a variable, a secret, or a value that an earlier step captures", "nothing is named %s here", m[1])
		}
	}
}

func (c *checker) regex(path, expr string) {
	if _, err := regexp.Compile(expr); err != nil || expr == "" {
		c.fail(path, "want an expression of RE2, such as 'order [0-9]+'", "%s is no regular expression", quote(expr))
	}
}

func (c *checker) jsonPath(path, expr string) {
	if _, err := jp.ParseString(expr); err != nil || !strings.HasPrefix(expr, "$") {
		c.fail(path, "want a path such as $.items[0].price", "%s is no JSON path", quote(expr))
	}
}

// schemaURL is what a schema refers to itself by.
const schemaURL = "file:///schema.json"

// schema checks that a file is a JSON Schema that needs no other.
func (c *checker) schema(path string, text []byte) {
	const want = "want a JSON Schema that refers to no other file"
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		c.fail(path, want, "the schema is not JSON")
		return
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(jsonschema.SchemeURLLoader{})
	if err = compiler.AddResource(schemaURL, doc); err == nil {
		_, err = compiler.Compile(schemaURL)
	}
	if err != nil {
		c.fail(path, want, "the schema cannot be used")
	}
}

// ranged checks the range of a duration.
func (c *checker) ranged(path string, d, least, most time.Duration) {
	if d < least || d > most {
		c.fail(path, fmt.Sprintf("want %v to %v", least, most), "%v is out of range", d)
	}
}
