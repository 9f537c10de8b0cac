package configs

import "time"

// Bad is which requests count against a version in a rollout. What a client
// breaks off itself never does.
type Bad struct {
	Statuses []Statuses `yaml:"statuses"` // default [5xx]
	Except   []Statuses `yaml:"except"`   // of those; default: none
	// Header has fields of the response that make it bad whatever its status, by
	// name: their exact value, or "*" for any. 8 at most.
	Header  map[string]string `yaml:"header"`
	Connect bool              `yaml:"connect"`  // no connection, or one that was reset; default true
	Timeout bool              `yaml:"timeouts"` // no answer in time; default true
	// Latency is the longest time to the end of a response that is not bad; 0, the
	// default: any.
	Latency time.Duration `yaml:"latency"`
}

// DefaultBad returns 5xx, failed connections and timeouts.
func DefaultBad() Bad {
	return Bad{Statuses: []Statuses{{500, 599}}, Connect: true, Timeout: true}
}

// maxBadHeaders bounds what each response of a rollout is searched for.
const maxBadHeaders = 8

// bad checks which requests count against a version.
func (c *checker) bad(path string, b *Bad) {
	distinct(c, path+".statuses", b.Statuses)
	distinct(c, path+".except", b.Except)
	for i, e := range b.Except {
		among := false
		for _, s := range b.Statuses {
			among = among || s.From <= e.From && e.To <= s.To
		}
		if !among {
			c.fail(index(path+".except", i), "take it out", "%v is not among the statuses that are bad", e)
		}
	}
	if len(b.Header) > maxBadHeaders {
		c.fail(path+".header", "want at most 8", "%d fields are too many to look for in each response", len(b.Header))
	}
	for _, name := range sorted(b.Header) {
		at := join(path+".header", name)
		switch value := b.Header[name]; {
		case !isToken(name):
			c.fail(at, wantToken, "%s cannot name a field", quote(name))
		case value == "" || hasControls(value) || len(value) > 256:
			c.fail(at, `want an exact value, or "*" for any`, "%s cannot be a field's value", quote(value))
		}
	}
	c.atMost(path+".latency", b.Latency, time.Hour)
	if len(b.Statuses) == 0 && len(b.Header) == 0 && !b.Connect && !b.Timeout && b.Latency == 0 && !c.unsure(path) {
		c.fail(path, "leave one of them on, such as statuses: [5xx]", "no request would ever count against a version")
	}
}
