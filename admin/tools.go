package admin

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"sluice/admin/api"
)

// ExplainRequest is a request to think through, checked.
type ExplainRequest struct {
	Method  string
	TLS     bool // whether the URL says https
	Host    string
	Path    string // escaped, at least "/"
	Query   string // without "?"
	Header  http.Header
	Client  netip.Addr // the zero Addr: unknown
	Trusted bool       // from a trusted network
}

// The lifetime of override tokens.
const (
	DefaultTokenTTL = 8 * time.Hour
	MaxTokenTTL     = 30 * 24 * time.Hour
)

type explainInput struct{ Body api.ExplainRequest }

type explainOutput struct{ Body api.Explanation }

type tokenInput struct{ Body api.TokenRequest }

type tokenOutput struct{ Body api.SignedToken }

type diffOutput struct{ Body api.Diff }

type reloadOutput struct{ Body api.Reloaded }

// registerTools registers what changes no service.
func (s *Server) registerTools(a huma.API) {
	add(a, huma.Operation{OperationID: "explain", Method: http.MethodPost, Path: "/v1/explain",
		Summary: "How a request would be routed, and why"}, s.explain)
	add(a, huma.Operation{OperationID: "sign-token", Method: http.MethodPost, Path: "/v1/tokens",
		Summary: "Sign an override token"}, s.signToken)
	add(a, huma.Operation{OperationID: "diff", Method: http.MethodGet, Path: "/v1/diff",
		Summary: "Where the file and the state part"},
		func(context.Context, *struct{}) (*diffOutput, error) { return s.diff() })
	add(a, huma.Operation{OperationID: "reload", Method: http.MethodPost, Path: "/v1/reload",
		Summary: "Read the file anew"},
		func(ctx context.Context, _ *struct{}) (*reloadOutput, error) { return s.reload(ctx) })
}

func (s *Server) explain(_ context.Context, in *explainInput) (*explainOutput, error) {
	if s.opts.Explain == nil {
		return nil, notServed("this instance routes no requests", "ask one that does")
	}
	req, p := parseExplain(&in.Body)
	if p != nil {
		return nil, p
	}
	explanation, err := s.opts.Explain(req)
	if err != nil {
		return nil, s.problem(err, false)
	}
	return &explainOutput{Body: explanation}, nil
}

// parseExplain checks a request to think through.
func parseExplain(in *api.ExplainRequest) (ExplainRequest, *api.Problem) {
	out := ExplainRequest{Method: in.Method, Trusted: in.Trusted, Header: http.Header{}}
	if out.Method == "" {
		out.Method = http.MethodGet
	}
	// A method is a token, as a field name is (RFC 9110, section 9.1).
	if !isToken(out.Method) {
		return out, invalid("method", fmt.Sprintf("%q is no method", in.Method), "write GET, POST or the like")
	}
	u, err := url.Parse(in.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return out, invalid("url", fmt.Sprintf("%q is no absolute URL", in.URL), "write it as https://shop.example.com/cart")
	}
	out.TLS, out.Host, out.Path, out.Query = u.Scheme == "https", u.Host, u.EscapedPath(), u.RawQuery
	if out.Path == "" {
		out.Path = "/"
	}
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		value := in.Headers[name]
		if !isToken(name) || hasControl(value) {
			return out, invalid("headers", fmt.Sprintf("the header field %q can't be sent", name), "use a token as name and no control characters in the value")
		}
		out.Header.Add(name, value)
	}
	if in.Client == "" {
		return out, nil
	}
	if out.Client, err = netip.ParseAddr(in.Client); err != nil {
		return out, invalid("client", fmt.Sprintf("%q is no IP address", in.Client), "write it without port, as 203.0.113.7")
	}
	return out, nil
}

// isToken reports whether text is a token (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for _, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return text != ""
}

