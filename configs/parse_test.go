package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What aliases come to is bounded: 50,000 bytes come to more than a million values.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "services:\n  web:\n    versions:\n      v: {weight: 1, endpoints: &e [%s]}\n", strings.Repeat(`"a:1",`, 1000))
	for i := range 1200 {
		fmt.Fprintf(&b, "      v%d: {endpoints: *e}\n", i)
	}
	_, err := Parse("bomb.yaml", []byte(b.String()), nil)
	if err == nil || !strings.Contains(err.Error(), "the file comes to more than 1000000 values; use fewer aliases") {
		t.Fatalf("got %.300v", err)
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, err := Parse("x.yaml", []byte(leastFile+"routes:\n"+strings.Repeat("  - {service: x, y: z}\n", 1000)), nil)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != maxErrors {
		t.Fatalf("got %d errors", len(errs))
	}
}

func TestFileTooLong(t *testing.T) {
	_, err := Parse("x.yaml", make([]byte, maxFile+1), nil)
	if err == nil || err.Error() != "x.yaml: the file is longer than 16777216 bytes" {
		t.Fatalf("got %v", err)
	}
}

func TestTooManyRulesAndListeners(t *testing.T) {
	text := "listeners:\n" + strings.Repeat("  - {}\n", maxListeners+1) +
		leastFile + "    rules:\n" + strings.Repeat("      - {}\n", maxRules+1)
	_, err := Parse("x.yaml", []byte(text), nil)
	for _, want := range []string{"101 listeners are more than 100", "1001 rules are more than 1000"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	dir := sandbox(t)
	if err := os.Chmod(filepath.Join(dir, "keys/override.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(filepath.Join(dir, "sluice.yaml"), []byte(`override:
  keys:
    - {id: a, secret_file: keys/override.key}
    - {id: b, secret: "${OVERRIDE_SECRET}"}
`+leastFile), env)
	if err != nil {
		t.Fatal(err)
	}
	keys := f.Override.Keys
	if got := string(keys[0].Secret.Bytes()); got != strings.Repeat("k", 32) {
		t.Errorf("secret_file: got %q", got)
	}
	if got := string(keys[1].Secret.Bytes()); got != strings.Repeat("s", 32) {
		t.Errorf("secret: got %q", got)
	}
	if len(f.Warnings) != 1 || f.Warnings[0].Line != 3 || !strings.Contains(f.Warnings[0].Msg, "can be read by everyone") {
		t.Errorf("warnings: got %v", f.Warnings)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, keys); strings.Contains(text, "kkk") || strings.Contains(text, "sss") {
			t.Errorf("%s shows a secret: %s", format, text)
		}
	}
}

func TestCertificateOfAnotherKey(t *testing.T) {
	_, err := Parse(filepath.Join(sandbox(t), "sluice.yaml"), []byte(
		"listeners: [{tls: {certificates: [{cert: certs/shop.pem, key: certs/other.key}]}}]\n"+leastFile), nil)
	if err == nil || !strings.Contains(err.Error(), "line 1: listeners[0].tls.certificates[0]: the certificate cannot be used: tls: private key does not match") {
		t.Fatalf("got %v", err)
	}
}

func TestAdminMayBeOpenedSafely(t *testing.T) {
	dir := sandbox(t)
	for _, admin := range []string{
		`{address: "127.9.9.9:9900"}`, `{address: "[::1]:9900"}`, `{address: "localhost:9900"}`,
		`{address: ":9900", tokens_file: tokens}`,
		`{address: ":9900", tls: {certificates: [{cert: certs/shop.pem, key: certs/shop.key}], client_ca: certs/shop.pem}}`,
	} {
		if _, err := Parse(filepath.Join(dir, "sluice.yaml"), []byte("admin: "+admin+"\n"+leastFile), nil); err != nil {
			t.Errorf("%s: %v", admin, err)
		}
	}
	_, err := Parse(filepath.Join(dir, "sluice.yaml"), []byte(
		`admin: {address: ":9900", tls: {certificates: [{cert: certs/shop.pem, key: certs/shop.key}]}}`+"\n"+leastFile), nil)
	if err == nil {
		t.Error("TLS without client certificates lets anyone in")
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", maxName)
	for s, want := range map[string][3]bool{ // isName, isServiceName, isToken
		"web": {true, true, true}, "v1.2-rc_3": {true, true, true}, "V1": {true, false, true}, "1": {true, false, true},
		"": {}, "-a": {false, false, true}, "a b": {}, "é": {}, long: {true, true, true}, long + "a": {false, false, true}, "a/b": {}, "a!": {false, false, true},
	} {
		if got := [3]bool{isName(s), isServiceName(s), isToken(s)}; got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "65536": 65536, "64KiB": 64 * KiB, "10 MiB": 10 * MiB, "1GiB": GiB, "8589934591GiB": 8589934591 * GiB} {
		var s Size
		if err := s.decodeText(text); err != nil || s != want {
			t.Errorf("%s: got %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "KiB", "+1", "-1", "1.5MiB", "1kib", "1e3", "9223372036854775808", "8589934592GiB", "0x10", "1_000"} {
		var s Size
		if err := s.decodeText(text); err == nil {
			t.Errorf("%q: got %d", text, s)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":80", ":80", true}, {":80", "127.0.0.1:80", true}, {"[::]:80", "0.0.0.0:80", true}, {"0.0.0.0:80", "10.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:80", true}, {"[::1]:80", "[0::1]:80", true},
		{":80", ":81", false}, {":0", ":0", false}, {"127.0.0.1:80", "127.0.0.2:80", false}, {"0.0.0.0:80", "[::1]:80", false}, {"a:80", "b:80", false},
	} {
		if overlap(c.a, c.b) != c.want || overlap(c.b, c.a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}

// A request as far as matches look at it.
type request struct {
	header, cookie, query map[string]string
	client                netip.Addr
	path, method          string
}

// takes is what a match means, written plainly.
func takes(m *Match, r request) bool {
	values := func(patterns, given map[string]string) bool {
		for name, p := range patterns {
			v, ok := given[name]
			if !ok || !(p == v || strings.HasSuffix(p, "*") && strings.HasPrefix(v, p[:len(p)-1])) {
				return false
			}
		}
		return true
	}
	inside := len(m.Client) == 0
	for _, p := range m.Client {
		inside = inside || p.Contains(r.client)
	}
	path := m.Path == "" || m.Path == "/" || r.path == m.Path || strings.HasPrefix(r.path, m.Path+"/")
	return inside && path && (m.Method == "" || m.Method == r.method) &&
		values(m.Header, r.header) && values(m.Cookie, r.cookie) && values(m.Query, r.query)
}

// A match that covers another takes every request that the other takes.
func TestCoversAgainstMeaning(t *testing.T) {
	values := rapid.SampledFrom([]string{"a", "ab", "abc", "b"})
	names := rapid.SampledFrom([]string{"x", "y"})
	patterns := rapid.MapOfN(names, rapid.SampledFrom([]string{"*", "a", "a*", "ab", "ab*", "b"}), 0, 2)
	given := rapid.MapOfN(names, values, 0, 2)
	paths := rapid.SampledFrom([]string{"/", "/a", "/a/b", "/ab"})
	methods := rapid.SampledFrom([]string{"GET", "POST"})
	networks := rapid.SampledFrom([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::/0")})
	match := rapid.Custom(func(t *rapid.T) *Match {
		m := &Match{Header: patterns.Draw(t, "header"), Client: rapid.SliceOfN(networks, 0, 2).Draw(t, "client")}
		if rapid.Bool().Draw(t, "more") {
			m.Query, m.Path, m.Method = patterns.Draw(t, "query"), paths.Draw(t, "path"), methods.Draw(t, "method")
		}
		return m
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := match.Draw(t, "a"), match.Draw(t, "b")
		r := request{given.Draw(t, "header"), nil, given.Draw(t, "query"),
			rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("::1")}).Draw(t, "client"),
			paths.Draw(t, "path"), methods.Draw(t, "method")}
		if !covers(a, a) {
			t.Fatalf("%+v does not cover itself", a)
		}
		if covers(a, b) && takes(b, r) && !takes(a, r) {
			t.Fatalf("%+v covers %+v but does not take %+v", a, b, r)
		}
	})
}

// BenchmarkParse reads 1,000 services of five versions.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("routes: [{service: s0}]\nservices:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "  s%d:\n    versions:\n", i)
		for v := range 5 {
			fmt.Fprintf(&text, "      v%d: {endpoints: [\"10.0.0.1:%d\", \"10.0.0.2:%d\"], weight: 1, tags: {commit: abc}}\n", v, i+1, i+1)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("x.yaml", []byte(text.String()), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64<<10 {
			return
		}
		file, err := Parse("/nowhere/sluice.yaml", data, env)
		var errs Errors
		switch {
		case err == nil:
			if len(file.Services) == 0 || len(file.Routes) == 0 || len(file.Listeners) == 0 {
				t.Fatal("a file that serves nothing was taken")
			}
			file.Unsupported()
		case file != nil || !errors.As(err, &errs) || len(errs) == 0 || len(errs) > maxErrors:
			t.Fatalf("got %v, %v", file, err)
		}
	})
}
