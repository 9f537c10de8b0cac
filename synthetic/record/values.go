package record

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// values knows what requests must not repeat as it was: what an earlier answer
// gave, and secrets.
type values struct {
	j       *Journey
	answers []*given // of the steps so far
	at      int      // the step that is being made
	known   map[string]string
	leads   map[string]string // targets of redirects that were captured
	literal map[string]int    // what is sent as it was: value and the first step that does
	names   map[string]bool
	hidden  map[string]bool   // of the names, those of secrets
	secrets map[string]string // name by value, known from before or found
	envs    []string
	budget  int // bytes of pages that may still be searched
}

// searched bounds the bytes of pages that are searched, all searches together: a
// recording that asks for more is made to.
const searched = 4 << 30

func newValues(j *Journey, secrets map[string]string) *values {
	if secrets = maps.Clone(secrets); secrets == nil {
		secrets = map[string]string{}
	}
	return &values{j: j, secrets: secrets, known: map[string]string{}, leads: map[string]string{}, literal: map[string]int{},
		names: map[string]bool{}, hidden: map[string]bool{}, budget: searched}
}

// slot is a value of a request: of a form, a query, a head, a body, a path.
type slot struct {
	name  string // of the value; "id" for a part of a path that looks like one
	value string
	// before is the part of the path that stands before one that looks like an id.
	before string
	whole  bool // the value can only be replaced whole: it is a number of JSON
	raw    bool // it is sent as it stands in the path: only what needs no escapes can be captured
}

// replace returns what the journey sends in place of a value.
func (v *values) replace(s slot) string {
	if s.value == "" {
		return ""
	}
	if name, ok := v.known[s.value]; ok && (!s.raw || isPlain(s.value) || v.hidden[name]) && (v.hidden[name] || isMade(s.value) || isID(s.name)) {
		return "{{" + name + "}}"
	}
	if name := v.capture(s); name != "" {
		return "{{" + name + "}}"
	}
	if name := cmp.Or(v.secrets[s.value], s.name); isSecretName(s.name) || token.MatchString(s.value) || v.secrets[s.value] != "" {
		return "{{" + v.secret(name, s.value) + "}}"
	}
	v.sends(s.value)
	if s.whole {
		return s.value
	}
	return v.within(s.value)
}

// token is a JSON web token (RFC 7519), wherever it stands.
var token = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)

// sends remembers that a value is sent as it was: an answer that has it later only
// repeats it.
func (v *values) sends(value string) {
	if _, ok := v.literal[value]; !ok {
		v.literal[value] = v.at
	}
}

// leastWithin is how long a known value must be to be looked for within others,
// and leastHidden how long a secret.
const (
	leastWithin = 12
	leastHidden = 6
)

// placeholder is what journeys replace.
var placeholder = regexp.MustCompile(`\{\{([A-Za-z0-9][A-Za-z0-9._-]{0,63})\}\}`)

// within replaces known values that are a part of a text, and protects what only
// looks like a name of one.
func (v *values) within(text string) string {
	if len(text) < leastHidden {
		return v.braces(text)
	}
	for _, value := range slices.Sorted(maps.Keys(v.secrets)) {
		name := v.secrets[value]
		if len(value) >= leastHidden && v.known[value] == "" && strings.Contains(text, value) {
			v.secret(name, value)
		}
	}
	var pairs []string // the longest value first, so that none is found within another
	if placeholder.MatchString(text) {
		pairs = append(pairs, "{{", "{{"+v.variable("braces", "{{")+"}}")
	}
	for _, value := range slices.SortedFunc(maps.Keys(v.known), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) {
		if name := v.known[value]; len(value) >= leastWithin || len(value) >= leastHidden && v.hidden[name] {
			pairs = append(pairs, value, "{{"+name+"}}")
		}
	}
	return strings.NewReplacer(pairs...).Replace(text) // which does not look at what it has put in
}

// braces protects what only looks like the name of a value.
func (v *values) braces(text string) string {
	if placeholder.MatchString(text) {
		return strings.ReplaceAll(text, "{{", "{{"+v.variable("braces", "{{")+"}}")
	}
	return text
}

// secret gives a value that must not be written a name, by which the journey gets
// it from the environment.
func (v *values) secret(name, value string) string {
	if known, ok := v.known[value]; ok {
		return known
	}
	name = v.unique(cmp.Or(name, "secret"))
	v.secrets[value] = name
	env := envName(v.j.name + "_" + name)
	v.envs = append(v.envs, env)
	if len(value) < leastSecret {
		v.j.variables = append(v.j.variables, setting{name, "${" + env + "}"})
	} else {
		v.j.secrets = append(v.j.secrets, setting{name, "${" + env + "}"})
	}
	v.known[value], v.hidden[name] = name, true
	return name
}

// leastSecret is how long a secret of a journey must be.
const leastSecret = 4

// variable gives a text a name.
func (v *values) variable(name, value string) string {
	for _, s := range v.j.variables {
		if s.value == value {
			return s.name
		}
	}
	name = v.unique(name)
	v.j.variables = append(v.j.variables, setting{name, value})
	return name
}

// capture looks for a value in the earlier answers. It returns the name under
// which the step that had it captures it; "": none had it.
func (v *values) capture(s slot) string {
	if s.raw && !isPlain(s.value) || len(s.value) > maxCaptured || !isMade(s.value) && !isID(s.name) {
		return ""
	}
	for j, g := range v.answers {
		if first, sent := v.literal[s.value]; sent && first <= j {
			return "" // it is the client's own
		}
		c, ok := g.find(s, &v.budget)
		if !ok {
			continue
		}
		c.name = v.unique(cmp.Or(c.name, s.name, "value"))
		v.j.steps[j].captures = append(v.j.steps[j].captures, c)
		v.known[s.value] = c.name
		return c.name
	}
	return ""
}

// unique makes a name that no other value has.
func (v *values) unique(name string) string {
	name = clean(name, "value")
	for n, base := 2, name; v.names[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	v.names[name] = true
	return name
}

// environment tells what must be set before the journey can run.
func (v *values) environment() []string {
	if len(v.envs) == 0 {
		return nil
	}
	return []string{"to be set in the environment: " + strings.Join(v.envs, ", ")}
}

// secretName is a name of what must not be written in clear.
var secretName = regexp.MustCompile(`(?i)^pass$|pass(word|wd|phrase|code)|passwd|pwd|secret|token|csrf|xsrf|nonce|otp$|^otp|(^|[^a-z])pin([^a-z]|$)|cvv|cvc|card[._-]?n|iban|(api|access|private)[._-]?key` +
	`|(^|[._-])auth([._-]|$)|authoriz|authentic|session([._-]?(id|key))?$|^s?sid$|^jwt$|signature|credential|saml`)

func isSecretName(name string) bool { return secretName.MatchString(name) }

// isPlain tells whether a value means the same with and without escapes in a URL.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return !isAlnum(c) && !strings.ContainsRune("-._~", c) })
}

// clean makes a name of a journey, step or value.
func clean(name, otherwise string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		if !isAlnum(c) && c != '.' && c != '_' {
			c = '-'
		}
		if c == '-' && (b.Len() == 0 || strings.HasSuffix(b.String(), "-")) {
			continue
		}
		if b.Len() < 48 {
			b.WriteRune(c)
		}
	}
	if name = strings.Trim(b.String(), "._-"); name == "" {
		return otherwise
	}
	return name
}

// envName makes the name of an environment variable.
func envName(name string) string {
	name = strings.Map(func(c rune) rune {
		if isAlnum(c) {
			return c
		}
		return '_'
	}, strings.ToUpper(name))
	if name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