// hasControl reports whether text has a control character other than a tab.
func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func (s *Server) signToken(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	if s.opts.SignToken == nil {
		return nil, notServed("there is no key to sign override tokens with", "add one to override.keys in the file")
	}
	caller := callerOf(ctx)
	if p := s.checkToken(caller, &in.Body); p != nil {
		return nil, p
	}
	ttl, subject := time.Duration(in.Body.TTL), in.Body.Subject
	if ttl == 0 {
		ttl = DefaultTokenTTL
	}
	if subject == "" {
		subject = caller.Name
	}
	// A token's time is in whole seconds (RFC 7519, section 2).
	expires := s.opts.Now().Add(ttl).Truncate(time.Second)
	token, err := s.opts.SignToken(subject, in.Body.Overrides, expires)
	if err != nil {
		return nil, s.problem(err, false)
	}
	s.log.Info("admin: an override token was signed", zap.String("by", caller.Name), zap.String("subject", subject),
		zap.Any("overrides", in.Body.Overrides), zap.Time("expires", expires))
	return &tokenOutput{Body: api.SignedToken{Token: token, Overrides: in.Body.Overrides, Subject: subject, Expires: expires}}, nil
}

// checkToken reports why a caller gets no such token.
func (s *Server) checkToken(caller Identity, in *api.TokenRequest) *api.Problem {
	if ttl := time.Duration(in.TTL); ttl < 0 || ttl > MaxTokenTTL || ttl > 0 && ttl < time.Second {
		return invalid("ttl", fmt.Sprintf("a token can't be good for %s", ttl), "give between 1s and "+MaxTokenTTL.String())
	}
	if len(in.Subject) > 256 || hasControl(in.Subject) {
		return invalid("subject", "the subject is longer than 256 bytes or has control characters", "name a person or a job")
	}
	if len(in.Overrides) == 0 {
		return invalid("overrides", "no override is given", `name a service and its version: {"web":"v2"}`)
	}
	st := s.opts.Control.State()
	for _, name := range slices.Sorted(maps.Keys(in.Overrides)) {
		svc, err := lookUp(st, name)
		if err != nil {
			return s.problem(err, false)
		}
		if !caller.May(name) {
			return foreign(caller, name)
		}
		if version := in.Overrides[name]; svc.Versions[version] == nil {
			return &api.Problem{Status: http.StatusNotFound, Service: name, Version: version, Field: "overrides." + name,
				Detail: fmt.Sprintf("%s has no version %q", name, version), Remedy: known("versions", svc.Versions)}
		}
	}
	return nil
}

func (s *Server) diff() (*diffOutput, error) {
	if s.opts.Diff == nil {
		return nil, notServed("this instance has no file", "")
	}
	diff, err := s.opts.Diff()
	if err != nil {
		return nil, s.fileProblem(err)
	}
	if diff.Differences == nil {
		diff.Differences = []api.Difference{}
	}
	return &diffOutput{Body: diff}, nil
}

func (s *Server) reload(ctx context.Context) (*reloadOutput, error) {
	if s.opts.Reload == nil {
		return nil, notServed("this instance has no file", "")
	}
	before := s.opts.Control.State().Revision
	if err := s.opts.Reload(context.WithoutCancel(ctx)); err != nil {
		return nil, s.fileProblem(err)
	}
	after := s.opts.Control.State().Revision
	s.log.Info("admin: the file was read anew", zap.String("by", callerOf(ctx).Name), zap.Uint64("revision", after))
	return &reloadOutput{Body: api.Reloaded{Revision: after, Changed: after != before}}, nil
}

// fileProblem maps what is wrong with the file: refusals and a failing store as
// for commands, and everything else as faults of the file, one by one.
func (s *Server) fileProblem(err error) *api.Problem {
	if fromState(err) {
		return s.problem(err, false)
	}
	p := invalid("", err.Error(), "mend the file; the one before stays in force")
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		faults := several.Unwrap()
		for _, fault := range faults[:min(len(faults), maxFaults)] {
			p.Errors = append(p.Errors, api.ProblemDetail{Message: fault.Error()})
		}
	}
	return p
}
