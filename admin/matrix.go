package admin

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
	"sluice/state"
)

// Matrix tells how journeys do against versions.
type Matrix interface {
	// Matrix returns the matrix of a service, or of all if service is "".
	Matrix(service string) []api.ServiceMatrix
	// Cell returns the history of a journey against a version; false: the service
	// has no such journey, and none of that name was run.
	Cell(service, version, journey string) (api.CellHistory, bool)
}

type matrixInput struct {
	Service string `query:"service" doc:"Default: all"`
	Version string `query:"version" doc:"Of that service; default: all"`
}

type matrixOutput struct{ Body api.Matrix }

type cellInput struct {
	Service string `path:"s"`
	Version string `path:"v"`
	Journey string `path:"j"`
}

type cellOutput struct{ Body api.CellHistory }

// registerMatrix registers what tells of journeys and versions.
func (s *Server) registerMatrix(a huma.API) {
	add(a, huma.Operation{OperationID: "matrix", Method: http.MethodGet, Path: "/v1/matrix",
		Summary: "How the journeys of services do against their versions"}, s.matrix)
	add(a, huma.Operation{OperationID: "cell", Method: http.MethodGet, Path: "/v1/matrix/{s}/{v}/{j}",
		Summary: "The runs of a journey against a version, failures with what was exchanged"}, s.cell)
}

func (s *Server) matrix(_ context.Context, in *matrixInput) (*matrixOutput, error) {
	if s.opts.Matrix == nil {
		return nil, notServed("this instance runs no journeys", "ask one that does")
	}
	if in.Service != "" || in.Version != "" {
		if err := s.lookUpVersion(in.Service, in.Version); err != nil {
			return nil, err
		}
	}
	out := &matrixOutput{Body: api.Matrix{Passed: true, Services: []api.ServiceMatrix{}}}
	for _, m := range s.opts.Matrix.Matrix(in.Service) {
		if in.Version != "" {
			m = ofVersion(m, in.Version)
		}
		for _, c := range m.Cells {
			out.Body.Passed = out.Body.Passed && c.State == api.CellPassed
		}
		out.Body.Services = append(out.Body.Services, m)
	}
	return out, nil
}

// ofVersion leaves out the other versions of a matrix.
func ofVersion(m api.ServiceMatrix, version string) api.ServiceMatrix {
	only := api.ServiceMatrix{Service: m.Service, Journeys: m.Journeys, Versions: []api.MatrixVersion{}, Cells: []api.MatrixCell{}}
	for _, v := range m.Versions {
		if v.Name == version {
			only.Versions = append(only.Versions, v)
		}
	}
	for _, c := range m.Cells {
		if c.Version == version {
			only.Cells = append(only.Cells, c)
		}
	}
	return only
}

func (s *Server) cell(_ context.Context, in *cellInput) (*cellOutput, error) {
	if s.opts.Matrix == nil {
		return nil, notServed("this instance runs no journeys", "ask one that does")
	}
	if err := s.lookUpVersion(in.Service, in.Version); err != nil {
		return nil, err
	}
	history, known := s.opts.Matrix.Cell(in.Service, in.Version, in.Journey)
	if !known {
		return nil, &api.Problem{Status: http.StatusNotFound, Service: in.Service, Version: in.Version, Field: "journey",
			Detail: fmt.Sprintf("%s has no journey %q, and none of that name was run", in.Service, in.Journey), Remedy: "sluice matrix " + in.Service + " lists those there are"}
	}
	return &cellOutput{Body: history}, nil
}

// lookUpVersion reports that a service, or a version of it where one is named, is
// not there.
func (s *Server) lookUpVersion(service, version string) error {
	svc, err := lookUp(s.opts.Control.State(), service)
	if err != nil {
		return s.problem(err, false)
	}
	if version == "" || svc.Versions[version] != nil {
		return nil
	}
	return s.problem(&state.Refusal{Reason: state.ErrNotFound, Service: service, Version: version, Field: "version",
		Message: fmt.Sprintf("%s has no version %q", service, version), Remedy: known("versions", svc.Versions)}, false)
}
