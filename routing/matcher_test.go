package routing

import (
	"strings"
	"testing"
)

func TestMatcherTakesWhatARuleWould(t *testing.T) {
	m, err := NewMatcher("shadow.match", Match{Path: "/api", Method: "GET", Header: map[string]string{"X-Tier": "gold*"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		req  Request
		want bool
	}{
		{Request{Method: "GET", Path: "/api/x", Fields: fields{"x-tier": "golden"}}, true},
		{Request{Method: "POST", Path: "/api/x", Fields: fields{"x-tier": "golden"}}, false},
		{Request{Method: "GET", Path: "/apix", Fields: fields{"x-tier": "golden"}}, false},
		{Request{Method: "GET", Path: "/api"}, false},
	} {
		if got := m.Matches(&c.req); got != c.want {
			t.Errorf("%s %s %v: %v, want %v", c.req.Method, c.req.Path, c.req.Fields, got, c.want)
		}
	}
	all, err := NewMatcher("shadow.match", Match{})
	if err != nil || !all.Matches(&Request{Method: "GET", Path: "/"}) {
		t.Errorf("a match of nothing in particular takes not all: %v", err)
	}
}

func TestMatcherNamesWhatIsWrong(t *testing.T) {
	_, err := NewMatcher("services.web.shadow.match", Match{Method: "get"})
	if err == nil || !strings.HasPrefix(err.Error(), "services.web.shadow.match.method: ") {
		t.Errorf("a method in small letters: %v", err)
	}
}
