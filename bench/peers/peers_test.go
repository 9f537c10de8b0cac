package peers

import (
	"crypto/tls"
	"crypto/x509"
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

func TestTLSIsInEveryTemplate(t *testing.T) {
	secure := filled
	secure.TLS = &Certificate{Cert: "/tmp/x/cert.pem", Key: "/tmp/x/key.pem", Both: "/tmp/x/both.pem"}
	for name, want := range map[string]string{
		"sluice":  `tls: {certificates: [{cert: "/tmp/x/cert.pem", key: "/tmp/x/key.pem"}]}`,
		"haproxy": "bind 127.0.0.1:21000 backlog 4096 ssl crt /tmp/x/both.pem alpn h2,http/1.1\n",
		"nginx":   "listen 127.0.0.1:21000 backlog=4096 ssl http2;\n        ssl_certificate /tmp/x/cert.pem;",
		"caddy":   "https://127.0.0.1:21000 {\n\ttls /tmp/x/cert.pem /tmp/x/key.pem\n",
	} {
		text, err := render(name, secure)
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q in:\n%s", name, err, want, text)
		}
		if text, err = render(name, filled); err != nil || strings.Contains(text, "TLS_AES") || strings.Contains(text, ".pem") {
			t.Errorf("%s, in the clear: %v; TLS in:\n%s", name, err, text)
		}
	}
}

func TestPeerRunsTwice(t *testing.T) {
	plain := Peer{Name: "nginx"}
	secure := Peer{Name: "nginx", TLS: &Certificate{}}
	if plain.folder() == secure.folder() {
		t.Errorf("both run in %s", plain.folder())
	}
	for _, tc := range []struct {
		p    Peer
		want string
	}{{plain, "http://127.0.0.1:1/200"}, {secure, "https://127.0.0.1:1/200"}} {
		if got := (&Running{Peer: tc.p, Address: "127.0.0.1:1"}).URL("/200"); got != tc.want {
			t.Errorf("URL = %s, want %s", got, tc.want)
		}
	}
}

func TestCertificate(t *testing.T) {
	c, err := NewCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, files := range [][2]string{{c.Cert, c.Key}, {c.Both, c.Both}} {
		pair, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "127.0.0.1", Roots: c.Client.RootCAs}); err != nil {
			t.Error(err)
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
	certificate, err := NewCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	secure := filled
	secure.TLS = certificate
	for _, s := range []settings{filled, secure} {
		accept(t, s)
	}
}

func accept(t *testing.T, s settings) {
	t.Helper()
	text, err := render("sluice", s)
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
