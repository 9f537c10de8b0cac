package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOpenAPI(t *testing.T) {
	s := newServer(t, Options{Version: "1.2.3"})
	a := ask(s, "GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Responses   map[string]json.RawMessage
		}
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.status != 200 {
		t.Fatalf("%d %v", a.status, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Info.Version != "1.2.3" {
		t.Errorf("%s %s", doc.OpenAPI, doc.Info.Version)
	}
	for _, pattern := range s.routes.patterns {
		if strings.Contains(pattern, "/debug/pprof/") {
			continue
		}
		method, path, _ := strings.Cut(pattern, " ")
		op, ok := doc.Paths[path][strings.ToLower(method)]
		if !ok || op.OperationID == "" || op.Summary == "" {
			t.Errorf("%s is not described", pattern)
		}
		if !strings.Contains(string(op.Responses["default"]), "#/components/schemas/Problem") {
			t.Errorf("%s: errors are described as %s", pattern, op.Responses["default"])
		}
	}
	// Every schema that is named is there.
	for _, part := range strings.Split(a.body, `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("the schema %s is missing", name)
		}
	}
	if doc.Components.Schemas["ErrorModel"] != nil {
		t.Error("huma's errors are described, which nobody gets")
	}
}
