package admin

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"sluice/admin/api"
	"sluice/state"
)

// ChangeInput is what every change of a service takes. It and VersionInput are
// exported since huma does not look into embedded types that are not.
type ChangeInput struct {
	Service string `path:"s" maxLength:"64" doc:"The service"`
	// Wait is accepted for all: one instance has applied a change when it answers.
	Wait    string `query:"wait" enum:"applied" doc:"Answer when the change is in force; a single instance always does"`
	Reason  string `header:"Sluice-Reason" doc:"Why, for the audit; the body's reason goes before it"`
	IfMatch string `header:"If-Match" doc:"The ETag that the caller has seen; taken by PUT weights alone"`
}

// VersionInput names a version in the path.
type VersionInput struct {
	Version string `path:"v" maxLength:"64" doc:"The version"`
}

type weightsInput struct {
	ChangeInput
	Body api.Weights
}

type rollbackInput struct {
	ChangeInput
	Body *api.Rollback
}

type putVersionInput struct {
	ChangeInput
	VersionInput
	Body api.VersionSpec
}

type removeVersionInput struct {
	ChangeInput
	VersionInput
}

type voidPinsInput struct {
	ChangeInput
	Body api.VoidPins
}

type drainInput struct {
	ChangeInput
	VersionInput
	Body api.Drain
}

type changeOutput struct {
	ETag string `header:"ETag" doc:"The service's revision, for If-Match"`
	Body api.Change
}

// registerChanges registers what changes a service.
func (s *Server) registerChanges(a huma.API) {
	add(a, huma.Operation{OperationID: "set-weights", Method: http.MethodPut, Path: "/v1/services/{s}/weights",
		Summary: "Replace the weights of a service"}, s.setWeights)
	add(a, huma.Operation{OperationID: "rollback", Method: http.MethodPost, Path: "/v1/services/{s}/rollback",
		Summary: "Give new sessions back to the version before"}, s.rollback)
	add(a, huma.Operation{OperationID: "put-version", Method: http.MethodPut, Path: "/v1/services/{s}/versions/{v}",
		Summary: "Register a version, dark, or replace its spec"}, s.putVersion)
	add(a, huma.Operation{OperationID: "remove-version", Method: http.MethodDelete, Path: "/v1/services/{s}/versions/{v}",
		Summary: "Remove a dark version that the API registered"}, s.removeVersion)
	add(a, huma.Operation{OperationID: "drain-version", Method: http.MethodPut, Path: "/v1/services/{s}/versions/{v}/drain",
		Summary: "Start, prolong or end the draining of a version"}, s.setDrain)
	add(a, huma.Operation{OperationID: "void-pins", Method: http.MethodPost, Path: "/v1/services/{s}/pins/void",
		Summary: "Make the pins to a version so far void"}, s.voidPins)
}

func (s *Server) setWeights(ctx context.Context, in *weightsInput) (*changeOutput, error) {
	pins, err := parsePins(in.Body.Pins)
	if err != nil {
		return nil, s.problem(err, false)
	}
	if err := mayForce(ctx, in.Service, in.Body.Force); err != nil {
		return nil, err
	}
	match, err := s.match(in.Service, in.IfMatch)
	if err != nil {
		return nil, s.problem(err, true)
	}
	cmd := state.SetWeights{Service: in.Service, Weights: in.Body.Weights, Pins: pins, Streams: state.Streams(in.Body.Streams), Force: in.Body.Force, Match: match}
	return s.do(ctx, &in.ChangeInput, cmd, in.Body.Reason)
}

func (s *Server) rollback(ctx context.Context, in *rollbackInput) (*changeOutput, error) {
	var body api.Rollback
	if in.Body != nil {
		body = *in.Body
	}
	pins, err := parsePins(body.Pins)
	if err != nil {
		return nil, s.problem(err, false)
	}
	if err := mayForce(ctx, in.Service, body.Force); err != nil {
		return nil, err
	}
	cmd := state.Rollback{Service: in.Service, To: body.To, Pins: pins, Streams: state.Streams(body.Streams), Force: body.Force}
	return s.change(ctx, &in.ChangeInput, cmd, body.Reason)
}

func (s *Server) putVersion(ctx context.Context, in *putVersionInput) (*changeOutput, error) {
	spec := state.Spec{Endpoints: in.Body.Endpoints, Shape: in.Body.Shape, Provides: in.Body.Provides,
		Requires: in.Body.Requires, Capacity: in.Body.Capacity, Tags: in.Body.Tags}
	return s.change(ctx, &in.ChangeInput,
		state.PutVersion{Service: in.Service, Version: in.Version, Spec: spec}, in.Body.Reason)
}

func (s *Server) removeVersion(ctx context.Context, in *removeVersionInput) (*changeOutput, error) {
	return s.change(ctx, &in.ChangeInput, state.RemoveVersion{Service: in.Service, Version: in.Version}, "")
}

