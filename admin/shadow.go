package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
	"sluice/state"
)

type shadowInput struct {
	Service string `path:"s" maxLength:"64" doc:"The service"`
	Version string `query:"version" maxLength:"64" doc:"Only the version that gets the copies"`
}

type shadowOutput struct{ Body api.Shadows }

// registerShadow registers what tells of copies of requests.
func (s *Server) registerShadow(a huma.API) {
	add(a, huma.Operation{OperationID: "get-shadow", Method: http.MethodGet, Path: "/v1/services/{s}/shadow",
		Summary: "How versions answer copies of requests, beside what the clients got"}, s.shadow)
}

func (s *Server) shadow(_ context.Context, in *shadowInput) (*shadowOutput, error) {
	if s.opts.Shadows == nil {
		return nil, notServed("this instance copies no requests", "ask one that does")
	}
	svc, err := lookUp(s.opts.Control.State(), in.Service)
	if err != nil {
		return nil, s.problem(err, false)
	}
	if in.Version != "" && svc.Versions[in.Version] == nil {
		return nil, s.problem(&state.Refusal{Reason: state.ErrNotFound, Service: in.Service, Version: in.Version, Field: "version",
			Message: fmt.Sprintf("%s has no version %q", in.Service, in.Version), Remedy: known("versions", svc.Versions)}, false)
	}
	all := s.opts.Shadows(in.Service)
	if in.Version != "" {
		all = slices.DeleteFunc(all, func(sh api.Shadow) bool { return sh.Version != in.Version })
	}
	return &shadowOutput{Body: api.Shadows{Service: in.Service, Shadows: append([]api.Shadow{}, all...)}}, nil
}
