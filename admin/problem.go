package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"go.uber.org/zap"

	"sluice/admin/api"
	"sluice/state"
)

// maxFaults bounds how many faults of one request are listed. A body of a
// megabyte can hold a hundred thousand of them.
const maxFaults = 20

// problem maps an error to what the caller gets: the one place where errors
// become statuses. conditional says that the caller sent If-Match.
func (s *Server) problem(err error, conditional bool) *api.Problem {
	var p *api.Problem
	var refusal *state.Refusal
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refusal):
		return refused(refusal, conditional)
	case errors.Is(err, state.ErrConflict):
		return &api.Problem{Status: conflictStatus(conditional), Detail: err.Error(),
			Remedy: "read the service anew and repeat the change if it still fits"}
	case errors.Is(err, state.ErrPaused):
		return &api.Problem{Status: http.StatusServiceUnavailable, Detail: err.Error(),
			Remedy: "send it again in a second: whoever goes on answers at the same address"}
	case errors.Is(err, state.ErrStore):
		return &api.Problem{Status: http.StatusServiceUnavailable, Detail: err.Error(),
			Remedy: "try again when the store is back; a rollback works without it"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &api.Problem{Status: http.StatusServiceUnavailable, Detail: "the store did not answer in time",
			Remedy: "look at the service before trying again; the change may have been taken"}
	}
	s.log.Error("admin: unexpected error", zap.Error(err))
	return &api.Problem{Status: http.StatusInternalServerError, Detail: "an unexpected error; the log has it"}
}

// retryAfter is how many seconds a caller waits who is told to try again.
const retryAfter = "1"

// later adds Retry-After to problems that pass by themselves.
func later(err error) error {
	var p *api.Problem
	if errors.As(err, &p) && p.Status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfter}})
	}
	return err
}

// fromState reports whether an error is the state's or its store's.
func fromState(err error) bool {
	var refusal *state.Refusal
	return errors.As(err, &refusal) || errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrStore) || errors.Is(err, state.ErrPaused)
}

// refused maps a refusal of the state.
func refused(r *state.Refusal, conditional bool) *api.Problem {
	p := &api.Problem{Detail: r.Message, Remedy: r.Remedy, Service: r.Service, Version: r.Version, Field: r.Field, Rule: r.Rule, Obstacles: r.Obstacles}
	switch {
	case errors.Is(r, state.ErrNotFound):
		p.Status = http.StatusNotFound
	case errors.Is(r, state.ErrConflict):
		p.Status = conflictStatus(conditional)
	case errors.Is(r, state.ErrRefused):
		p.Status = http.StatusConflict
	default:
		p.Status = http.StatusUnprocessableEntity
	}
	return p
}

// conflictStatus is 412 for a caller who named the revision that it expects
// (RFC 9110, section 13.1.1) and 409 for others.
func conflictStatus(conditional bool) int {
	if conditional {
		return http.StatusPreconditionFailed
	}
	return http.StatusConflict
}

// invalid is the problem of a request that no state could make right.
func invalid(field, detail, remedy string) *api.Problem {
	return &api.Problem{Status: http.StatusUnprocessableEntity, Field: field, Detail: detail, Remedy: remedy}
}

// notServed is the problem of a route whose function this instance lacks.
func notServed(what, remedy string) *api.Problem {
	return &api.Problem{Status: http.StatusNotImplemented, Detail: what, Remedy: remedy}
}

// writeProblem answers with a problem.
func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(titled(p))
}

// titled fills in the title: the status in words (RFC 9457, section 4.2.1).
func titled(p *api.Problem) *api.Problem {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	return p
}

// reshapeProblem gives all errors the one shape. huma's own repeat the values
// at fault, which may be secrets and, one for each fault, many times the body.
func reshapeProblem(ctx huma.Context, _ string, v any) (any, error) {
	switch e := v.(type) {
	case *api.Problem:
		return titled(e), nil
	case *huma.ErrorModel:
		return fromHuma(ctx.Operation(), e), nil
	}
	return v, nil
}

// fromHuma translates huma's validation errors.
func fromHuma(op *huma.Operation, e *huma.ErrorModel) *api.Problem {
	p := &api.Problem{Status: e.Status, Title: e.Title, Detail: e.Detail}
	var texts []string
	for _, d := range e.Errors[:min(len(e.Errors), maxFaults)] {
		if d == nil {
			continue
		}
		p.Errors = append(p.Errors, api.ProblemDetail{Message: d.Message, Location: d.Location})
		text := d.Message
		if d.Location != "" {
			text = d.Location + ": " + d.Message
		}
		texts = append(texts, text)
		if d.Message == validation.MsgUnexpectedProperty {
			p.Remedy = knownKeys(op, d.Location)
		}
	}
	if more := len(e.Errors) - maxFaults; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	if len(texts) > 0 {
		p.Detail = strings.Join(texts, "; ")
	}
	if len(p.Errors) == 1 {
		p.Field = strings.TrimPrefix(p.Errors[0].Location, "body.")
	}
	return titled(p)
}

// metaKeys is where an operation keeps the keys of its body.
const metaKeys = "keys"

// knownKeys names the keys that an operation's body may have, where the key at
// fault is one of the body itself.
func knownKeys(op *huma.Operation, location string) string {
	keys, _ := op.Metadata[metaKeys].([]string)
	if len(keys) == 0 || strings.Count(location, ".") != 1 {
		return "/openapi.json lists the known keys"
	}
	return "the body may have the keys " + strings.Join(keys, ", ")
}

// bodyKeys returns the keys of the body of an operation's input.
func bodyKeys(input reflect.Type) []string {
	body, ok := input.FieldByName("Body")
	if !ok {
		return nil
	}
	t := body.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var keys []string
	return fieldKeys(t, keys)
}

// fieldKeys adds the keys of a struct and of those embedded in it.
func fieldKeys(t reflect.Type, keys []string) []string {
	for field := range t.Fields() {
		if field.Anonymous {
			keys = fieldKeys(field.Type, keys)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		keys = append(keys, name)
	}
	return keys
}
