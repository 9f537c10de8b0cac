package server

import (
	"context"

	"sluice/proxy/upstream"
	"sluice/state"
)

// control is the keeper as the admin API sees it. It refuses versions that this
// build can't reach, which the state would take.
type control struct{ *state.Keeper }

// Do implements admin.Control.
func (c control) Do(ctx context.Context, cmd state.Command, meta state.Meta) (state.Result, error) {
	for _, put := range registers(cmd) {
		if put.Spec.Check() != nil { // which the state says better
			continue
		}
		if err := (upstream.Config{Endpoints: put.Spec.Endpoints}).Validate(); err != nil {
			return state.Result{}, &state.Refusal{
				Reason: state.ErrInvalid, Service: put.Service, Version: put.Version,
				Field: "spec.endpoints", Message: err.Error(),
			}
		}
	}
	return c.Keeper.Do(ctx, cmd, meta)
}

// registers returns the versions that a command registers.
func registers(cmd state.Command) []state.PutVersion {
	switch c := cmd.(type) {
	case state.PutVersion:
		return []state.PutVersion{c}
	case state.StartRollout:
		var all []state.PutVersion
		for _, leg := range c.Legs {
			if leg.Spec != nil {
				all = append(all, state.PutVersion{Service: leg.Service, Version: leg.Version, Spec: *leg.Spec})
			}
		}
		return all
	}
	return nil
}
