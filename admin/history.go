package admin

import (
	"cmp"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
	"sluice/state"
)

// The length of a page of the audit, and how many events are read at most so as
// not to split a revision over two pages: one revision can change every service.
const (
	defaultPage = 100
	maxPage     = 1000
	maxRead     = 1 << 17
)

type historyOutput struct{ Body api.History }

type auditInput struct {
	Service string `query:"service" maxLength:"64" doc:"Only changes of this service"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many events; the page ends with a whole revision"`
	Before  uint64 `query:"before" doc:"Only revisions older than this one"`
}

type auditOutput struct{ Body api.Audit }

// registerHistory registers what tells who did what.
func (s *Server) registerHistory(a huma.API) {
	add(a, huma.Operation{OperationID: "get-history", Method: http.MethodGet, Path: "/v1/services/{s}/history",
		Summary: "The flips of a service, newest first"}, s.history)
	add(a, huma.Operation{OperationID: "get-audit", Method: http.MethodGet, Path: "/v1/audit",
		Summary: "Every change, newest first"}, s.audit)
}

func (s *Server) history(_ context.Context, in *serviceInput) (*historyOutput, error) {
	svc, err := lookUp(s.opts.Control.State(), in.Service)
	if err != nil {
		return nil, s.problem(err, false)
	}
	out := &historyOutput{Body: api.History{Service: svc.Name, Flips: make([]api.Flip, 0, len(svc.Flips))}}
	for i := len(svc.Flips) - 1; i >= 0; i-- {
		f := &svc.Flips[i]
		out.Body.Flips = append(out.Body.Flips, api.Flip{Epoch: f.Epoch, At: f.At, By: f.By, Why: f.Why,
			Kind: f.Kind, Pins: formatPins(f.Pins), Streams: string(cmp.Or(f.Streams, state.StreamsFinish)), Before: f.Before, After: f.After})
	}
	return out, nil
}

func (s *Server) audit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	if in.Limit == 0 {
		in.Limit = defaultPage
	}
	for read := min(in.Limit, maxPage) + 1; ; read *= 2 {
		events, err := s.opts.Control.Audit(ctx, in.Service, in.Before, read)
		if err != nil {
			return nil, &api.Problem{Status: http.StatusServiceUnavailable, Service: in.Service,
				Detail: "the audit can't be read: " + err.Error(), Remedy: "try again when the store is back"}
		}
		page, next, whole := cutPage(events, in.Limit, read)
		if whole || read > maxRead {
			return &auditOutput{Body: api.Audit{Events: page, Next: next}}, nil
		}
	}
}

// cutPage cuts events, of which read were asked for, to a page of whole
// revisions and at most limit events, but of at least one revision. It returns
// what the next page is to be older than, and false if the first revision alone
// is more than was read.
func cutPage(events []state.Event, limit, read int) (page []state.Event, next uint64, whole bool) {
	if len(events) <= limit {
		return append([]state.Event{}, events...), 0, true
	}
	end := limit
	for end > 0 && events[end-1].Revision == events[end].Revision {
		end--
	}
	if end == 0 {
		for end = limit; end < len(events) && events[end].Revision == events[0].Revision; end++ {
		}
	}
	switch {
	case end < len(events):
		return events[:end], events[end-1].Revision, true
	case len(events) < read:
		return events, 0, true
	}
	return events, events[end-1].Revision, false
}
