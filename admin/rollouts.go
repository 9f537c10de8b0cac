package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
	"sluice/state"
)

// Rollouts tells what rollouts need and show beside the state.
type Rollouts interface {
	// Policy returns the policy of a name; "" is that which the services have by
	// themselves. A name that nobody knows is a *state.Refusal.
	Policy(name string, services []string) (state.Policy, error)
	// Evidence returns what the judge sees of a rollout now; nil: nothing.
	Evidence(id string) []state.Evidence
	// Trouble says why a rollout does not do what it is due to do; "": it does.
	Trouble(id string) string
	// Line returns where a rollout stands in line.
	Line(id string) Line
}

// Line is where a rollout stands in line; the zero value: it doesn't wait.
type Line struct {
	Place    int       // from 1, which is next
	Behind   []string  // the rollouts that come before it, by ID
	For      []string  // the rollouts that are to bring what it requires
	Expected time.Time // a guess when it begins; zero: nobody can tell
}

type steerInput struct {
	ID     string `path:"id" maxLength:"32" doc:"The rollout" example:"r17"`
	Reason string `header:"Sluice-Reason" doc:"Why, for the audit; the body's reason goes before it"`
	Body   *api.RolloutSteer
}

type placeInput struct {
	ID     string `path:"id" maxLength:"32" doc:"The rollout" example:"r17"`
	Reason string `header:"Sluice-Reason" doc:"Why, for the audit; the body's reason goes before it"`
	Body   api.RolloutPlace
}

type rolloutOutput struct{ Body api.Rollout }
type rolloutsOutput struct{ Body api.Rollouts }
type queueOutput struct{ Body api.Queue }

// registerRollouts registers what starts, shows and steers rollouts.
func (s *Server) registerRollouts(a huma.API) {
	s.registerStarts(a)
	s.registerWaits(a)
	add(a, huma.Operation{OperationID: "list-rollouts", Method: http.MethodGet, Path: "/v1/rollouts",
		Summary: "Every rollout, newest first"},
		func(context.Context, *struct{}) (*rolloutsOutput, error) { return s.rollouts(""), nil })
	add(a, huma.Operation{OperationID: "list-service-rollouts", Method: http.MethodGet, Path: "/v1/services/{s}/rollouts",
		Summary: "The rollouts of a service, newest first"},
		func(_ context.Context, in *serviceInput) (*rolloutsOutput, error) {
			if _, err := lookUp(s.opts.Control.State(), in.Service); err != nil {
				return nil, s.problem(err, false)
			}
			return s.rollouts(in.Service), nil
		})
	add(a, huma.Operation{OperationID: "get-queue", Method: http.MethodGet, Path: "/v1/services/{s}/queue",
		Summary: "The rollout of a service that is under way, and those that wait"}, s.queue)
	for _, steer := range []struct {
		action  state.Action
		summary string
	}{
		{state.ActionPause, "Stop a rollout where it is: weights stay"},
		{state.ActionResume, "Let a paused rollout go on"},
		{state.ActionPromote, "Open a rollout's gate, or go on to the next stage without waiting for evidence"},
		{state.ActionAbort, "End a rollout, with the weights of before"},
	} {
		add(a, huma.Operation{OperationID: string(steer.action) + "-rollout", Method: http.MethodPost,
			Path: "/v1/rollouts/{id}/" + string(steer.action), Summary: steer.summary},
			func(ctx context.Context, in *steerInput) (*rolloutOutput, error) {
				return s.steer(ctx, in, steer.action)
			})
	}
	add(a, huma.Operation{OperationID: "place-rollout", Method: http.MethodPut, Path: "/v1/rollouts/{id}/place",
		Summary: "Move a rollout that waits to a place in line"}, s.place)
}

// rollouts returns the rollouts of a service, or all if it is "".
func (s *Server) rollouts(service string) *rolloutsOutput {
	out := &rolloutsOutput{Body: api.Rollouts{Rollouts: []api.Rollout{}}}
	all := slices.SortedFunc(maps.Values(s.opts.Control.State().Rollouts), func(a, b *state.Rollout) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	for _, r := range all {
		if service == "" || slices.ContainsFunc(r.Legs, func(l state.Leg) bool { return l.Service == service }) {
			out.Body.Rollouts = append(out.Body.Rollouts, s.listed(r))
		}
	}
	return out
}

func (s *Server) queue(_ context.Context, in *serviceInput) (*queueOutput, error) {
	st := s.opts.Control.State()
	if _, err := lookUp(st, in.Service); err != nil {
		return nil, s.problem(err, false)
	}
	out := &queueOutput{Body: api.Queue{Service: in.Service, Waiting: []api.Rollout{}}}
	if r := st.Under(in.Service); r != nil {
		active := s.listed(r)
		out.Body.Active = &active
	}
	for _, r := range st.Queue(in.Service) {
		out.Body.Waiting = append(out.Body.Waiting, s.listed(r))
	}
	return out, nil
}

// steer passes a person's order on.
func (s *Server) steer(ctx context.Context, in *steerInput, action state.Action) (*rolloutOutput, error) {
	reason := in.Reason
	if in.Body != nil {
		reason = cmp.Or(in.Body.Reason, reason)
	}
	return s.order(ctx, in.ID, state.SteerRollout{ID: in.ID, Action: action}, reason)
}

func (s *Server) place(ctx context.Context, in *placeInput) (*rolloutOutput, error) {
	return s.order(ctx, in.ID, state.QueueRollout{ID: in.ID, Place: in.Body.Place}, cmp.Or(in.Body.Reason, in.Reason))
}

// order issues a command about one rollout, if the caller may change all of its
// services.
func (s *Server) order(ctx context.Context, id string, cmd state.Command, reason string) (*rolloutOutput, error) {
	r, err := s.lookUpRollout(id)
	if err != nil {
		return nil, s.problem(err, false)
	}
	if err := mayChange(callerOf(ctx), r.Legs); err != nil {
		return nil, err
	}
	result, err := s.issue(ctx, cmd, id, reason, false)
	if err != nil {
		return nil, err
	}
	if now := result.State.Rollouts[id]; now != nil {
		r = now
	}
	out := &rolloutOutput{Body: s.viewRollout(r)}
	if !result.Durable {
		out.Body.Warning = notDurable
	}
	return out, nil
}

// mayChange reports why a caller may not change what a rollout is about.
func mayChange(caller Identity, legs []state.Leg) error {
	for _, leg := range legs {
		if !caller.May(leg.Service) {
			return foreign(caller, leg.Service)
		}
	}
	return nil
}

// lookUpRollout returns a rollout, or a refusal that names some there are.
func (s *Server) lookUpRollout(id string) (*state.Rollout, error) {
	all := s.opts.Control.State().Rollouts
	if r := all[id]; r != nil {
		return r, nil
	}
	return nil, &state.Refusal{Reason: state.ErrNotFound, Message: fmt.Sprintf("there is no rollout %q", id),
		Field: "id", Remedy: known("rollouts", all)}
}
