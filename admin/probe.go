package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
)

type probeInput struct {
	Service string `path:"s"`
	Version string `path:"v"`
	Body    api.ProbeRequest
}

type probeOutput struct{ Body api.Probe }

// registerProbe registers what sends synthetic requests to a version.
func (s *Server) registerProbe(a huma.API) {
	add(a, huma.Operation{OperationID: "probe", Method: http.MethodPost, Path: "/v1/services/{s}/versions/{v}/probe",
		Summary: "Run journeys against a version"}, s.probe)
}

func (s *Server) probe(ctx context.Context, in *probeInput) (*probeOutput, error) {
	if s.opts.Probe == nil {
		return nil, notServed("this instance reaches no versions", "ask one that does")
	}
	if err := s.lookUpVersion(in.Service, in.Version); err != nil {
		return nil, err
	}
	p, err := s.opts.Probe(ctx, in.Service, in.Version, in.Body.Journeys)
	if err != nil {
		return nil, s.problem(err, false)
	}
	return &probeOutput{Body: p}, nil
}
