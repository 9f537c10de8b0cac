package configs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the .err files of testdata/bad")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is the environment of the fixtures.
func env(name string) (string, bool) {
	switch name {
	case "EMPTY":
		return "", true
	case "PORT":
		return "9001", true
	case "WEIGHT":
		return "70", true
	case "OVERRIDE_SECRET":
		return strings.Repeat("s", 32), true
	case "YAML":
		return "[{a: b}]", true
	}
	return "", false
}

// Every fixture of testdata/bad is refused with exactly the text of the .err
// file beside it: go test ./configs -run TestBad -update rewrites those.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Parse(file, data, env)
			var errs Errors
			if f != nil || !errors.As(err, &errs) {
				t.Fatalf("got %v, %v; want Errors", f, err)
			}
			got := errs.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".err"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
			if wrapped := file + ": "; !strings.HasPrefix(mustFail(t, file, data), wrapped) {
				t.Errorf("the error does not begin with %q", wrapped)
			}
		})
	}
}

func mustFail(t *testing.T, name string, data []byte) string {
	t.Helper()
	_, err := Parse(name, data, env)
	if err == nil {
		t.Fatal("no error")
	}
	return err.Error()
}

func mustParse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse(filepath.Join("dir", "sluice.yaml"), []byte(text), env)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const leastFile = `services:
  web:
    versions:
      v1: {endpoints: ["127.0.0.1:9001"], weight: 100}
`

func TestLeastFile(t *testing.T) {
	f := mustParse(t, leastFile)
	l := DefaultListener()
	l.Name, l.Protocols = ":8080", []Protocol{H1}
	web := DefaultService()
	web.Pin.Name = "sluice_web"
	web.Versions = map[string]*Version{"v1": {Endpoints: []string{"127.0.0.1:9001"}, Weight: 100}}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"listeners", f.Listeners, []Listener{l}},
		{"admin", f.Admin, Admin{Address: "127.0.0.1:9900", ClientRole: Viewer}},
		{"state", f.State.Path, filepath.Join("dir", "sluice.db")},
		{"routes", f.Routes, []Route{{Paths: []string{"/"}, Service: "web"}}},
		{"services", f.Services, map[string]*Service{"web": &web}},
		{"graceful stop", f.GracefulStop, DefaultFile().GracefulStop},
		{"unsupported", len(f.Unsupported()), 0},
		{"warnings", len(f.Warnings), 0},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.what, c.got, c.want)
		}
	}
}

func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Parse(filepath.Join(sandbox(t), "sluice.yaml"), data, env); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	f := mustParse(t, `
services:
  web:
    versions:
      v1:
        endpoints: ["127.0.0.1:${PORT}", "${HOST:-localhost}:${PORT}"]
        weight: ${WEIGHT}
        tags: {a: "${YAML}", b: "$${PORT} $5", c: "${EMPTY:-x}${EMPTY}"}
`[1:])
	v := f.Services["web"].Versions["v1"]
	if want := []string{"127.0.0.1:9001", "localhost:9001"}; !reflect.DeepEqual(v.Endpoints, want) {
		t.Errorf("endpoints: got %q, want %q", v.Endpoints, want)
	}
	if v.Weight != 70 {
		t.Errorf("weight: got %d", v.Weight)
	}
	if v.Tags["a"] != "[{a: b}]" || v.Tags["b"] != "${PORT} $5" || v.Tags["c"] != "x" {
		t.Errorf("tags: got %q", v.Tags)
	}
}

func TestLoadMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(path)
	if want := path + ": cannot read it: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLine(t *testing.T) {
	f := mustParse(t, leastFile)
	for path, want := range map[string]int{
		"services.web":                          2,
		"services.web.versions.v1.endpoints[0]": 4,
		"services.web.versions.v1.shape.reads":  4,
		"admin.address":                         0,
		"":                                      0,
	} {
		if got := f.Line(path); got != want {
			t.Errorf("Line(%q) = %d, want %d", path, got, want)
		}
	}
}

// This build serves all of the design's example.
func TestUnsupported(t *testing.T) {
	data, err := os.ReadFile("testdata/good/design.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(filepath.Join(sandbox(t), "sluice.yaml"), data, env)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Unsupported(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestExamples(t *testing.T) {
	if want := []string{"demo", "edge", "migration", "sidecar"}; !reflect.DeepEqual(Examples(), want) {
		t.Fatalf("got %q, want %q", Examples(), want)
	}
	for _, name := range Examples() {
		data, err := Example(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(name+".yaml", data, env)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range f.Unsupported() {
			if u.Fatal {
				t.Errorf("%s: %v", name, u)
			}
		}
	}
	if _, err := Example("edeg"); err == nil || err.Error() != `there is no example "edeg"; did you mean "edge"?` {
		t.Errorf("got %v", err)
	}
}

// The edge example shows every key, with its default: without the keys that it
// sets to anything else, it is what the defaults are.
func TestEdgeExampleShowsDefaults(t *testing.T) {
	data, _ := Example("edge")
	f, err := Parse("edge.yaml", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	web := f.Services["web"]
	health := DefaultHealth()
	health.Path = "/healthz"
	pin := DefaultPin()
	pin.Name = "sluice_web"
	l := DefaultListener()
	ours, policy := f.Policies["ours"], new(Policy)
	policy.setDefaults()
	policy.Stages, policy.Hooks = ours.Stages, ours.Hooks
	probe := new(ProbeStage)
	probe.setDefaults()
	for _, c := range []struct{ got, want any }{
		{web.Upstream, DefaultUpstream()}, {web.Outlier, DefaultOutlier()},
		{web.Health, health}, {web.Pin, pin},
		{f.Listeners[0].Timeouts, l.Timeouts}, {f.Listeners[0].Limits, l.Limits},
		{web.Bad, DefaultBad()}, {ours, policy}, {ours.Stages[0].Probe, probe},
		{f.Log, DefaultFile().Log}, {f.GracefulStop, DefaultFile().GracefulStop},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %+v, want %+v", c.got, c.want)
		}
	}
	for _, key := range keysBelow(reflect.TypeFor[File]()) {
		if !strings.Contains(string(data), key) {
			t.Errorf("the edge example does not show the key %q", key)
		}
	}
}

func keysBelow(t reflect.Type) (keys []string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return keysBelow(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if tag := t.Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
				keys = append(append(keys, tag), keysBelow(t.Field(i).Type)...)
			}
		}
	}
	return keys
}
