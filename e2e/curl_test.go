package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dialects are the ways in which curl speaks HTTP.
var dialects = []struct {
	name   string
	secure bool
	args   []string
	status string // of curl's --write-out "%{http_version}"
	via    string // what the endpoint is told
}{
	{"HTTP1.0", false, []string{"--http1.0"}, "1.", "1.0 sluice"}, // a 1.0 request may be answered by 1.1
	{"HTTP1.1", false, []string{"--http1.1"}, "1.1", "1.1 sluice"},
	{"h2c", false, []string{"--http2-prior-knowledge"}, "2", "2 sluice"},
	{"HTTP1.0 TLS", true, []string{"--http1.0"}, "1.", "1.0 sluice"},
	{"HTTP1.1 TLS", true, []string{"--http1.1"}, "1.1", "1.1 sluice"},
	{"h2", true, []string{"--http2"}, "2", "2 sluice"},
	{"h2 TLS 1.2", true, []string{"--http2", "--tls-max", "1.2"}, "2", "2 sluice"},
}

// brokenReuse is where curl 7.88, which Debian 12 has, fails by itself at the
// second request of a connection ("Error in the HTTP2 framing layer"), whatever
// the server. nghttp and h2load do the same to Sluice.
const brokenReuse = "h2c"

// curl runs curl and returns the body and the fields that --write-out gives
// for format.
func (st *stand) curl(t *testing.T, format string, args ...string) (body []byte, written string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	all := append([]string{"--silent", "--show-error", "--max-time", "30", "--cacert", st.Authority.File, "--output", out, "--write-out", format}, args...)
	o := command(t, "curl", all...)
	if o.err != nil {
		t.Fatalf("curl: %v\n%s", o.err, o.stderr)
	}
	body, err := os.ReadFile(out)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return body, o.stdout
}

// TestCurl makes each kind of request in each version of HTTP.
func TestCurl(t *testing.T) {
	need(t, "curl")
	st := setUp(t)
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			get := func(format, path string, args ...string) ([]byte, string) {
				return st.curl(t, format, append(append(d.args, args...), st.url(d.secure, path))...)
			}
			for _, n := range []string{"0", "1", "16384", "3000000"} {
				body, got := get("%{http_code} %{http_version} %{size_download}", "/bytes?n="+n)
				version := strings.Fields(got)
				if version[0] != "200" || !strings.HasPrefix(version[1], d.status) || version[2] != n {
					t.Errorf("GET of %s bytes: %s", n, got)
				}
				if strings.Trim(string(body), "0123456789") != "" {
					t.Errorf("GET of %s bytes: another body", n)
				}
			}
			st.curlPosts(t, d.secure, d.args)
			_, got := get("%{http_code} %header{x-seen-via} %header{x-seen-proto} %header{x-version}", "/echo")
			proto := map[bool]string{false: "http", true: "https"}[d.secure]
			if want := "200 " + d.via + " " + proto + " v1"; got != want {
				t.Errorf("the endpoint saw %q, want %q", got, want)
			}
			if body, got := get("%{http_code} %header{content-length}", "/bytes?n=5000", "--head"); got != "200 5000" || strings.Contains(string(body), "01234") {
				t.Errorf("HEAD: %q", got)
			}
			if body, _ := get("", "/events?n=5&ms=1", "--no-buffer"); strings.Count(string(body), "data: v1") != 5 {
				t.Errorf("events: %q", body)
			}
			if _, got := get("%{http_code}", "/none"); got != "404" {
				t.Errorf("a path that is not there: %s", got)
			}
		})
	}
}

// curlPosts sends bodies of known and unknown length, with and without asking
// first.
func (st *stand) curlPosts(t *testing.T, secure bool, args []string) {
	t.Helper()
	for _, n := range []int{0, 1, 100_000, 3_000_000} {
		name := file(t, n)
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for kind, extra := range map[string][]string{
			"plain":  {"--data-binary", "@" + name},
			"asking": {"--data-binary", "@" + name, "-H", "Expect: 100-continue"},
			"upload": {"--upload-file", name},
			"chunks": {"--data-binary", "@" + name, "-H", "Transfer-Encoding: chunked"},
		} {
			if (kind == "chunks" || kind == "asking") && strings.Contains(strings.Join(args, " "), "http1.0") {
				continue // HTTP/1.0 has neither
			}
			if kind == "chunks" && strings.Contains(strings.Join(args, " "), "--http2") {
				extra = []string{"--request", "POST", "-H", "Content-Length:", "--data-binary", "@" + name}
			}
			body, got := st.curl(t, "%{http_code} %header{x-seen-method}", append(append(extra, args...), st.url(secure, "/echo"))...)
			method := map[bool]string{false: "POST", true: "PUT"}[kind == "upload"]
			if got != "200 "+method || string(body) != string(want) {
				t.Errorf("%s of %d bytes: %s, %d bytes came back", kind, n, got, len(body))
			}
		}
	}
}

// TestCurlKeepsConnections asks many times in one run: curl tells how many
// connections it made.
func TestCurlKeepsConnections(t *testing.T) {
	need(t, "curl")
	st := setUp(t)
	for _, d := range dialects {
		if strings.HasPrefix(d.name, "HTTP1.0") || d.name == brokenReuse {
			continue // by HTTP/1.0, each request has its own unless the client asks
		}
		t.Run(d.name, func(t *testing.T) {
			args := append([]string{}, d.args...)
			for range 10 {
				args = append(args, st.url(d.secure, "/bytes?n=100"), "--output", "/dev/null")
			}
			_, got := st.curl(t, "%{num_connects} %{http_code}\n", args...)
			if want := "1 200\n" + strings.Repeat("0 200\n", 9); got != want {
				t.Errorf("connections and codes:\n%s", got)
			}
		})
	}
}

// TestCurlInParallel has curl multiplex over HTTP/2 what it asks at once.
func TestCurlInParallel(t *testing.T) {
	need(t, "curl")
	st := setUp(t)
	for _, d := range dialects {
		if d.name == brokenReuse {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			args := append([]string{"--parallel", "--parallel-max", "20"}, d.args...)
			for range 50 {
				args = append(args, st.url(d.secure, "/bytes?n=50000"), "--output", "/dev/null")
			}
			_, got := st.curl(t, "%{http_code} %{size_download}\n", args...)
			if want := strings.Repeat("200 50000\n", 50); got != want {
				t.Errorf("answers:\n%s", got)
			}
		})
	}
}

// TestCurlKeepsItsCookie: the pin that curl keeps in its jar holds its session
// on one version, in every protocol.
func TestCurlKeepsItsCookie(t *testing.T) {
	need(t, "curl")
	st := setUp(t)
	st.rewrite(st.services(50, 50))
	jar := filepath.Join(t.TempDir(), "jar")
	first := ""
	for range 3 {
		for _, d := range dialects {
			if !d.secure {
				continue // the cookie was set over TLS, and is for TLS alone
			}
			args := append([]string{"--cookie", jar, "--cookie-jar", jar, st.url(true, "/echo")}, d.args...)
			_, got := st.curl(t, "%{http_code} %header{x-version}", args...)
			if first == "" {
				first = got
			}
			if got != first || !strings.HasPrefix(got, "200 v") {
				t.Errorf("%s: %q after %q", d.name, got, first)
			}
		}
	}
}
