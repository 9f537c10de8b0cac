package server

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/admin/api"
)

// watchFile makes a server follow its file, as `sluice serve` does.
func (s *sluice) watchFile() (hangup func()) {
	s.t.Helper()
	w, err := s.Watch(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return w.Reload
}

func TestAReloadThatDropsALiveVersionIsRefusedAndChangesNothing(t *testing.T) {
	services := web(t, 100, 0)
	path := write(t, t.TempDir(), plainListener, "state: {backend: memory}", services)
	s := start(t, path, Options{})
	revision := s.keeper.State().Revision
	rewrite(t, path, `listeners: [{name: other, address: "127.0.0.1:0"}]`, `services: {web: {versions: {v9: {endpoints: ["127.0.0.1:1"], weight: 1}}}}`)
	_, err := s.admin.Reload(t.Context())
	refused(t, err, 409, "the file drops versions that serve: web/v1 (live with weight 100); declare them until they are dark")
	stranger(t).get(s.url("edge", "/")).served(t, "v1")
	if got := s.keeper.State().Revision; got != revision {
		t.Errorf("the state moved from revision %d to %d", revision, got)
	}
	if len(s.Addrs()) != 1 {
		t.Errorf("it listens on %v", s.Addrs())
	}
}

func TestABadFileIsToldEverywhereAndChangesNothing(t *testing.T) {
	s := run(t, web(t, 100, 0))
	var told []api.Message
	var mu sync.Mutex
	go func() {
		for m, err := range s.admin.Events(t.Context(), "", "") {
			if err != nil {
				return
			}
			mu.Lock()
			told = append(told, m)
			mu.Unlock()
		}
	}()
	s.watchFile()
	rewrite(t, s.path, "services: {web: {version: {}}}")
	// The event stream may begin after the first reload, so that is repeated.
	await(t, "the event", func() bool {
		_ = s.Reload(t.Context())
		mu.Lock()
		defer mu.Unlock()
		for _, m := range told {
			if m.Kind == api.KindConfig && strings.Contains(string(m.Data), `services.web.version: unknown key`) {
				return true
			}
		}
		return false
	})
	if page := s.metricsPage(); strings.Contains(page, "sluice_config_reload_failures_total 0\n") || !strings.Contains(page, "sluice_config_reloads_total 0\n") {
		t.Error("the failure was not counted")
	}
	if s.logged("the file is refused; the one before stays in force") == 0 {
		t.Error("nothing was logged")
	}
	ready, err := s.admin.Ready(t.Context())
	if err != nil || !ready.Ready || !strings.Contains(ready.ConfigError, "services.web.version: unknown key") {
		t.Errorf("readiness %+v, %v", ready, err)
	}
	stranger(t).get(s.url("", "/")).served(t, "v1")

	rewrite(t, s.path, plainListener, "state: {backend: memory}", web(t, 0, 100))
	await(t, "the good file's day", func() bool { ready, err := s.admin.Ready(t.Context()); return err == nil && ready.ConfigError == "" })
	stranger(t).get(s.url("", "/")).served(t, "v2")
}

// load asks for something over and over until its end, and counts the answers
// that were not those of a version.
type load struct {
	stop     atomic.Bool
	requests atomic.Int64
	failed   atomic.Pointer[string]
	done     sync.WaitGroup
}

// begin starts clients, each on connections of its own, half of them with pins.
func (l *load) begin(t testing.TB, clients int, target string, fields ...string) {
	for i := range clients {
		v := stranger(t)
		if i%2 == 0 {
			v = v.browser()
		}
		l.run(v, target, fields...)
	}
}

// run starts one client.
func (l *load) run(v *visitor, target string, fields ...string) {
	l.done.Go(func() {
		for !l.stop.Load() {
			a, err := v.try(target, fields...)
			if err != nil || a.status != http.StatusOK {
				text := fmt.Sprintf("%d %q %v", a.status, a.body, err)
				l.failed.Store(&text)
			}
			l.requests.Add(1)
		}
	})
}

// end stops the clients and fails unless every request was answered.
func (l *load) end(t testing.TB) {
	t.Helper()
	l.stop.Store(true)
	l.done.Wait()
	if text := l.failed.Load(); text != nil {
		t.Errorf("a request failed: %s", *text)
	}
	if l.requests.Load() == 0 {
		t.Error("no request was made")
	}
}

// more lets the load make some more requests.
func (l *load) more(t testing.TB) {
	t.Helper()
	until := l.requests.Load() + 50
	await(t, "some more requests", func() bool { return l.requests.Load() >= until || l.failed.Load() != nil })
}

func TestReloadsUnderLoadFailNoRequest(t *testing.T) {
	v1, v2, other := backend(t, "v1"), backend(t, "v2"), backend(t, "other")
	file := func(endpoints, more, listener string) string {
		return `listeners: [{name: edge, address: "127.0.0.1:0"}` + listener + `]
state: {backend: memory}
routes: [{service: web}, {hosts: [x.test], service: web}` + strings.Repeat(`, {paths: [/api], service: api}`, strings.Count(more, "api:")) + `]
services:
  web:
    versions:
      v1: {endpoints: [` + endpoints + `], weight: 1}
` + more
	}
	path := write(t, t.TempDir(), file(v1, "", ""))
	s := start(t, path, Options{})
	var l load
	l.begin(t, 6, s.url("", "/"))
	for range 3 {
		for _, text := range []string{
			file(v1+", "+v2, "", ""), // an endpoint more
			file(v2, "", ""),         // and one less
			file(v1, "      v2: {endpoints: ["+v2+"]}\n", ""),                              // a version more
			file(v1, "", `, {name: two, address: "127.0.0.1:0"}`),                          // and less; a listener more
			file(v1, "  api: {versions: {v1: {endpoints: ["+other+"], weight: 1}}}\n", ""), // a service and a route
			file(v1, "    upstream: {retries: 2}\n    health: {path: /healthz}\n", ""),
			file(v1, "", ""),
		} {
			rewrite(t, path, text)
			s.reload()
			l.more(t)
		}
	}
	l.end(t)
	if got := len(s.Addrs()); got != 1 {
		t.Errorf("it listens on %d addresses", got)
	}
}

func TestAServiceAddedByAReloadIsServedAndAnotherRemoved(t *testing.T) {
	s := run(t, web(t, 100, 0))
	c := stranger(t)
	rewrite(t, s.path, plainListener, `services: {api: {versions: {v7: {endpoints: ["`+backend(t, "v7")+`"], weight: 1}}}}`)
	s.reload()
	c.get(s.url("", "/")).served(t, "v7")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fleet.members) != 1 || len(s.fleet.retired.open) != 3 {
		t.Errorf("%d services with members, %d clusters retired", len(s.fleet.members), len(s.fleet.retired.open))
	}
}

