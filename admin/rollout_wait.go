package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sluice/admin/api"
	"sluice/state"
)

// maxLook is how long GET /v1/rollouts/{id} waits for news at most: less than the
// server takes for an answer.
const maxLook = 30 * time.Second

type lookInput struct {
	ID    string `path:"id" maxLength:"32" doc:"The rollout" example:"r17"`
	Wait  string `query:"wait" doc:"Answer when seq is above after, or the rollout is over, or this time has passed: a duration of at most 30s" example:"25s"`
	After uint64 `query:"after" doc:"The seq that the caller has seen"`
}

type progressInput struct {
	ID   string `path:"id" maxLength:"32" doc:"The rollout" example:"r17"`
	Wait string `query:"wait" doc:"Stay for so long at most; absent: until it is over, a day at most" example:"30m"`
}

// registerWaits registers what shows one rollout, and waits for it.
func (s *Server) registerWaits(a huma.API) {
	add(a, huma.Operation{OperationID: "get-rollout", Method: http.MethodGet, Path: "/v1/rollouts/{id}",
		Summary: "One rollout with its moves and evidence"}, s.look)
	addRollout(a, huma.Operation{OperationID: "follow-rollout", Method: http.MethodGet, Path: "/v1/rollouts/{id}/progress",
		Summary: "The progress of a rollout, a line for each transition, until it is over"},
		func(_ context.Context, in *progressInput) (*huma.StreamResponse, error) {
			wait, err := parseWait(in.Wait, MaxWait)
			if err != nil {
				return nil, err
			}
			if wait == 0 {
				wait = MaxWait
			}
			r, err := s.lookUpRollout(in.ID)
			if err != nil {
				return nil, s.problem(err, false)
			}
			if !s.hub.join() {
				return nil, tooManyStreams()
			}
			view := s.viewRollout(r)
			view.Found = true
			return s.sayProgress(&view, wait), nil
		})
}

// addRollout registers an operation whose answer is a rollout or its progress,
// and which may stay long.
func addRollout[I any](a huma.API, op huma.Operation, handle func(context.Context, *I) (*huma.StreamResponse, error)) {
	method, path := op.Method, op.Path
	add(a, op, handle)
	schema := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Rollout](), true, "Rollout")
	item := a.OpenAPI().Paths[path]
	described := item.Get
	if method == http.MethodPost {
		described = item.Post
	}
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	answer := &huma.Response{Description: "The progress in lines. The second word of the last line tells the end: " +
		"promoted, rolled_back, aborted, superseded, or waiting where the time was over before",
		Content: map[string]*huma.MediaType{"text/plain": text}}
	if method == http.MethodPost {
		answer.Content["application/json"] = &huma.MediaType{Schema: schema}
		described.Responses["201"] = &huma.Response{Description: "The rollout was started",
			Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	}
	described.Responses["200"] = answer
}

// look answers with a rollout, at once or when there is news of it.
func (s *Server) look(ctx context.Context, in *lookInput) (*rolloutOutput, error) {
	wait, err := parseWait(in.Wait, maxLook)
	if err != nil {
		return nil, err
	}
	r, err := s.lookUpRollout(in.ID)
	if err != nil {
		return nil, s.problem(err, false)
	}
	if wait > 0 {
		late := time.NewTimer(wait)
		defer late.Stop()
		if now, _ := s.await(ctx, in.ID, in.After, late.C, nil); now != nil {
			r = now
		}
	}
	return &rolloutOutput{Body: s.viewRollout(r)}, nil
}

// waited says why a wait for a rollout ended.
type waited int

const (
	waitedMove    waited = iota // it moved, or is over
	waitedBeat                  // nothing happened for a while
	waitedLate                  // the time is over
	waitedClosing               // the server stops
	waitedLeft                  // the caller left
)

// await returns a rollout when its Seq is above after or it is over; nil, where
// it is not there any more.
func (s *Server) await(ctx context.Context, id string, after uint64, late, beat <-chan time.Time) (*state.Rollout, waited) {
	for {
		wake, closed := s.hub.changed() // before the look, so that nothing is missed
		r := s.opts.Control.State().Rollouts[id]
		switch {
		case r == nil || r.Phase.Over() || r.Seq > after:
			return r, waitedMove
		case closed:
			return r, waitedClosing
		}
		select {
		case <-wake:
		case <-beat:
			return r, waitedBeat
		case <-late:
			return r, waitedLate
		case <-ctx.Done():
			return r, waitedLeft
		}
	}
}

// sayRollout answers with a rollout.
func sayRollout(r *api.Rollout) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		ctx.SetHeader("Location", "/v1/rollouts/"+r.ID)
		status := http.StatusCreated
		if r.Found {
			status = http.StatusOK
		}
		ctx.SetStatus(status)
		_ = json.NewEncoder(ctx.BodyWriter()).Encode(r)
	}}
}

