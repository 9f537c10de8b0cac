package configs

import "strings"

// maxRules bounds the rules of a service: a request that no rule takes is held
// against all of them.
const maxRules = 1000

func (c *checker) rules(path string, s *Service) {
	if len(s.Rules) > maxRules {
		c.fail(path, "split by a header, cookie or query parameter instead of listing its values", "%d rules are more than %d", len(s.Rules), maxRules)
		return
	}
	names := map[string]int{}
	taken := make([]Match, len(s.Rules))
	for i := range s.Rules {
		r, at := &s.Rules[i], index(path, i)
		c.name(at+".name", "rule", r.Name)
		if first, ok := names[r.Name]; ok && r.Name != "" {
			c.fail(at+".name", "give each a name of its own", "%s is the name of rules[%d] too", quote(r.Name), first)
		} else {
			names[r.Name] = i
		}
		c.match(at+".match", &r.Match)
		c.target(at, r, s)
		taken[i] = r.takes()
		for j := range i {
			if covers(&taken[j], &taken[i]) {
				c.fail(at, "move it up, or narrow the other", "rule %s never decides: rule %s before it takes every request that it matches, for example %s",
					quote(r.Name), quote(s.Rules[j].Name), exampleRequest(&taken[i]))
				break
			}
		}
	}
}

// target checks what a rule leads to.
func (c *checker) target(path string, r *Rule, s *Service) {
	switch {
	case r.Version != "" && r.Split != nil:
		c.fail(path, "keep one of them", "the rule leads to a version and to a split")
	case r.Version == "" && r.Split == nil:
		c.fail(path, "add version: NAME, or split: {by: KEY, weights: {…}}", "the rule leads nowhere")
	case r.Version != "":
		c.version(path+".version", r.Version, s)
	default:
		if r.Dark && r.Split.By.Kind == SplitRandom && s.Pin.By.Kind != PinNone {
			c.fail(path+".split", "add by: header:NAME, cookie:NAME, query:NAME or client_ip",
				"a random split makes pins, and a pin never reaches a dark version, so that it cannot be dark")
		}
		sum := 0
		for _, name := range sorted(r.Split.Weights) {
			at := join(path+".split.weights", name)
			c.version(at, name, s)
			c.between(at, int64(r.Split.Weights[name]), 0, maxWeight)
			sum += max(0, r.Split.Weights[name])
		}
		if sum == 0 {
			c.fail(path+".split.weights", "give at least one version a weight above 0", "the split has no weight")
		}
	}
}

func (c *checker) version(path, name string, s *Service) {
	if _, ok := s.Versions[name]; !ok {
		c.fail(path, suggest(name, sorted(s.Versions)), "the service has no version %s", quote(name))
	}
}

func (c *checker) match(path string, m *Match) {
	seen := map[string]bool{}
	for _, name := range sorted(m.Header) {
		at := join(path+".header", name)
		if !isToken(name) {
			c.fail(at, wantToken, "%s cannot name a header", quote(name))
		}
		if lower := strings.ToLower(name); seen[lower] {
			c.fail(at, "keep one", "the header %s is named twice; capitals make no difference", quote(name))
		} else {
			seen[lower] = true
		}
		c.pattern(at, m.Header[name])
		c.trimmed(at, m.Header[name])
	}
	for _, name := range sorted(m.Cookie) {
		if !isToken(name) {
			c.fail(join(path+".cookie", name), wantToken, "%s cannot name a cookie", quote(name))
		}
		c.pattern(join(path+".cookie", name), m.Cookie[name])
		c.trimmed(join(path+".cookie", name), m.Cookie[name])
		if strings.Contains(m.Cookie[name], ";") {
			c.fail(join(path+".cookie", name), "take it out", "no value of a cookie has a semicolon")
		}
	}
	for _, name := range sorted(m.Query) {
		if name == "" || hasControls(name) {
			c.fail(join(path+".query", name), "want the name of a parameter", "%s cannot name a query parameter", quote(name))
		}
		c.pattern(join(path+".query", name), m.Query[name])
	}
	if m.Path != "" {
		c.path(path+".path", m.Path)
	}
	if m.Method != "" && (!isToken(m.Method) || strings.ToUpper(m.Method) != m.Method) {
		c.fail(path+".method", "want a method in capitals, such as GET", "%s is not a method", quote(m.Method))
	}
}

// trimmed refuses a value that none is ever equal to: the space around a
// header's value is not part of it (RFC 9110, section 5.5).
func (c *checker) trimmed(path, pattern string) {
	if strings.Trim(pattern, " \t") != pattern {
		c.fail(path, "take it out", "%s has white space around it, which no value has", quote(pattern))
	}
}

// pattern checks the value of a match.
func (c *checker) pattern(path, pattern string) {
	const want = `want an exact value, "*" for any, or "abc*" for a prefix`
	switch {
	case pattern == "":
		c.fail(path, want, "the value to match is empty")
	case strings.Contains(strings.TrimSuffix(pattern, "*"), "*"):
		c.fail(path, want, `%s has a "*" before its end`, quote(pattern))
	case hasControls(pattern):
		c.fail(path, want, "%s has control characters", quote(pattern))
	}
}
