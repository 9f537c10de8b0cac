package admin

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
)

// registerPlain registers the routes that are no typed operations: health, whose
// status depends on what it says, and what isn't JSON or never ends.
func (s *Server) registerPlain(a huma.API) {
	plain := func(pattern, id, summary, contentType string, h http.HandlerFunc) {
		s.routes.HandleFunc(pattern, h)
		describe(a, pattern, id, summary, contentType)
	}
	plain("GET /healthz", "healthz", "Whether the process runs", "text/plain", s.healthz)
	plain("GET /readyz", "readyz", "Whether the instance can serve: 200 or 503, with details", "application/json", s.readyz)
	plain("GET /metrics", "metrics", "Prometheus metrics", "text/plain", s.metrics)
	plain("GET /openapi.json", "openapi", "This document", "application/openapi+json", s.serveOpenAPI)
	plain("GET /v1/events", "events", "What happens, as server-sent events", "text/event-stream", s.events)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready := api.Readiness{Ready: true, Durable: true}
	if s.opts.Ready != nil {
		ready = s.opts.Ready()
	}
	if s.opts.Tokens != nil {
		if err := s.opts.Tokens.Err(); err != nil {
			ready.TokensError = err.Error()
		}
	}
	status := http.StatusOK
	if !ready.Ready {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if callerOf(r.Context()).Role < Viewer {
		_ = json.NewEncoder(w).Encode(map[string]bool{"ready": ready.Ready})
		return
	}
	_ = json.NewEncoder(w).Encode(ready)
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	if s.opts.Metrics == nil {
		writeProblem(w, notServed("this instance keeps no metrics", ""))
		return
	}
	s.opts.Metrics.ServeHTTP(w, r)
}

func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(s.openapi)
}
