package server

import (
	"math/rand/v2"
	"net/http"
	"time"

	"sluice/admin"
	"sluice/admin/api"
	"sluice/routing"
)

// explain tells how a request would be routed by the table in force.
func (s *Server) explain(r admin.ExplainRequest) (api.Explanation, error) {
	table := s.proxy.Table()
	e := table.Routing.Explain(&routing.Request{
		Method: r.Method, Host: r.Host, Path: r.Path, Query: r.Query,
		Fields: header(r.Header), Client: r.Client, Trusted: r.Trusted,
		Now: s.now().UnixNano(), Draw: rand.Uint64(), Health: table,
	})
	d := &e.Decision
	out := api.Explanation{Revision: table.Routing.Revision, Reason: routing.ReasonText(d), Pin: d.Pin.String()}
	switch {
	case d.Redirect:
		out.Status = http.StatusFound
	case d.Service == nil:
		out.Status = http.StatusNotFound
	case d.Version == nil:
		out.Status = http.StatusServiceUnavailable
	default:
		out.Version = d.Version.Name
	}
	if d.Service != nil {
		out.Service = d.Service.Name
	}
	if d.Failed != nil {
		out.Failed = d.Failed.Name
	}
	for _, step := range e.Steps {
		out.Steps = append(out.Steps, api.ExplainStep{Step: step.Step, Decided: step.Outcome == "taken", Text: step.Why})
	}
	return out, nil
}

// header lets routing look fields up.
type header http.Header

// Get implements routing.Fields.
func (h header) Get(lower string) (string, bool) {
	values := http.Header(h).Values(lower)
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// signToken signs an override token with the first of the file's keys.
func (s *Server) signToken(subject string, overrides map[string]string, expires time.Time) (string, error) {
	s.mu.Lock()
	keys := overrideKeys(s.file)
	s.mu.Unlock()
	if len(keys) == 0 {
		return "", &api.Problem{
			Status: http.StatusNotImplemented, Detail: "there is no key to sign override tokens with",
			Remedy: "add one to override.keys in the file",
		}
	}
	return routing.SignToken(keys[0], subject, overrides, expires)
}
