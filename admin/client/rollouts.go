package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// rolloutPath returns the path of a rollout and of what is below it.
func rolloutPath(id string, below ...string) string {
	path := "/v1/rollouts/" + url.PathEscape(id)
	for _, part := range below {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// StartRollout starts a rollout of one service, or finds the one that is for the
// same version already.
func (c *Client) StartRollout(ctx context.Context, service string, body api.RolloutStart) (*api.Rollout, error) {
	return post[api.Rollout](ctx, c, servicePath(service, "rollouts"), body)
}

// StartSet starts a rollout of several services as one, or finds it.
func (c *Client) StartSet(ctx context.Context, body api.SetStart) (*api.Rollout, error) {
	return post[api.Rollout](ctx, c, "/v1/rollouts", body)
}

// Rollouts returns the rollouts of one service or, if it is "", of all, newest
// first.
func (c *Client) Rollouts(ctx context.Context, service string) (*api.Rollouts, error) {
	path := "/v1/rollouts"
	if service != "" {
		path = servicePath(service, "rollouts")
	}
	return get[api.Rollouts](ctx, c, path, nil)
}

// Rollout returns one rollout with its moves and evidence.
func (c *Client) Rollout(ctx context.Context, id string) (*api.Rollout, error) {
	return get[api.Rollout](ctx, c, rolloutPath(id), nil)
}

// AwaitRollout returns a rollout once its Seq is above after, or it is over, or
// wait has passed; whichever comes first.
func (c *Client) AwaitRollout(ctx context.Context, id string, after uint64, wait time.Duration) (*api.Rollout, error) {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}, "wait": {wait.String()}}
	return get[api.Rollout](ctx, c, rolloutPath(id), query)
}

// SteerRollout asks a rollout to pause, resume, promote or abort.
func (c *Client) SteerRollout(ctx context.Context, id string, action state.Action, reason string) (*api.Rollout, error) {
	return post[api.Rollout](ctx, c, rolloutPath(id, string(action)), api.RolloutSteer{Reason: reason})
}

// PlaceRollout moves a rollout that waits to a place in line, from 1.
func (c *Client) PlaceRollout(ctx context.Context, id string, body api.RolloutPlace) (*api.Rollout, error) {
	return send[api.Rollout](ctx, c, http.MethodPut, rolloutPath(id, "place"), body)
}

// Queue returns the rollout of a service that is under way, and those that wait.
func (c *Client) Queue(ctx context.Context, service string) (*api.Queue, error) {
	return get[api.Queue](ctx, c, servicePath(service, "queue"), nil)
}
