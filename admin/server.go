package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"sluice/admin/api"
	"sluice/state"
)

// Control is the writer of the desired state; *state.Keeper is one.
type Control interface {
	// State returns the state in force.
	State() state.State
	// Do applies a command and commits what comes of it.
	Do(ctx context.Context, cmd state.Command, meta state.Meta) (state.Result, error)
	// OnChange registers f for every change from now on, by whomever.
	OnChange(f func(state.State, []state.Event))
	// Audit returns events, newest first, as state.Store.Audit does.
	Audit(ctx context.Context, service string, before uint64, limit int) ([]state.Event, error)
}

// Live tells how the versions do.
type Live interface {
	// Numbers returns numbers by service and version: of one service, or of
	// all if service is "". Versions without numbers may be left out.
	// ErrorRate is filled in by the caller.
	Numbers(service string) map[string]map[string]api.Numbers
	// Totals returns what no version can be charged with.
	Totals() api.Totals
}

// Options is what a Server works with. Control is demanded; a route whose
// function is nil answers 501.
type Options struct {
	Control Control
	Live    Live // nil: all numbers are 0
	// Explain tells how a request would be routed.
	Explain func(ExplainRequest) (api.Explanation, error)
	// SignToken signs an override token for a subject.
	SignToken func(subject string, overrides map[string]string, expires time.Time) (string, error)
	// Facts tells what this process sees of services, for rollbacks that are only
	// thought through; nil: nothing.
	Facts func(services []string) *state.Facts
	// Ready tells whether the instance can serve; nil: always ready.
	Ready func() api.Readiness
	// Metrics serves the Prometheus exposition.
	Metrics http.Handler
	// Diff compares the file with the state.
	Diff func() (api.Diff, error)
	// Rollouts tells what rollouts need and show beside the state.
	Rollouts Rollouts
	// Probe runs journeys against a version, those of the service where none is
	// named. A run that failed is no error.
	Probe func(ctx context.Context, service, version string, journeys []string) (api.Probe, error)
	// Matrix tells of all runs of journeys; nil answers 501.
	Matrix Matrix
	// Shadows tells how versions of a service answer copies of requests, those first
	// that get some now.
	Shadows func(service string) []api.Shadow
	// Reload reads the file anew; an error means that nothing changed.
	Reload func(context.Context) error
	// Tokens knows the callers; nil: everybody who reaches the server is the
	// administrator, which CheckAddress keeps to this machine.
	Tokens *Tokens
	// ClientRole is the role of callers whom a verified client certificate names,
	// where there are no Tokens; 0 means Viewer.
	ClientRole Role
	// Heartbeat is how often an idle event stream gets a comment, so that
	// dead connections are found; 0 means DefaultHeartbeat.
	Heartbeat time.Duration
	Log       *zap.Logger      // nil: no log
	Now       func() time.Time // nil: time.Now
	Version   string           // the program's, for the OpenAPI document
}

// The limits of the server.
const (
	// DefaultHeartbeat stays below the 30 s after which common middleboxes
	// drop a silent connection.
	DefaultHeartbeat = 15 * time.Second
	// MaxBody is the size in bytes from which on a request's body is refused.
	MaxBody = 1 << 20
	// changeTimeout bounds a change, which goes on when its caller leaves.
	changeTimeout = 30 * time.Second
)

// Server is the admin API as an http.Handler.
type Server struct {
	opts    Options
	log     *zap.Logger
	routes  *routes
	hub     *hub
	openapi []byte
}

// New returns a server and registers it for changes of the state.
func New(opts Options) (*Server, error) {
	if opts.Control == nil {
		return nil, errors.New("admin: Options.Control is missing")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.ClientRole == Public {
		opts.ClientRole = Viewer
	}
	if opts.Heartbeat <= 0 {
		opts.Heartbeat = DefaultHeartbeat
	}
	s := &Server{opts: opts, log: opts.Log, hub: newHub()}
	if err := s.register(); err != nil {
		return nil, err
	}
	opts.Control.OnChange(func(_ state.State, events []state.Event) {
		for _, e := range events {
			s.hub.publish(api.KindState, e.Service, e)
		}
	})
	return s, nil
}

// register builds the routes and the OpenAPI document.
func (s *Server) register() error {
	s.routes = newRoutes(s.gate)
	a := newAPI(s.routes, s.opts.Version)
	s.registerServices(a)
	s.registerChanges(a)
	s.registerSafety(a)
	s.registerHistory(a)
	s.registerRollouts(a)
	s.registerTools(a)
	s.registerProbe(a)
	s.registerMatrix(a)
	s.registerShadow(a)
	s.registerPlain(a)
	s.registerProfiles()
	var err error
	if s.openapi, err = document(a); err != nil {
		return fmt.Errorf("admin: the OpenAPI document: %w", err)
	}
	return nil
}

// Close ends the event streams, so that a graceful stop of the HTTP server does
// not wait for them. It may be called more than once.
func (s *Server) Close() { s.hub.close() }

// PublishHealth sends a change of an endpoint to the event streams.
func (s *Server) PublishHealth(e api.HealthEvent) { s.hub.publish(api.KindHealth, e.Service, e) }

// PublishConfig sends the outcome of a reload to the event streams.
func (s *Server) PublishConfig(e api.ConfigEvent) { s.hub.publish(api.KindConfig, "", e) }

// HTTP returns an HTTP server for the API with timeouts against callers that
// dawdle; the caller adds listener and TLS. Event streams lift the timeouts for
// themselves, and end at its Shutdown.
func (s *Server) HTTP() *http.Server {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       75 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(s.log),
	}
	srv.RegisterOnShutdown(s.Close)
	return srv
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.recoverFrom(r)
	// Answers are about this moment and for this caller.
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.routes.ServeHTTP(w, r)
}

// recoverFrom turns a panic of a handler into an aborted answer and a line in
// the log. huma panics when it can't write an answer, as to a caller who left.
func (s *Server) recoverFrom(r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler && r.Context().Err() == nil {
		s.log.Error("admin: a request failed", zap.String("method", r.Method),
			zap.String("path", r.URL.Path), zap.Any("panic", v), zap.Stack("stack"))
	}
	panic(http.ErrAbortHandler)
}

// add registers a typed operation.
func add[I, O any](a huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.RejectUnknownQueryParameters = true
	op.MaxBodyBytes = MaxBody
	op.Metadata = map[string]any{metaKeys: bodyKeys(reflect.TypeFor[I]())}
	op.Responses = map[string]*huma.Response{"default": problemResponse(a)}
	huma.Register(a, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		return out, later(err)
	})
}