// longAnswer is an answer that outlives the timeouts of the server.
type longAnswer struct {
	w  io.Writer
	rc *http.ResponseController
}

func newLongAnswer(ctx huma.Context, contentType string) *longAnswer {
	_, w := humago.Unwrap(ctx)
	rc := http.NewResponseController(w)
	// Where the writer has no deadlines, as in a recorder, there are none to lift.
	_ = rc.SetReadDeadline(time.Time{})
	ctx.SetHeader("Content-Type", contentType)
	ctx.SetHeader("X-Accel-Buffering", "no") // nginx passes it on as it comes
	ctx.SetStatus(http.StatusOK)
	return &longAnswer{w: ctx.BodyWriter(), rc: rc}
}

// say writes text and sends it.
func (o *longAnswer) say(text string) error {
	_ = o.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := io.WriteString(o.w, text); err != nil {
		return err
	}
	return o.rc.Flush()
}

// sayProgress answers with a rollout's progress in lines. The caller has joined
// the hub.
func (s *Server) sayProgress(r *api.Rollout, wait time.Duration) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer s.hub.leave()
		out := newLongAnswer(ctx, "text/plain; charset=utf-8")
		_ = out.say(begun(r))
		late, beat := time.NewTimer(wait), time.NewTicker(2*s.opts.Heartbeat)
		defer late.Stop()
		defer beat.Stop()
		var last *api.RolloutMove
		var seen uint64
		for {
			now, why := s.await(ctx.Context(), r.ID, seen, late.C, beat.C)
			if now == nil {
				_ = out.say(r.ID + " lost: there is no such rollout any more\n")
				return
			}
			view := s.viewRollout(now)
			seen = view.Seq
			text, done := progress(&view, last, why)
			if n := len(view.Moves); n > 0 {
				last = &view.Moves[n-1]
			}
			if out.say(text) != nil || done {
				return
			}
		}
	}}
}

// begun is the first line of a rollout's progress.
func begun(r *api.Rollout) string {
	verb := "started"
	if r.Found {
		verb = "found"
	}
	text := fmt.Sprintf("%s %s: %s, policy %s, by %s\n", r.ID, verb, r.Title(), r.Policy.Name, r.By)
	if r.Warning != "" {
		text += "warning: " + r.Warning + "\n"
	}
	return text
}

// progress tells what is new of a rollout after its last move that was told, and
// whether that is the end.
func progress(r *api.Rollout, last *api.RolloutMove, why waited) (text string, done bool) {
	var b bytes.Buffer
	for _, m := range r.Since(last) {
		b.WriteString(r.Progress(&m) + "\n")
	}
	switch {
	case r.Over:
		b.WriteString(r.Result() + "\n")
		return b.String(), true
	case why == waitedBeat:
		b.WriteString(r.Now(time.Now()) + "\n")
	case why == waitedLate:
		fmt.Fprintf(&b, "%s waiting: %s is not over yet: %s\n", r.ID, r.Title(), r.Text)
		return b.String(), true
	case why == waitedClosing:
		fmt.Fprintf(&b, "%s waiting: this process stops, and the rollout goes on: ask again\n", r.ID)
		return b.String(), true
	case why == waitedLeft:
		return "", true
	}
	return b.String(), false
}

// sayInTheEnd answers with a rollout once it is over, or the time. Until then
// white space, which JSON allows, keeps the connection alive.
func (s *Server) sayInTheEnd(r *api.Rollout, wait time.Duration) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer s.hub.leave()
		out := newLongAnswer(ctx, "application/json")
		late, beat := time.NewTimer(wait), time.NewTicker(s.opts.Heartbeat)
		defer late.Stop()
		defer beat.Stop()
		found := r.Found
		for seen := r.Seq; !r.Over; seen = r.Seq {
			now, why := s.await(ctx.Context(), r.ID, seen, late.C, beat.C)
			if now == nil || why == waitedLeft || out.say("\n") != nil {
				break
			}
			view := s.viewRollout(now)
			if r = &view; why == waitedLate || why == waitedClosing {
				break
			}
		}
		r.Found = found
		text, _ := json.Marshal(r)
		_ = out.say(string(text) + "\n")
	}}
}

// prefersJSON tells whether a caller asks for JSON rather than for lines.
func prefersJSON(accept string) bool {
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/plain")
}

// tooManyStreams is the problem of a caller for whom there is no room to wait.
func tooManyStreams() *api.Problem {
	return &api.Problem{Status: http.StatusServiceUnavailable,
		Detail: fmt.Sprintf("%d callers wait already, or the server is stopping", maxStreams), Remedy: "try again later, or ask without wait"}
}
