package replay

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Filter says which requests of a log are meant. The zero value takes those
// with a safe method.
type Filter struct {
	Allow        []string       // methods beside the safe ones (RFC 9110, section 9.2.1)
	Methods      []string       // none: all that may be sent
	Path         *regexp.Regexp // nil: all
	NotPath      *regexp.Regexp // nil: none
	Statuses     []Statuses     // as logged; none: all
	Since, Until time.Time      // zero: no bound; a request without a time is outside of any
	Service      string         // requests that a line of Sluice gives to another service are left out
}

// Statuses is a range of statuses.
type Statuses struct{ From, To int }

// ParseStatuses reads "404" or "5xx".
func ParseStatuses(s string) (Statuses, error) {
	if class, ok := strings.CutSuffix(s, "xx"); ok && len(class) == 1 && class[0] >= '1' && class[0] <= '5' {
		from := int(class[0]-'0') * 100
		return Statuses{from, from + 99}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 599 {
		return Statuses{}, fmt.Errorf("%q is no status; write one such as 404, or a class such as 2xx", s)
	}
	return Statuses{n, n}, nil
}

// isSafe reports whether a method changes nothing at the server.
func isSafe(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS"
}

// why a request is not sent.
type why uint8

const (
	wanted    why = iota
	unwanted      // by the filter
	forbidden     // its method is not safe and was not allowed
)

// look says whether a request is to be sent.
func (f *Filter) look(r *Request) why {
	path, _, _ := strings.Cut(r.Target, "?")
	switch {
	case len(f.Methods) > 0 && !contains(f.Methods, r.Method),
		f.Path != nil && !f.Path.MatchString(path),
		f.NotPath != nil && f.NotPath.MatchString(path),
		len(f.Statuses) > 0 && !f.hasStatus(r.Status),
		!f.Since.IsZero() && (r.At.IsZero() || r.At.Before(f.Since)),
		!f.Until.IsZero() && (r.At.IsZero() || !r.At.Before(f.Until)),
		f.Service != "" && r.Service != "" && r.Service != f.Service:
		return unwanted
	case !isSafe(r.Method) && !contains(f.Allow, r.Method):
		return forbidden
	}
	return wanted
}

func (f *Filter) hasStatus(status int) bool {
	for _, s := range f.Statuses {
		if status >= s.From && status <= s.To {
			return true
		}
	}
	return false
}

// contains compares methods, whose case counts (RFC 9110, section 9.1).
func contains(methods []string, method string) bool {
	for _, m := range methods {
		if m == method {
			return true
		}
	}
	return false
}
