package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every key of a shadow arrives where it belongs.
func TestShadow(t *testing.T) {
	data, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(filepath.Join(sandbox(t), "sluice.yaml"), data, env)
	if err != nil {
		t.Fatal(err)
	}
	want := &Shadow{
		To: "v1", Share: 1, Match: Match{Header: map[string]string{"X-Tenant": "*"}, Path: "/a", Method: "PUT"}, Methods: []string{"GET", "PUT"},
		AdditiveOnly: true, Headers: []string{}, Ignore: []string{"status", "body", "$", "$.a", "$[0]", "header x-took"},
		Secrets: []string{"pin"}, HideValues: true, MaxBody: 16 * MiB, Timeout: 10 * time.Millisecond, Least: 1,
	}
	if got := f.Services["web"].Shadow; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if f.Services["api"].Shadow != nil {
		t.Error("a service without the key has a shadow")
	}
}

// What is left out has its default, and lists that are too long are refused.
func TestShadowBounds(t *testing.T) {
	const service = `services: {web: {versions: {v1: {endpoints: ["127.0.0.1:9001"], weight: 1}}, shadow: {to: v1`
	f := mustParse(t, service+"}}}\n")
	want := DefaultShadow()
	want.To = "v1"
	if got := f.Services["web"].Shadow; !reflect.DeepEqual(got, &want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	_, err := Parse("sluice.yaml", []byte(service+", secrets: [a"+strings.Repeat(", a", maxShadowList)+"]}}}\n"), env)
	if err == nil || !strings.Contains(err.Error(), "services.web.shadow.secrets: 101 are too many; want at most 100") {
		t.Errorf("got %v", err)
	}
}