// Kubernetes mounts a config map as a link to a link to a directory, and swaps
// the link in the middle.
func TestAConfigMapThatIsSwappedIsReloadedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	first, second := web(t, 100, 0), web(t, 0, 100)
	put := func(name, services string) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), plainListener, "state: {backend: memory}", services)
	}
	swap := func(name string) {
		if err := os.Symlink(name, filepath.Join(dir, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	put("..1", first)
	put("..2", second)
	swap("..1")
	path := filepath.Join(dir, "sluice.yaml")
	if err := os.Symlink("..data/sluice.yaml", path); err != nil {
		t.Fatal(err)
	}
	s := start(t, path, Options{})
	s.watchFile()
	var l load
	l.begin(t, 4, s.url("", "/"))
	stranger(t).get(s.url("", "/")).served(t, "v1")
	swap("..2")
	await(t, "the flip by the file", func() bool { return stranger(t).get(s.url("", "/")).body == "v2" })
	l.more(t)
	l.end(t)
}

func TestAHangupReloadsAtOnce(t *testing.T) {
	s := run(t, web(t, 100, 0))
	hangup := s.watchFile()
	hangup() // the file is the same: still a reload
	await(t, "a reload", func() bool { return s.logged("the file was reloaded") == 1 })
	rewrite(t, s.path, plainListener, "state: {backend: memory}", web(t, 0, 100))
	hangup()
	await(t, "another", func() bool { return s.logged("the file was reloaded") >= 2 })
	stranger(t).get(s.url("", "/")).served(t, "v2")
}

func TestListenersOfOneAddressWithPortZeroAreTwo(t *testing.T) {
	services := web(t, 100, 0)
	path := write(t, t.TempDir(), `listeners:
  - {name: a, address: "127.0.0.1:0", limits: {uri_bytes: 300}}
  - {name: b, address: "127.0.0.1:0"}
state: {backend: memory}`, services)
	s := start(t, path, Options{})
	a, b := s.url("a", "/"), s.url("b", "/")
	if a == b {
		t.Fatalf("both are %s", a)
	}
	long := "?" + strings.Repeat("x", 400)
	c := stranger(t)
	if got := c.get(a + long).status; got != http.StatusRequestURITooLong {
		t.Errorf("beyond the limit of a: %d", got)
	}
	c.get(b+long).served(t, "v1")
	// A limit changes for connections to come; a listener that stays keeps its port.
	rewrite(t, path, `listeners: [{name: b, address: "127.0.0.1:0", limits: {uri_bytes: 300}}]`, "state: {backend: memory}", services)
	s.reload()
	if got := s.url("b", "/"); got != b {
		t.Errorf("b moved from %s to %s", b, got)
	}
	if got := stranger(t).get(b + long).status; got != http.StatusRequestURITooLong {
		t.Errorf("beyond the new limit of b: %d", got)
	}
	await(t, "the end of a", func() bool { _, err := stranger(t).try(a); return err != nil })
}

func TestAnAddressThatIsTakenRefusesTheReload(t *testing.T) {
	services := web(t, 100, 0)
	path := write(t, t.TempDir(), plainListener, "state: {backend: memory}", services)
	s := start(t, path, Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	rewrite(t, path, fmt.Sprintf("listeners: [{name: taken, address: %q}]", ln.Addr()), strings.Replace(services, "weight: 0", "weight: 9", 1))
	_, err = s.admin.Reload(t.Context())
	refused(t, err, 422, "address already in use")
	stranger(t).get(s.url("edge", "/")).served(t, "v1")
	if got := s.keeper.State().Services["web"].Versions["v2"].Weight; got != 0 {
		t.Errorf("v2 has weight %d", got)
	}
}

func TestSectionsThatNeedARestartAreNamedOnce(t *testing.T) {
	services := web(t, 100, 0)
	s := run(t, services)
	rewrite(t, s.path, plainListener, "state: {backend: bolt, path: other.db}", "log: {level: debug, access: {mode: all}}", services)
	s.reload()
	s.reload()
	got := map[string]int{}
	for _, line := range s.logs.FilterMessage("a change of the file waits for a restart").All() {
		got[line.ContextMap()["section"].(string)]++
	}
	if fmt.Sprint(got) != "map[log:1 state:1]" {
		t.Errorf("got %v", got)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(s.path), "other.db")); err == nil {
		t.Error("the other state was opened")
	}
}

func TestDoubtsAreLoggedOnce(t *testing.T) {
	services, dir := web(t, 100, 0), t.TempDir()
	readable := func(id string) string { // a key that is a doubt
		path := filepath.Join(dir, id)
		if err := os.WriteFile(path, []byte(strings.Repeat("k", 32)), 0o644); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("{id: %s, secret_file: %q}", id, path)
	}
	one, two := readable("one"), readable("two")
	s := run(t, "override: {keys: ["+one+"]}", services)
	s.reload()
	s.reload()
	if got := s.logged("a doubt about the file"); got != 1 {
		t.Errorf("logged %d times: %v", got, s.logs.All())
	}
	rewrite(t, s.path, plainListener, "state: {backend: memory}", "override: {keys: ["+one+", "+two+"]}", services)
	s.reload()
	if got := s.logged("a doubt about the file"); got != 2 {
		t.Errorf("logged %d times", got)
	}
}

func TestNoReloadComesAfterStop(t *testing.T) {
	s := run(t, web(t, 100, 0))
	s.watchFile()
	s.close()
	if err := s.Reload(t.Context()); err != errStopping {
		t.Errorf("got %v", err)
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	slow := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(began)
		<-finish
		w.Write([]byte("done"))
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go slow.Serve(ln)
	defer slow.Close()
	s := run(t, fmt.Sprintf("services: {web: {versions: {v1: {endpoints: [%q], weight: 1}}}}", ln.Addr()))
	target := s.url("", "/")
	got := make(chan answer, 1)
	c := stranger(t)
	go func() {
		a, err := c.try(target)
		if err != nil {
			a.body = err.Error()
		}
		got <- a
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	await(t, "the refusal of new connections", func() bool {
		nc, err := net.Dial("tcp", strings.Trim(target, "htp:/"))
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	ready, err := s.admin.Ready(t.Context())
	if err != nil || ready.Ready {
		t.Errorf("while it stops: %+v, %v", ready, err)
	}
	select {
	case err := <-stopped:
		t.Fatalf("it stopped before its request: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(finish)
	if a := <-got; a.body != "done" {
		t.Errorf("got %d %q", a.status, a.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestStopCutsOffWhatTakesTooLong(t *testing.T) {
	began := make(chan struct{}, 1)
	slow := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		<-r.Context().Done()
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go slow.Serve(ln)
	defer slow.Close()
	s := run(t, "graceful_stop: 50ms", fmt.Sprintf("services: {web: {versions: {v1: {endpoints: [%q], weight: 1}}, upstream: {response_timeout: 1s}}}", ln.Addr()))
	c := stranger(t)
	target := s.url("", "/")
	go c.try(target)
	<-began
	if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "1 busy connections were cut off") {
		t.Errorf("got %v", err)
	}
}