func (s *Server) setDrain(ctx context.Context, in *drainInput) (*changeOutput, error) {
	drain := state.Drain{On: in.Body.On}
	switch {
	case in.Body.For < 0:
		return nil, invalid("for", "a drain can't last "+in.Body.For.String(), "give a positive duration, or none to wait for the pins to run out")
	case in.Body.For > 0 && !in.Body.On:
		return nil, invalid("for", "a drain that ends now has no duration", "leave out for, or set on to true")
	case in.Body.For > 0:
		drain.Until = s.opts.Now().Add(time.Duration(in.Body.For))
	}
	return s.change(ctx, &in.ChangeInput,
		state.SetDrain{Service: in.Service, Version: in.Version, Drain: drain}, in.Body.Reason)
}

func (s *Server) voidPins(ctx context.Context, in *voidPinsInput) (*changeOutput, error) {
	return s.change(ctx, &in.ChangeInput, state.VoidPins{Service: in.Service, Version: in.Body.Version}, in.Body.Reason)
}

// change is do for commands that can't be bound to a revision. A precondition
// must not be ignored (RFC 9110, section 13.2), so it is refused.
func (s *Server) change(ctx context.Context, in *ChangeInput, cmd state.Command, reason string) (*changeOutput, error) {
	if in.IfMatch != "" {
		return nil, &api.Problem{Status: http.StatusBadRequest, Field: "If-Match",
			Detail: "this change can't be bound to a revision", Remedy: "leave out If-Match; PUT weights takes it"}
	}
	return s.do(ctx, in, cmd, reason)
}

// do issues a command about a service in the caller's name. The command goes on
// when its caller leaves, as a change that was half waited for is the worst to
// find out about.
func (s *Server) do(ctx context.Context, in *ChangeInput, cmd state.Command, reason string) (*changeOutput, error) {
	result, err := s.issue(ctx, cmd, in.Service, cmp.Or(reason, in.Reason), in.IfMatch != "")
	if err != nil {
		return nil, err
	}
	out := describeChange(in.Service, result)
	return &changeOutput{ETag: etag(out.Revision), Body: out}, nil
}

// issue has a command carried out, and logs what came of it. Its error is a
// problem. what is the service or rollout concerned; conditional says that the
// caller sent If-Match.
func (s *Server) issue(ctx context.Context, cmd state.Command, what, reason string, conditional bool) (state.Result, error) {
	caller := callerOf(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), changeTimeout)
	defer cancel()
	result, err := s.opts.Control.Do(ctx, cmd, state.Meta{By: caller.Name, Why: reason, At: s.opts.Now()})
	if err != nil {
		p := s.problem(err, conditional)
		s.log.Info("admin: a change was refused", zap.String("by", caller.Name), zap.String("kind", cmd.Kind()),
			zap.String("of", what), zap.Int("status", p.Status), zap.String("detail", p.Detail))
		return state.Result{}, p
	}
	s.log.Info("admin: a change was made", zap.String("by", caller.Name), zap.String("kind", cmd.Kind()),
		zap.String("of", what), zap.Bool("changed", len(result.Events) > 0), zap.Bool("durable", result.Durable),
		zap.Uint64("revision", result.State.Revision))
	return result, nil
}

// notDurable is the warning about a change that the store has not taken.
const notDurable = "in force on this instance, but the store has not taken it yet: " +
	"a restart before it does would undo it; GET /readyz tells when it has"

// describeChange tells a caller what a command did to a service.
func describeChange(service string, r state.Result) api.Change {
	out := api.Change{Service: service, Durable: r.Durable, Before: map[string]int{}, After: map[string]int{}}
	svc := r.State.Services[service]
	if svc != nil {
		out.Revision, out.Epoch = svc.Revision, svc.Epoch
		out.Before, out.After = svc.Weights(), svc.Weights()
	}
	for _, e := range r.Events {
		if e.Service != service {
			continue
		}
		if !out.Changed && e.Before != nil {
			out.Before = e.Before
		}
		out.Changed, out.Detail, out.Warnings, out.Forced = true, e.Detail, e.Warnings, e.Forced
		if flip := lastFlip(svc); flip != nil && flip.Epoch == e.Epoch && flip.Kind == e.Kind {
			out.Pins, out.Streams = formatPins(flip.Pins), string(cmp.Or(flip.Streams, state.StreamsFinish))
		}
	}
	if !r.Durable {
		out.Warning = notDurable
	}
	return out
}

// lastFlip returns the newest flip of a service, or nil.
func lastFlip(svc *state.Service) *state.Flip {
	if svc == nil || len(svc.Flips) == 0 {
		return nil
	}
	return &svc.Flips[len(svc.Flips)-1]
}
