package routing

// Matcher is a Match, compiled for who wants to know of single requests, apart
// from any rule.
type Matcher struct{ match match }

// NewMatcher compiles a Match. Its error joins a *ConfigError for everything that
// is wrong, each with the field's name below field.
func NewMatcher(field string, cfg Match) (*Matcher, error) {
	var p problems
	m := &Matcher{buildMatch(&p, field, &cfg)}
	if err := p.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// Matches reports whether a request meets every condition. A Match without any is
// met by all.
func (m *Matcher) Matches(req *Request) bool {
	kind, _ := m.match.unmet(req)
	return kind == ""
}
