package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Shadow copies requests to another version, whose answers are compared with
// those that the clients got, and dropped.
type Shadow struct {
	// To is the version that gets copies of what the live versions answer, all the
	// time; "", the default: copies are sent in shadow stages of rollouts alone, to
	// the candidate. What follows holds for both.
	To string `yaml:"to"`
	// Share of the requests that Match takes is copied: 0.01% to 100%, default 1%.
	// A shadow stage has its own.
	Share Percent `yaml:"share"`
	Match Match   `yaml:"match"` // nothing in it: every request
	// Methods are copied; none, the default: GET, HEAD and OPTIONS. Others may change
	// something twice.
	Methods []string `yaml:"methods"`
	// Again sends a second copy to the version that answered, to tell what differs
	// between versions from what differs from one answer to the next; default true.
	// Without it every difference counts.
	Again bool `yaml:"again"`
	// AdditiveOnly allows fields and headers that the baseline lacks; default false.
	AdditiveOnly bool `yaml:"additive_only"`
	// Headers are compared, beside status and body. Left out: Content-Type and
	// Location.
	Headers []string `yaml:"headers"`
	// Ignore are fields that may differ, as a report writes them: "$.meta.took", and
	// what is below; "header etag", "status", "body".
	Ignore []string `yaml:"ignore"`
	// Secrets are parts of names of fields whose values no report shows, beside those
	// that are known.
	Secrets    []string `yaml:"secrets"`
	HideValues bool     `yaml:"hide_values"` // reports tell types and lengths alone; default false
	// MaxBody bounds bodies: a request with a longer one is not copied, of a longer
	// answer the body is not compared. 1KiB to 16MiB, default 1MiB.
	MaxBody Size `yaml:"max_body"`
	// Timeout bounds a copy as a whole; 10ms to 10m, default 10s.
	Timeout time.Duration `yaml:"timeout"`
	// Least is how many comparisons it takes to pass: 1 to 1,000,000, default 1000,
	// after which what differs in 3% of them would have been found.
	Least int `yaml:"least"`
}

// The bounds of shadows.
const (
	maxShadowBody = 16 * MiB
	maxShadowTime = 10 * time.Minute
	maxLeast      = 1_000_000
	maxShadowList = 100
)

// DefaultShadow returns what a shadow stage goes by where the service says
// nothing.
func DefaultShadow() Shadow {
	return Shadow{Share: 100, Again: true, MaxBody: MiB, Timeout: 10 * time.Second, Least: 1000}
}

func (s *Shadow) setDefaults() { *s = DefaultShadow() }

// safeMethods are copied where a shadow names none.
var safeMethods = []string{"GET", "HEAD", "OPTIONS"}

func (c *checker) shadow(path string, s *Shadow, svc *Service) {
	if s == nil {
		return
	}
	if s.To != "" {
		c.version(path+".to", s.To, svc)
	}
	if s.Share == 0 {
		c.fail(path+".share", "want 0.01% to 100%, or leave to out", "no request is copied")
	}
	c.match(path+".match", &s.Match)
	c.shadowMethods(path, s)
	c.shadowFields(path, s)
	if s.MaxBody < KiB || s.MaxBody > maxShadowBody {
		c.fail(path+".max_body", "want 1KiB to 16MiB", "%d bytes are out of range", s.MaxBody)
	}
	c.ranged(path+".timeout", s.Timeout, 10*time.Millisecond, maxShadowTime)
	c.between(path+".least", int64(s.Least), 1, maxLeast)
}

func (c *checker) shadowMethods(path string, s *Shadow) {
	distinct(c, path+".methods", s.Methods)
	for i, m := range s.Methods {
		switch at := index(path+".methods", i); {
		case !isToken(m) || strings.ToUpper(m) != m:
			c.fail(at, "want a method in capitals, such as GET", "%s is not a method", quote(m))
		case m == "CONNECT":
			c.fail(at, "take it out", "a tunnel cannot be copied")
		}
	}
	known := s.Methods
	if len(known) == 0 {
		known = safeMethods
	}
	if m := s.Match.Method; m != "" && !slices.Contains(known, m) {
		c.fail(path+".match.method", "add it to methods if a second such request does no harm",
			"no request is copied: %s is not among the methods %s", m, strings.Join(known, ", "))
	}
}

func (c *checker) shadowFields(path string, s *Shadow) {
	for _, l := range []struct {
		name   string
		values []string
	}{{".headers", s.Headers}, {".ignore", s.Ignore}, {".secrets", s.Secrets}} {
		if len(l.values) > maxShadowList {
			c.fail(path+l.name, fmt.Sprintf("want at most %d", maxShadowList), "%d are too many", len(l.values))
		}
		distinct(c, path+l.name, l.values)
	}
	for i, name := range s.Headers {
		if !isToken(name) {
			c.fail(index(path+".headers", i), wantToken, "%s cannot name a header", quote(name))
		}
	}
	for i, field := range s.Ignore {
		if !isShadowField(field) {
			c.fail(index(path+".ignore", i), `want a field as reports write it, such as "$.meta.took", "header etag", status or body`, "%s is not a field", quote(field))
		}
	}
	for i, name := range s.Secrets {
		if name == "" || hasControls(name) {
			c.fail(index(path+".secrets", i), "want a part of a name, such as pin", "%s is not part of a name", quote(name))
		}
	}
}

// isShadowField tells whether a field is written as reports do.
func isShadowField(field string) bool {
	header, isHeader := strings.CutPrefix(field, "header ")
	switch {
	case isHeader:
		return isToken(header) && strings.ToLower(header) == header
	case strings.HasPrefix(field, "$"):
		return field == "$" || (field[1] == '.' || field[1] == '[') && len(field) > 2 && !hasControls(field)
	}
	return field == "status" || field == "body"
}
