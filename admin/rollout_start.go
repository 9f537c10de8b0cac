package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
	"sluice/state"
)

// MaxWait is how long a caller may wait for the end of a rollout at most.
const MaxWait = 24 * time.Hour

// WaitInput is what a start takes beside its body. It is exported for huma, as
// ChangeInput is.
type WaitInput struct {
	Wait   string `query:"wait" doc:"Stay until the rollout is over, for so long at most: a duration such as 30m. The answer is its progress, a line for each transition; with Accept: application/json, the rollout as it is at the end" example:"30m"`
	Accept string `header:"Accept" hidden:"true"`
	Reason string `header:"Sluice-Reason" doc:"Why, for the audit; the body's reason goes before it"`
}

type startInput struct {
	Service string `path:"s" maxLength:"64" doc:"The service"`
	WaitInput
	Body api.RolloutStart
}

type startSetInput struct {
	WaitInput
	Body api.SetStart
}

// registerStarts registers what starts rollouts.
func (s *Server) registerStarts(a huma.API) {
	addRollout(a, huma.Operation{OperationID: "start-rollout", Method: http.MethodPost, Path: "/v1/services/{s}/rollouts",
		Summary: "Start a rollout, or find the one that is for this version already"},
		func(ctx context.Context, in *startInput) (*huma.StreamResponse, error) {
			leg := api.LegStart{Service: in.Service, Candidate: in.Body.Candidate}
			return s.start(ctx, &in.WaitInput, &api.SetStart{Legs: []api.LegStart{leg}, RolloutTerms: in.Body.RolloutTerms})
		})
	addRollout(a, huma.Operation{OperationID: "start-set", Method: http.MethodPost, Path: "/v1/rollouts",
		Summary: "Start a rollout of several services as one, or find it"},
		func(ctx context.Context, in *startSetInput) (*huma.StreamResponse, error) {
			return s.start(ctx, &in.WaitInput, &in.Body)
		})
}

// start has a rollout begin, and answers at once or stays with it.
func (s *Server) start(ctx context.Context, in *WaitInput, body *api.SetStart) (*huma.StreamResponse, error) {
	wait, err := parseWait(in.Wait, MaxWait)
	if err != nil {
		return nil, err
	}
	if wait > 0 && !s.hub.join() {
		return nil, tooManyStreams()
	}
	r, err := s.begin(ctx, body, cmp.Or(body.Reason, in.Reason))
	if err != nil {
		if wait > 0 {
			s.hub.leave()
		}
		return nil, err
	}
	switch {
	case wait == 0:
		return sayRollout(r), nil
	case prefersJSON(in.Accept):
		return s.sayInTheEnd(r, wait), nil
	}
	return s.sayProgress(r, wait), nil
}

// begin issues the command, and finds out what it led to.
func (s *Server) begin(ctx context.Context, body *api.SetStart, reason string) (*api.Rollout, error) {
	if s.opts.Rollouts == nil {
		return nil, notServed("this instance carries out no rollouts", "")
	}
	cmd := state.StartRollout{Set: body.Set, Force: body.Force}
	services := make([]string, len(body.Legs))
	caller := callerOf(ctx)
	for i := range body.Legs {
		leg := &body.Legs[i]
		if !caller.May(leg.Service) {
			return nil, foreign(caller, leg.Service)
		}
		spec, err := specOf(leg)
		if err != nil {
			return nil, err
		}
		cmd.Legs = append(cmd.Legs, state.StartLeg{Service: leg.Service, Version: leg.Version, Spec: spec})
		services[i] = leg.Service
	}
	err := mayForce(ctx, services[0], body.Force)
	if err != nil {
		return nil, err
	}
	if cmd.Policy, err = s.opts.Rollouts.Policy(body.Policy, services); err != nil {
		return nil, s.problem(err, false)
	}
	result, err := s.issue(ctx, cmd, services[0], reason, false)
	if err != nil {
		return nil, err
	}
	r := result.State.RolloutOf(cmd.Legs[0].Service, cmd.Legs[0].Version)
	if r == nil { // which Apply rules out
		return nil, &api.Problem{Status: http.StatusInternalServerError, Service: services[0],
			Detail: "the rollout is not there", Remedy: "look at GET /v1/rollouts"}
	}
	out := s.viewRollout(r)
	// It is named for the revision that began it. A version may have been described
	// anew for a rollout that was there.
	out.Found = len(result.Events) == 0 || r.ID != fmt.Sprintf("r%d", result.State.Revision)
	if !result.Durable {
		out.Warning = notDurable
	}
	return &out, nil
}

// specOf returns what a leg's version is; nil, where it is registered already.
func specOf(leg *api.LegStart) (*state.Spec, error) {
	c := &leg.Candidate
	if len(c.Endpoints) > 0 {
		return &state.Spec{Endpoints: c.Endpoints, Shape: c.Shape, Provides: c.Provides, Requires: c.Requires,
			Tags: c.Tags, Capacity: c.Capacity}, nil
	}
	if c.Shape != nil || len(c.Provides) > 0 || len(c.Requires) > 0 || len(c.Tags) > 0 || c.Capacity != 0 {
		p := invalid("endpoints", "a version is described, but not where it is reached",
			"give its endpoints, or the name alone of a version that is registered already")
		p.Service, p.Version = leg.Service, leg.Version
		return nil, p
	}
	return nil, nil
}

// parseWait reads how long a caller waits; "" and "applied" are not at all.
func parseWait(text string, most time.Duration) (time.Duration, error) {
	if text == "" || text == "applied" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, invalid("wait", fmt.Sprintf("%q is no time to wait", text), "write a duration of at most "+most.String()+", such as 30s")
	}
	return d, nil
}
