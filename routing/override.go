package routing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"
)

// overrides are verified wishes of a tester: version by service, of this proxy
// or of another behind it.
type overrides map[string]string

// maxOverrides bounds an override header and a token in bytes, before anything
// is parsed or verified.
const maxOverrides = 4096

const (
	overrideHeader = "sluice-override"
	tokenHeader    = "sluice-token"
	tokenCookie    = "sluice_token"
	tokenParam     = "sluice-token"
)

// override takes the version that an authorised override names for the
// service. It reports whether one did: then the decision is final, even if that
// version can't serve.
func (s *Snapshot) override(req *Request, d *Decision, t *trace) bool {
	wanted := s.overrides(req, d, t)
	if wanted == nil {
		if t != nil && d.Token == TokenNone {
			t.add("override", passed, "no override came with the request")
		}
		return false
	}
	name, ok := wanted[d.Service.Name]
	v := d.Service.Version(name)
	if ok && v == nil {
		d.Token = OverrideUnknownVersion
		delete(wanted, d.Service.Name)
	}
	d.Overrides = wanted.text()
	if v != nil {
		d.Reason = Override
		if req.usable(v) {
			d.Version = v
		} else {
			d.Failed = v
		}
	}
	if t != nil {
		t.overrideFound(d, name, v)
	}
	return v != nil
}

// overrides returns the overrides of the first source that is in order: the
// header Sluice-Override, then a token in the header, in the query (a link just
// followed outdoes the cookie that an earlier one left) and in the cookie. It
// returns nil if there is none, which costs no more than looking for them.
func (s *Snapshot) overrides(req *Request, d *Decision, t *trace) overrides {
	if text, ok := req.field(overrideHeader); ok {
		if wanted := believe(req, text, d, t); wanted != nil {
			return wanted
		}
	}
	if token, ok := req.field(tokenHeader); ok {
		if wanted := s.redeem(req, token, "header Sluice-Token", d, t); wanted != nil {
			return wanted
		}
	}
	if token, ok := findParam(req.Query, tokenParam); ok {
		if wanted := s.redeem(req, token, "query parameter sluice-token", d, t); wanted != nil {
			d.Redirect = req.Method == "GET" || req.Method == "HEAD"
			return wanted
		}
	}
	if field, ok := req.field("cookie"); ok {
		if token, ok := findCookie(field, tokenCookie); ok {
			return s.redeem(req, token, "cookie sluice_token", d, t)
		}
	}
	return nil
}

// believe reads the header Sluice-Override.
func believe(req *Request, text string, d *Decision, t *trace) overrides {
	if !req.Trusted {
		return d.refuse(OverrideUntrusted, "header Sluice-Override", errUntrusted, t)
	}
	wanted, err := parseOverrides(text)
	if err != nil {
		return d.refuse(OverrideBad, "header Sluice-Override", err, t)
	}
	d.Token = OverrideValid
	return wanted
}

// redeem verifies a token. The outcome of a source that failed gives way to
// that of a later one that is valid.
func (s *Snapshot) redeem(req *Request, token, source string, d *Decision, t *trace) overrides {
	wanted, expires, err := s.verifier.verify(token, req.Now)
	if err != nil {
		outcome := TokenBad
		if errors.Is(err, errExpired) {
			outcome = TokenExpired
		}
		return d.refuse(outcome, source, err, t)
	}
	d.Token, d.TokenExpires = TokenValid, expires
	return wanted
}

// refuse notes the first failure; it returns no overrides.
func (d *Decision) refuse(outcome TokenOutcome, source string, err error, t *trace) overrides {
	if d.Token == TokenNone {
		d.Token = outcome
	}
	if t != nil {
		t.overrideRefused(source, err)
	}
	return nil
}

var errUntrusted = errors.New("its sender is not in a trusted network")

// parseOverrides reads an RFC 9651 dictionary of tokens or strings. Numbers are
// refused: 1.10 would come out as the version "1.1". Parameters are ignored,
// as RFC 9651, section 2 asks.
func parseOverrides(text string) (overrides, error) {
	if len(text) > maxOverrides {
		return nil, fmt.Errorf("it is longer than %d bytes", maxOverrides)
	}
	dict, err := httpsfv.UnmarshalDictionary([]string{text})
	if err != nil {
		return nil, fmt.Errorf("it is no dictionary such as web=v2, api=v3 (RFC 9651): %w", err)
	}
	wanted := make(overrides, len(dict.Names()))
	for _, service := range dict.Names() {
		member, _ := dict.Get(service)
		version, ok := memberName(member)
		if !ok {
			return nil, fmt.Errorf("the version for %q is none; write a name, in quotes if it begins with a digit: %s=\"2.0\"", service, service)
		}
		wanted[strings.Clone(service)] = strings.Clone(version)
	}
	return wanted, wanted.check()
}

// memberName returns the text of a dictionary's member that is a token or a
// string.
func memberName(member httpsfv.Member) (string, bool) {
	item, ok := member.(httpsfv.Item)
	if !ok {
		return "", false
	}
	switch value := item.Value.(type) {
	case string:
		return value, true
	case httpsfv.Token:
		return string(value), true
	}
	return "", false
}

// check reports names that can't be ones of services or versions.
func (o overrides) check() error {
	for service, version := range o {
		if !validService(service) {
			return fmt.Errorf("it names the service %q: %s", service, serviceRule)
		}
		if !validName(version) {
			return fmt.Errorf("it names the version %q for %s: %s", version, service, nameRule)
		}
	}
	return nil
}

// text returns the dictionary, by service: a version as a token where it is
// one, else as a string (RFC 9651, sections 3.3.3 and 3.3.4).
func (o overrides) text() string {
	var b strings.Builder
	for i, service := range slices.Sorted(maps.Keys(o)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(service)
		b.WriteByte('=')
		version := o[service]
		if isDigit := version[0] <= '9'; isDigit {
			b.WriteString(`"` + version + `"`)
		} else {
			b.WriteString(version)
		}
	}
	return b.String()
}
