package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sluice is a running server over real sockets, made from a file in a directory
// of its own.
type sluice struct {
	*Server
	t        testing.TB
	path     string // of the file
	logs     *observer.ObservedLogs
	requests text // the access log
	admin    *client.Client
}

// text is what was written.
type text struct {
	mu sync.Mutex
	b  strings.Builder
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// preamble begins every file of the tests.
const preamble = `admin: {address: "127.0.0.1:0"}
`

// plainListener is the listener of files that need nothing special.
const plainListener = `listeners: [{name: edge, address: "127.0.0.1:0", trusted_proxies: [127.0.0.2/32]}]
`

// write writes a file and returns its path; lines are joined.
func write(t testing.TB, dir string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, "sluice.yaml")
	rewrite(t, path, lines...)
	return path
}

// rewrite replaces a file by a rename, as editors do.
func rewrite(t testing.TB, path string, lines ...string) {
	t.Helper()
	text := preamble + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// run starts a server with a file of these lines, in a new directory, with its
// state in memory.
func run(t testing.TB, lines ...string) *sluice {
	t.Helper()
	return start(t, write(t, t.TempDir(), append([]string{plainListener, "state: {backend: memory}"}, lines...)...), Options{})
}

// start starts a server from a file; it stops with the test.
func start(t testing.TB, path string, opt Options) *sluice {
	t.Helper()
	s := &sluice{t: t, path: path}
	var core zapcore.Core
	core, s.logs = observer.New(zapcore.DebugLevel)
	opt.Log, opt.AccessLog = zap.New(core), &s.requests
	file, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if s.Server, err = Start(t.Context(), file, opt); err != nil {
		t.Fatal(err)
	}
	s.admin, err = client.New(client.Config{Base: "http://" + s.AdminAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// close stops the server, once.
func (s *sluice) close() {
	s.admin.Close()
	if s.mu.Lock(); s.closed {
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if err := s.Stop(); err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// url returns an address on a listener; "": of "edge".
func (s *sluice) url(listener, path string) string {
	if listener == "" {
		listener = "edge"
	}
	addr := s.Addrs()[listener]
	if addr == nil {
		s.t.Fatalf("no listener %s", listener)
	}
	return "http://" + addr.String() + path
}

// flip sets weights through the API.
func (s *sluice) flip(service, pins string, weights map[string]int) *api.Change {
	s.t.Helper()
	change, err := s.admin.SetWeights(s.t.Context(), service, api.Weights{Weights: weights, Pins: pins, Reason: "test"}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return change
}

// all gives a version every new session.
func all(version string) map[string]int { return map[string]int{version: 100} }

// reload makes the server take its file as it is now.
func (s *sluice) reload() {
	s.t.Helper()
	if _, err := s.admin.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// logged returns how many lines of a message the log has.
func (s *sluice) logged(message string) int { return s.logs.FilterMessage(message).Len() }

// await waits for a condition.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("%s did not come about", what)
}

// backend serves as one version: it answers with its name, and with what it was
// told by the proxy in fields that begin with "Got-".
func backend(t testing.TB, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, field := range []string{"Sluice-Version", "Sluice-Shape", "Sluice-Rule", "Sluice-Override", "Sluice-Session-Moved", "Sluice-Token", "Cookie", "Baggage"} {
			if v := r.Header.Get(field); v != "" {
				w.Header().Set("Got-"+field, v)
			}
		}
		w.Header().Set("Got-Target", r.URL.String())
		io.WriteString(w, name)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// dead returns an address where nobody listens.
func dead(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// visitor is a client; a browser has a jar for its cookies.
type visitor struct {
	t    testing.TB
	http *http.Client
}

// stranger returns a client without cookies: each request is a new session.
func stranger(t testing.TB) *visitor {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t, &http.Client{
		Transport: transport, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// browser returns a client on the same connections with a cookie jar of its own.
func (v *visitor) browser() *visitor {
	jar, _ := cookiejar.New(nil) // fails for no options
	c := *v.http
	c.Jar = jar
	return &visitor{v.t, &c}
}

// from returns a client that connects from another loopback address.
func from(t testing.TB, ip string) *visitor {
	v := stranger(t)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	v.http.Transport.(*http.Transport).DialContext = dialer.DialContext
	return v
}

// try sends a GET; fields come as "name: value".
func (v *visitor) try(target string, fields ...string) (answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Set(name, value)
	}
	res, err := v.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body)}, err
}

// get sends a GET that must be answered.
func (v *visitor) get(target string, fields ...string) answer {
	v.t.Helper()
	a, err := v.try(target, fields...)
	if err != nil {
		v.t.Fatal(err)
	}
	return a
}

// cookie returns the value of a cookie in the browser's jar.
func (v *visitor) cookie(target, name string) string {
	u, err := url.Parse(target)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range v.http.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// served fails unless a version answered.
func (a answer) served(t testing.TB, version string) {
	t.Helper()
	if a.status != http.StatusOK || a.body != version {
		t.Fatalf("got %d %q, want %s", a.status, a.body, version)
	}
}

// web returns a service "web" with v1 and v2 at these weights, and dark at 0,
// each of a backend of its own; more is indented by four and added.
func web(t testing.TB, v1, v2 int, more ...string) string {
	t.Helper()
	text := fmt.Sprintf(`services:
  web:
    versions:
      v1: {endpoints: [%q], weight: %d}
      v2: {endpoints: [%q], weight: %d}
      dark: {endpoints: [%q]}
`, backend(t, "v1"), v1, backend(t, "v2"), v2, backend(t, "dark"))
	for _, line := range more {
		text += "    " + line + "\n"
	}
	return text
}

// startFile loads a file and starts with it.
func startFile(t testing.TB, path string, opt Options) (*Server, error) {
	t.Helper()
	file, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return Start(t.Context(), file, opt)
}

// refuseOne sends a request that is none.
func (s *sluice) refuseOne() {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.Addrs()["edge"].String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
	io.Copy(io.Discard, nc)
}
