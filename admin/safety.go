package admin

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
	"sluice/state"
)

type canRollbackOutput struct {
	ETag string `header:"ETag" doc:"The service's revision, for If-Match"`
	Body api.CanRollback
}

type levelInput struct {
	ChangeInput
	Body api.Level
}

type barrierInput struct {
	ChangeInput
	Body api.Barrier
}

// registerSafety registers what tells and sets what can be rolled back.
func (s *Server) registerSafety(a huma.API) {
	add(a, huma.Operation{OperationID: "can-rollback", Method: http.MethodGet, Path: "/v1/services/{s}/rollback",
		Summary: "Where a rollback could go now, and why not elsewhere"}, s.canRollback)
	add(a, huma.Operation{OperationID: "set-level", Method: http.MethodPut, Path: "/v1/services/{s}/level",
		Summary: "Say which shape is in the database now"}, s.setLevel)
	add(a, huma.Operation{OperationID: "set-barrier", Method: http.MethodPut, Path: "/v1/services/{s}/barrier",
		Summary: "Keep traffic from versions that can't read the level, or no longer"}, s.setBarrier)
}

// preview is in whose name a change is only thought through.
func (s *Server) preview(service string) state.Meta {
	meta := state.Meta{By: "preview", At: s.opts.Now()}
	if s.opts.Facts != nil {
		meta.Facts = s.opts.Facts([]string{service})
	}
	return meta
}

func (s *Server) canRollback(_ context.Context, in *serviceInput) (*canRollbackOutput, error) {
	st := s.opts.Control.State()
	all, err := state.CanRollback(st, in.Service, s.preview(in.Service))
	if err != nil {
		return nil, s.problem(err, false)
	}
	svc, numbers := st.Services[in.Service], s.numbers(in.Service)[in.Service]
	out := &canRollbackOutput{ETag: etag(svc.Revision), Body: api.CanRollback{
		Service: svc.Name, Revision: svc.Revision, Level: svc.Level, Barrier: svc.Barrier,
		Default: target(st, svc, all[0], numbers), Versions: []api.Target{},
	}}
	for _, p := range all[1:] {
		out.Body.Versions = append(out.Body.Versions, target(st, svc, p, numbers))
	}
	return out, nil
}

// target tells a caller where a rollback of a service would go.
func target(st state.State, svc *state.Service, p state.Possibility, numbers map[string]api.Numbers) api.Target {
	if p.Refusal != nil {
		return api.Target{To: p.To, Rule: p.Refusal.Rule, Why: p.Refusal.Error()}
	}
	t := api.Target{To: p.To, Possible: true, Weights: p.Weights, Leaves: p.Leaves, Warnings: p.Warnings}
	for _, version := range p.Leaves {
		t.Sessions += numbers[version].LiveSessions
	}
	for _, version := range slices.Sorted(maps.Keys(p.Weights)) {
		if back := takenBack(st, svc.Name, version); back != nil {
			t.TakenBack = append(t.TakenBack, *back)
		}
	}
	return t
}

// takenBack says how a version lost its last weight; nil: not by being taken back.
func takenBack(st state.State, service, version string) *api.TakenBack {
	f, ok := st.TakenBack(service, version)
	if !ok {
		return nil
	}
	return &api.TakenBack{Version: version, At: f.At, By: f.By, Why: f.Why, Rollout: f.Rollout}
}

func (s *Server) setLevel(ctx context.Context, in *levelInput) (*changeOutput, error) {
	// Behind a barrier the level is what the barrier guards.
	if svc := s.opts.Control.State().Services[in.Service]; svc != nil && svc.Barrier && svc.Level != in.Body.Level {
		if err := mayLift(ctx, in.Service); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, &in.ChangeInput, state.SetLevel{Service: in.Service, Level: in.Body.Level}, in.Body.Reason)
}

func (s *Server) setBarrier(ctx context.Context, in *barrierInput) (*changeOutput, error) {
	svc := s.opts.Control.State().Services[in.Service]
	moves := svc != nil && svc.Barrier && in.Body.Level != "" && in.Body.Level != svc.Level
	if !in.Body.On || moves {
		if err := mayLift(ctx, in.Service); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, &in.ChangeInput, state.SetBarrier{Service: in.Service, On: in.Body.On, Level: in.Body.Level}, in.Body.Reason)
}

// mayLift refuses callers who may set a barrier and not lift or move it.
func mayLift(ctx context.Context, service string) error {
	if p := permit(callerOf(ctx), Operator, service); p != nil {
		p.Detail += ", which sets a barrier and neither lifts nor moves one"
		return p
	}
	return nil
}

// mayForce refuses callers who may not pass over the rules of safety.
func mayForce(ctx context.Context, service string, force bool) error {
	id := callerOf(ctx)
	if !force || id.MayForce() {
		return nil
	}
	return &api.Problem{Status: http.StatusForbidden, Service: service, Field: "force",
		Detail: fmt.Sprintf("%s may not pass over the rules of safety", id.Name),
		Remedy: "leave out force, or have somebody do it who may: an admin, or a token whose role ends in " + forceSuffix}
}
