package state

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The bounds on a Spec.
const (
	MaxEndpoints = 1000 // endpoints of one version
	MaxItems     = 100  // entries of each other list or map of a Spec
	MaxTag       = 1024 // bytes of a tag's value
	MaxCapacity  = 10_000_000
)

// Check returns an error that names the field at fault and what is wrong with
// it, or nil. A version without endpoints is well-formed: it can be registered,
// yet gets no weight.
func (s Spec) Check() error {
	field, message := s.fault()
	if field == "" {
		return nil
	}
	return invalid("spec."+field, message, "")
}

// checkIn is Check for a version of a service.
func (s Spec) checkIn(service string) error {
	if field, message := s.faultIn(service); field != "" {
		return invalid("spec."+field, message, "")
	}
	return nil
}

// faultIn is fault for a version of a service. What a version requires of its
// own service, no sibling could begin to provide.
func (s Spec) faultIn(service string) (field, message string) {
	if _, itself := s.Requires[service]; itself {
		return "requires." + service, "a version can't require something of its own service: shapes say which of them go together"
	}
	return s.fault()
}

// fault finds the first thing wrong, in the order of the fields.
func (s Spec) fault() (field, message string) {
	if len(s.Endpoints) > MaxEndpoints {
		return "endpoints", fmt.Sprintf("%d endpoints are more than %d", len(s.Endpoints), MaxEndpoints)
	}
	seen := make(map[string]bool, len(s.Endpoints))
	for i, e := range s.Endpoints {
		field := fmt.Sprintf("endpoints[%d]", i)
		if err := CheckEndpoint(e); err != nil {
			return field, err.Error()
		}
		if seen[e] {
			return field, fmt.Sprintf("%q is there twice", e)
		}
		seen[e] = true
	}
	if s.Shape != nil {
		// Shapes travel in header fields and cache keys: names are safe there.
		if !ValidName(s.Shape.Writes) {
			return "shape.writes", fmt.Sprintf("%q is no name for a shape: %s", s.Shape.Writes, nameRemedy)
		}
		if message := faultyNames(s.Shape.Reads); message != "" {
			return "shape.reads", message
		}
	}
	if message := faultyNames(s.Provides); message != "" {
		return "provides", message
	}
	if field, message := s.faultyRequires(); field != "" {
		return field, message
	}
	if s.Capacity < 0 || s.Capacity > MaxCapacity {
		return "capacity", fmt.Sprintf("%d is no number of requests a second: it goes from 1 to %d; 0: not declared", s.Capacity, MaxCapacity)
	}
	return s.faultyTags()
}

func (s Spec) faultyRequires() (field, message string) {
	if len(s.Requires) > MaxItems {
		return "requires", fmt.Sprintf("%d services are more than %d", len(s.Requires), MaxItems)
	}
	for _, service := range slices.Sorted(maps.Keys(s.Requires)) {
		if !ValidName(service) {
			return "requires", fmt.Sprintf("%q is no name of a service: %s", service, nameRemedy)
		}
		if message := faultyNames(s.Requires[service]); message != "" {
			return "requires." + service, message
		}
	}
	return "", ""
}

func (s Spec) faultyTags() (field, message string) {
	if len(s.Tags) > MaxItems {
		return "tags", fmt.Sprintf("%d tags are more than %d", len(s.Tags), MaxItems)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		if key == "" || len(key) > MaxName || !printable(key) {
			return "tags", fmt.Sprintf("the key %q must be printable text of 1 to %d bytes", key, MaxName)
		}
		if value := s.Tags[key]; len(value) > MaxTag || !printable(value) {
			return "tags." + key, fmt.Sprintf("the value must be printable text of at most %d bytes", MaxTag)
		}
	}
	return "", ""
}

func faultyNames(names []string) string {
	if len(names) > MaxItems {
		return fmt.Sprintf("%d names are more than %d", len(names), MaxItems)
	}
	for _, name := range names {
		if !ValidName(name) {
			return fmt.Sprintf("%q is no name: %s", name, nameRemedy)
		}
	}
	return ""
}

// clone returns a copy that shares nothing with s, with nothing for empty, so
// that it equals itself after a trip through JSON.
func (s Spec) clone() Spec {
	c := Spec{Endpoints: cloneList(s.Endpoints), Provides: cloneList(s.Provides), Capacity: s.Capacity}
	if s.Shape != nil {
		c.Shape = &Shape{Writes: s.Shape.Writes, Reads: cloneList(s.Shape.Reads)}
	}
	if len(s.Requires) > 0 {
		c.Requires = make(map[string][]string, len(s.Requires))
		for service, names := range s.Requires {
			c.Requires[service] = cloneList(names)
		}
	}
	if len(s.Tags) > 0 {
		c.Tags = maps.Clone(s.Tags)
	}
	return c
}

func cloneList(l []string) []string {
	if len(l) == 0 {
		return nil
	}
	return slices.Clone(l)
}

// equal tells whether two specs say the same.
func (s Spec) equal(t Spec) bool {
	return slices.Equal(s.Endpoints, t.Endpoints) &&
		s.Shape.equal(t.Shape) &&
		slices.Equal(s.Provides, t.Provides) &&
		maps.EqualFunc(s.Requires, t.Requires, slices.Equal[[]string]) &&
		maps.Equal(s.Tags, t.Tags) && s.Capacity == t.Capacity
}

func (s *Shape) equal(t *Shape) bool {
	if s == nil || t == nil {
		return s == t
	}
	return s.Writes == t.Writes && slices.Equal(s.Reads, t.Reads)
}

// checkRespec refuses a new spec for a version that serves with it: its
// endpoints may change, its shape may not, since sessions rely on what the
// version has written, nor may it lose its last endpoint.
func (s *Service) checkRespec(v *Version, spec Spec, now time.Time) error {
	mode := v.Mode(now)
	if mode == Dark {
		return nil
	}
	r := &Refusal{Reason: ErrRefused, Service: s.Name, Version: v.Name}
	switch {
	case !v.Spec.Shape.equal(spec.Shape):
		r.Field = "spec.shape"
		r.Message = fmt.Sprintf("version %q of service %q is %s: its shape can't change", v.Name, s.Name, mode)
		r.Remedy = "declare a new version with the new shape"
	case len(spec.Endpoints) == 0:
		r.Field = "spec.endpoints"
		r.Message = fmt.Sprintf("version %q of service %q is %s: it can't lose its last endpoint", v.Name, s.Name, mode)
		r.Remedy = "make it dark first"
	default:
		return nil
	}
	return r
}
