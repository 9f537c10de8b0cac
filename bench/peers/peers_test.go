package peers

import (
	"os"
	"strings"
	"testing"

	"sluice/configs"
)

var filled = settings{
	Listen: "127.0.0.1:21000", Admin: "127.0.0.1:21001", V1: "127.0.0.1:21002", V2: "127.0.0.1:21003",
	Dir: "/tmp/x", CookieName: CookieName, Weights: Weights{V1: 95, V2: 5},
}

func TestTemplatesNameBothBackends(t *testing.T) {
	for _, p := range All("/bin/sluice", "/bin/bench") {
		if p.Template == "" {
			continue
		}
		text, err := render(p.Template, filled)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		for _, want := range []string{filled.Listen, filled.V1, filled.V2, CookieName} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: its configuration doesn't name %s", p.Name, want)
			}
		}
	}
}

func TestVariantsDiffer(t *testing.T) {
	plain := filled
	splice := filled
	splice.Splice = true
	for _, tc := range []struct {
		template string
		s        settings
		has, not string
	}{
		{"haproxy", plain, "http-reuse always", "splice"},
		{"haproxy", splice, "option splice-auto\n", "{{"},
		{"nginx", plain, "proxy_buffers 8 32k", "{{"},
		{"nginx", settings{DefaultBuffers: true, CookieName: "c"}, "proxy_max_temp_file_size 0", "proxy_buffers"},
	} {
		text, err := render(tc.template, tc.s)
		if err != nil || !strings.Contains(text, tc.has) || strings.Contains(text, tc.not) {
			t.Errorf("%s: %v; want %q and no %q in:\n%s", tc.template, err, tc.has, tc.not, text)
		}
	}
}

func TestCaddyWeighsByRepetition(t *testing.T) {
	text, err := render("caddy", filled)
	if err != nil || strings.Count(text, filled.V1) != 19 || strings.Count(text, filled.V2) != 1 {
		t.Errorf("%v; want v1 19 times and v2 once in:\n%s", err, text)
	}
}

func TestSluiceTemplateIsAccepted(t *testing.T) {
	text, err := render("sluice", filled)
	if err != nil {
		t.Fatal(err)
	}
	file, err := configs.Parse("sluice.conf", []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if v2 := file.Services["web"].Versions["v2"]; v2.Weight != 5 {
		t.Errorf("v2 = %+v", v2)
	}
}

func TestRenderRefusesUnknownFields(t *testing.T) {
	if _, err := render("backend", struct{ Listen string }{"x"}); err == nil {
		t.Error("a template with missing values is no error")
	}
}

func TestCommitOf(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got := commitOf(self); !strings.Contains(got, "go1.") {
		t.Errorf("commitOf a Go program = %q", got)
	}
	if got := commitOf(t.TempDir()); got != "unknown" {
		t.Errorf("commitOf a folder = %q", got)
	}
}

func TestChoose(t *testing.T) {
	all := All("/bin/sluice", "/bin/bench")
	got, err := Choose(all, []string{"nginx", "haproxy"})
	if err != nil || len(got) != 2 || got[0].Name != "haproxy" {
		t.Errorf("Choose = %v, %v; want haproxy and nginx in the order of All", got, err)
	}
	if _, err := Choose(all, []string{"haproxi"}); err == nil || !strings.Contains(err.Error(), `unknown peer "haproxi"; known are sluice, haproxy`) {
		t.Errorf("error = %v", err)
	}
}
