package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"sluice/admin/api"
)

// accessTable says which role a route asks for at least. A route that is
// missing here asks for Admin, and a test fails.
func accessTable() map[string]Role {
	return map[string]Role{
		"GET /healthz":                             Public,
		"GET /readyz":                              Public,
		"GET /metrics":                             Viewer,
		"GET /openapi.json":                        Viewer,
		"GET /v1/services":                         Viewer,
		"GET /v1/services/{s}":                     Viewer,
		"GET /v1/services/{s}/history":             Viewer,
		"GET /v1/services/{s}/rollback":            Viewer,
		"GET /v1/audit":                            Viewer,
		"GET /v1/stats":                            Viewer,
		"GET /v1/diff":                             Viewer,
		"GET /v1/matrix":                           Viewer,
		"GET /v1/events":                           Viewer,
		"GET /v1/rollouts":                         Viewer,
		"GET /v1/rollouts/{id}":                    Viewer,
		"GET /v1/rollouts/{id}/progress":           Viewer,
		"GET /v1/services/{s}/rollouts":            Viewer,
		"GET /v1/services/{s}/queue":               Viewer,
		"GET /v1/services/{s}/shadow":              Viewer,
		"POST /v1/services/{s}/rollouts":           Deployer,
		"POST /v1/rollouts":                        Deployer,
		"POST /v1/rollouts/{id}/pause":             Deployer,
		"POST /v1/rollouts/{id}/resume":            Deployer,
		"POST /v1/rollouts/{id}/abort":             Deployer,
		"POST /v1/rollouts/{id}/promote":           Operator,
		"PUT /v1/rollouts/{id}/place":              Operator,
		"POST /v1/explain":                         Tester,
		"POST /v1/tokens":                          Tester,
		"POST /v1/services/{s}/versions/{v}/probe": Tester,
		"GET /v1/matrix/{s}/{v}/{j}":               Tester, // it shows what was exchanged
		"PUT /v1/services/{s}/weights":             Deployer,
		"PUT /v1/services/{s}/versions/{v}":        Deployer,
		"DELETE /v1/services/{s}/versions/{v}":     Deployer,
		"PUT /v1/services/{s}/level":               Deployer, // behind a barrier: Operator
		"PUT /v1/services/{s}/barrier":             Deployer, // to lift it: Operator
		"PUT /v1/services/{s}/versions/{v}/drain":  Operator,
		"POST /v1/services/{s}/rollback":           Operator,
		"POST /v1/services/{s}/pins/void":          Operator,
		"POST /v1/reload":                          Admin,
		"GET /debug/pprof/{$}":                     Admin,
		"GET /debug/pprof/{profile}":               Admin,
		"GET /debug/pprof/cmdline":                 Admin,
		"GET /debug/pprof/profile":                 Admin,
		"GET /debug/pprof/symbol":                  Admin,
		"GET /debug/pprof/trace":                   Admin,
	}
}

// routes is the standard mux, which wraps each handler in the gate and knows
// what was registered.
type routes struct {
	mux      *http.ServeMux
	gate     func(pattern string, next http.HandlerFunc) http.HandlerFunc
	patterns []string
}

func newRoutes(gate func(string, http.HandlerFunc) http.HandlerFunc) *routes {
	return &routes{mux: http.NewServeMux(), gate: gate}
}

// HandleFunc registers a handler behind the gate.
func (m *routes) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.mux.HandleFunc(pattern, m.gate(pattern, h))
}

// ServeHTTP finds the route. What the mux itself would refuse in plain text
// becomes a problem.
func (m *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := m.mux.Handler(r)
	if pattern != "" {
		m.mux.ServeHTTP(w, r)
		return
	}
	refused := &headOnly{header: http.Header{}, status: http.StatusNotFound}
	h.ServeHTTP(refused, r)
	if allow := refused.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		writeProblem(w, &api.Problem{Status: http.StatusMethodNotAllowed,
			Detail: fmt.Sprintf("%s is not served here", r.Method), Remedy: "use " + allow})
		return
	}
	writeProblem(w, &api.Problem{Status: http.StatusNotFound,
		Detail: "there is no such resource", Remedy: "/openapi.json lists those there are"})
}

// headOnly keeps the head of an answer and drops its body.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header         { return h.header }
func (h *headOnly) WriteHeader(status int)      { h.status = status }
func (h *headOnly) Write(b []byte) (int, error) { return len(b), nil }

// newAPI returns a huma API without the documentation routes, which load
// scripts from elsewhere, and without schema links in answers.
func newAPI(m *routes, version string) huma.API {
	if version == "" {
		version = "dev"
	}
	config := huma.DefaultConfig("Sluice admin API", version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{reshapeProblem}
	config.Info.Description = "Services, their versions and weights; errors are RFC 9457 problems."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "A token of the token file; not asked for where there is no such file."},
	}
	config.Security = []map[string][]string{{"token": {}}, {}}
	return humago.New(m, config)
}

// problemResponse documents the answer of an operation that failed.
func problemResponse(a huma.API) *huma.Response {
	schema := a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[api.Problem](), true, "Problem")
	return &huma.Response{Description: "What is wrong and what would work",
		Content: map[string]*huma.MediaType{api.ProblemType: {Schema: schema}}}
}

// describe adds a route that is served by a plain handler to the document.
func describe(a huma.API, pattern, id, summary, contentType string) {
	method, path, _ := strings.Cut(pattern, " ")
	a.OpenAPI().AddOperation(&huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary,
		Responses: map[string]*huma.Response{
			"200":     {Description: "OK", Content: map[string]*huma.MediaType{contentType: {}}},
			"default": problemResponse(a),
		}})
}

// document returns the OpenAPI document. huma's own error type, which
// reshapeProblem replaces, is left out.
func document(a huma.API) ([]byte, error) {
	schemas := a.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	return json.MarshalIndent(a.OpenAPI(), "", "  ")
}
