package server

import (
	"context"

	"sluice/proxy/upstream"
	"sluice/state"
)

// control is the keeper as the admin API sees it. It refuses a version that this
// build can't reach, which the state would take.
type control struct{ *state.Keeper }

// Do implements admin.Control.
func (c control) Do(ctx context.Context, cmd state.Command, meta state.Meta) (state.Result, error) {
	put, ok := cmd.(state.PutVersion)
	if !ok || put.Spec.Check() != nil { // which the state says better
		return c.Keeper.Do(ctx, cmd, meta)
	}
	if err := (upstream.Config{Endpoints: put.Spec.Endpoints}).Validate(); err != nil {
		return state.Result{}, &state.Refusal{
			Reason: state.ErrInvalid, Service: put.Service, Version: put.Version,
			Field: "spec.endpoints", Message: err.Error(),
		}
	}
	return c.Keeper.Do(ctx, cmd, meta)
}
