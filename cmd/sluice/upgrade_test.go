package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/admin/client"
	"sluice/handover"
)

// installation is a Sluice that runs as processes of their own, one after the
// other.
type installation struct {
	t     *testing.T
	dir   string
	proxy string // address
	admin *client.Client
	env   []string

	adminURL string
	args     []string // of serve, besides the file and the pid file
	log      string   // file with what all processes wrote to standard error

	mu   sync.Mutex
	pids []int // that the pid file ever named
}

// echo answers with the version's name and the length of the body.
func echo(t *testing.T, name string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if d, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
			w.(http.Flusher).Flush()
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			}
		}
		fmt.Fprintf(w, "%s %d", name, n)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// install writes a file with the lines and two versions of a service.
func install(t *testing.T, lines ...string) *installation {
	t.Helper()
	proxy, admin, err := freeAddresses()
	if err != nil {
		t.Fatal(err)
	}
	in := &installation{t: t, dir: t.TempDir(), proxy: proxy, adminURL: "http://" + admin}
	in.log = filepath.Join(in.dir, "log")
	text := fmt.Sprintf("listeners: [{name: edge, address: %q}]\nadmin: {address: %q}\n%s\n"+
		"services: {web: {versions: {v1: {endpoints: [%q], weight: 100}, v2: {endpoints: [%q], weight: 0}}}}\n",
		proxy, admin, strings.Join(lines, "\n"), echo(t, "v1"), echo(t, "v2"))
	in.write(text)
	if in.admin, err = client.New(client.Config{Base: "http://" + admin}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.end)
	return in
}

func (in *installation) file() string    { return filepath.Join(in.dir, "sluice.yaml") }
func (in *installation) pidFile() string { return filepath.Join(in.dir, "pid") }

// write replaces the file.
func (in *installation) write(text string) {
	in.t.Helper()
	if err := os.WriteFile(in.file(), []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

// command returns one that serves, with its log in the common file.
func (in *installation) command(args ...string) *exec.Cmd {
	in.t.Helper()
	log, err := os.OpenFile(in.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { log.Close() })
	all := append([]string{"serve", "-c", in.file(), "--pid-file", in.pidFile()}, in.args...)
	cmd := exec.Command("sluice", append(all, args...)...)
	cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), in.env...)
	cmd.Stderr = log
	return cmd
}

// start starts a process, and awaits its end in the background.
func (in *installation) start(args ...string) (ended chan error) {
	in.t.Helper()
	cmd := in.command(args...)
	if err := cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended
}

// eventually awaits a condition.
func (in *installation) eventually(what string, condition func() bool) {
	in.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if condition() {
			return
		}
		<-tick.C
	}
	in.t.Fatalf("%s did not come about; the log:\n%s", what, in.logged())
}

func (in *installation) logged() string {
	text, _ := os.ReadFile(in.log)
	return string(text)
}

// pid returns which process serves, as the pid file says; 0: none.
func (in *installation) pid() int {
	text, _ := os.ReadFile(in.pidFile())
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	in.mu.Lock()
	defer in.mu.Unlock()
	if pid > 0 && (len(in.pids) == 0 || in.pids[len(in.pids)-1] != pid) {
		in.pids = append(in.pids, pid)
	}
	return pid
}

// awaitStart awaits a process that is not the one before, and returns it.
func (in *installation) awaitStart(before int) int {
	in.t.Helper()
	in.eventually("the start of a process", func() bool { return in.pid() != before && in.pid() != 0 })
	return in.pid()
}

// signal sends a signal to the process that serves.
func (in *installation) signal(sig syscall.Signal) {
	in.t.Helper()
	if err := syscall.Kill(in.pid(), sig); err != nil {
		in.t.Fatal(err)
	}
}

// gone tells whether a process has ended, be it reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// end ends every process that served.
func (in *installation) end() {
	in.admin.Close()
	in.pid()
	for _, pid := range in.pids {
		if !gone(pid) {
			_ = syscall.Kill(pid, syscall.SIGTERM)
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	for _, pid := range in.pids {
		in.eventually(fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
	}
}

// upgrade replaces the process and returns the new one.
func (in *installation) upgrade() int {
	in.t.Helper()
	before := in.pid()
	in.signal(syscall.SIGUSR2)
	return in.awaitStart(before)
}

// caller is a client that takes nothing for granted: any answer but a 200 with
// what it asked for, and any connection that ends without having said so, is a
// failure. It retries nothing.
type caller struct {
	address string
	fresh   bool // a connection for each request
	post    bool
	pause   time.Duration // between requests, at most
	conn    net.Conn
	in      *bufio.Reader
}

func (c *caller) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// call sends a request and checks its answer, which it returns.
func (c *caller) call(path string) (string, error) {
	if c.conn == nil {
		var err error
		if c.conn, err = net.DialTimeout("tcp", c.address, 20*time.Second); err != nil {
			return "", err
		}
		c.in = bufio.NewReader(c.conn)
	}
	body, length, method := "", 0, "GET"
	if c.post {
		length, method = 10+rand.IntN(100_000), "POST"
		body = strings.Repeat("x", length)
	}
	_ = c.conn.SetDeadline(time.Now().Add(60 * time.Second))
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", method, path, length, body)
	if _, err := io.WriteString(c.conn, text); err != nil {
		return "", fmt.Errorf("write: %w", err)
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("read the body: %w", err)
	}
	if res.StatusCode != 200 || !strings.HasSuffix(string(answer), fmt.Sprintf(" %d", length)) {
		return "", fmt.Errorf("%s: %d %q", method, res.StatusCode, answer)
	}
	if c.fresh || res.Close {
		c.close()
	}
	return string(answer), nil
}

// load is callers at work.
type load struct {
	done   atomic.Int64
	failed chan error
	stop   context.CancelFunc
	wait   sync.WaitGroup
}

// callers starts clients of all kinds.
func (in *installation) callers() *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{failed: make(chan error, 100), stop: stop}
	for i := range 12 {
		c := &caller{address: in.proxy, fresh: i%3 == 0, post: i%2 == 0}
		if i >= 6 {
			c.pause = 30 * time.Millisecond
		}
		l.wait.Go(func() {
			defer c.close()
			for ctx.Err() == nil {
				if _, err := c.call("/"); err != nil {
					select {
					case l.failed <- err:
					default:
					}
					c.close()
				}
				l.done.Add(1)
				if c.pause > 0 {
					<-time.After(rand.N(c.pause))
				}
			}
		})
	}
	return l
}

// end stops the callers and returns what failed.
func (l *load) end() error {
	l.stop()
	l.wait.Wait()
	close(l.failed)
	var all []error
	for err := range l.failed {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// upgrades is how many the tests make; a soak makes more.
func upgrades() int {
	if n, err := strconv.Atoi(os.Getenv("UPGRADES")); err == nil {
		return n
	}
	return 5
}

// TestUpgradesLoseNoRequest replaces a process again and again under clients
// that forgive nothing, while versions flip.
func TestUpgradesLoseNoRequest(t *testing.T) {
	in := install(t)
	in.start()
	in.awaitStart(0)
	l := in.callers()
	in.eventually("load", func() bool { return l.done.Load() > 100 })
	revision := uint64(0)
	for i := range upgrades() {
		to := []string{"v2", "v1"}[i%2]
		before := in.pid()
		change, err := in.admin.SetWeights(t.Context(), "web", api.Weights{Weights: map[string]int{to: 100}, Pins: "move"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if change.Revision <= revision {
			t.Errorf("upgrade %d: revision %d does not follow %d", i, change.Revision, revision)
		}
		revision = change.Revision
		if in.upgrade() == before {
			t.Fatal("the process is the same")
		}
		fresh := caller{address: in.proxy, fresh: true}
		if answer, err := fresh.call("/"); err != nil || !strings.HasPrefix(answer, to) {
			t.Errorf("upgrade %d: %s answers %q, %v", i, to, answer, err)
		}
		n := l.done.Load()
		in.eventually("load", func() bool { return l.done.Load() > n+100 })
	}
	if err := l.end(); err != nil {
		t.Errorf("of %d requests some failed:\n%v", l.done.Load(), err)
	}
	t.Logf("%d requests", l.done.Load())
	for _, pid := range in.pids[:len(in.pids)-1] {
		in.eventually("the end of a process that was replaced", func() bool { return gone(pid) })
	}
	if ready, err := in.admin.Ready(t.Context()); err != nil || !ready.Ready {
		t.Errorf("%+v, %v", ready, err)
	}
}

// ask sends one request over a connection of its own.
func (in *installation) ask() (string, error) {
	c := caller{address: in.proxy, fresh: true}
	defer c.close()
	return c.call("/")
}

// TestAnUpgradeByHand starts the successor itself, which is no child of the
// process that it replaces; and then a process that finds nobody.
func TestAnUpgradeByHand(t *testing.T) {
	in := install(t)
	fresh := in.start(upgradeFlag) // nobody is there
	first := in.awaitStart(0)
	if !strings.Contains(in.logged(), "this one starts afresh") {
		t.Errorf("the log says\n%s", in.logged())
	}
	in.start(upgradeFlag)
	second := in.awaitStart(first)
	if err := <-fresh; err != nil {
		t.Errorf("the process that was replaced: %v", err)
	}
	if answer, err := in.ask(); err != nil || answer != "v1 0" {
		t.Errorf("%q, %v", answer, err)
	}
	// Without the flag, a second process is refused by the store's lock.
	if err := in.command().Run(); err == nil || in.pid() != second {
		t.Errorf("a process beside the running one: %v", err)
	}
}

// TestAnUpgradeThatFails leaves the running process as it was.
func TestAnUpgradeThatFails(t *testing.T) {
	in := install(t)
	in.start()
	pid := in.awaitStart(0)
	good, err := os.ReadFile(in.file())
	if err != nil {
		t.Fatal(err)
	}
	idle := &caller{address: in.proxy}
	defer idle.close()
	if _, err := idle.call("/"); err != nil {
		t.Fatal(err)
	}
	busy := listenOn(t)
	for _, bad := range []struct{ text, says string }{
		// Refused before the running process is asked.
		{"services: 7\n", "without taking over"},
		// Refused by the state: v1 has all the weight.
		{strings.Replace(string(good), "v1: ", "v9: ", 1), "v1"},
		// Refused by the system.
		{strings.Replace(string(good), "listeners: [", fmt.Sprintf("listeners: [{name: b, address: %q}, ", busy), 1), "address already in use"},
	} {
		before := strings.Count(in.logged(), "\n")
		in.write(bad.text)
		in.signal(syscall.SIGUSR2)
		in.eventually("the failure", func() bool {
			return strings.Contains(after(in.logged(), before), "ended without taking over")
		})
		if text := after(in.logged(), before); !strings.Contains(text, bad.says) {
			t.Errorf("the log does not say %q:\n%s", bad.says, text)
		}
		in.write(string(good))
		if _, err := in.ask(); err != nil {
			t.Error(err)
		}
		in.eventually("changes work", func() bool {
			_, err := in.admin.SetWeights(t.Context(), "web", api.Weights{Weights: map[string]int{"v1": 100, "v2": 1}}, 0)
			return err == nil
		})
	}
	if _, err := idle.call("/"); err != nil || idle.conn == nil {
		t.Errorf("a connection of the running process: %v", err)
	}
	if in.pid() != pid {
		t.Error("the running process is another one")
	}
	in.upgrade()
	if s, err := in.admin.Service(t.Context(), "web"); err != nil || len(s.Versions) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

// after returns the lines after the first n.
func after(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[min(n, len(lines)):], "")
}

// listenOn returns an address that is taken.
func listenOn(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// TestAnUpgradeThatIsKilledHalfWay: this test stands in for the successor.
func TestAnUpgradeThatIsKilledHalfWay(t *testing.T) {
	in := install(t, "upgrade: {timeout: 20s}")
	in.start()
	in.awaitStart(0)
	l := in.callers()
	for range 3 {
		taken, err := handover.Take(t.Context(), filepath.Join(in.dir, "sluice.db.upgrade"))
		if err != nil {
			t.Fatal(err)
		}
		if len(taken.Sockets) != 2 {
			t.Errorf("%d sockets came", len(taken.Sockets))
		}
		// Nothing is changed while the successor is at work, and the caller is
		// told to come back.
		_, err = in.admin.SetWeights(t.Context(), "web", api.Weights{Weights: map[string]int{"v2": 100}}, 0)
		var refused *api.Problem
		if !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
			t.Errorf("a change was taken: %v", err)
		}
		// Another successor is sent away.
		if err := in.command(upgradeFlag).Run(); err == nil {
			t.Error("two upgrades at once")
		}
		handover.Close(taken.Sockets)
		taken.Fail(errors.New("killed"))
		in.eventually("changes work", func() bool {
			_, err := in.admin.SetWeights(t.Context(), "web", api.Weights{Weights: map[string]int{"v2": 100}}, 0)
			return err == nil
		})
	}
	in.upgrade()
	n := l.done.Load()
	in.eventually("load", func() bool { return l.done.Load() > n+100 })
	if err := l.end(); err != nil {
		t.Error(err)
	}
	if text := in.logged(); strings.Count(text, "this process goes on as before") < 3 || !strings.Contains(text, "another upgrade is under way") {
		t.Errorf("the log says\n%s", text)
	}
}

// TestAStoreInMemoryIsNotUpgraded: its content would be lost.
func TestAStoreInMemoryIsNotUpgraded(t *testing.T) {
	in := install(t, "state: {backend: memory}", "upgrade: {socket: up}")
	in.start()
	pid := in.awaitStart(0)
	if err := in.command(upgradeFlag).Run(); err == nil {
		t.Error("an upgrade went through")
	}
	if text := in.logged(); !strings.Contains(text, "needs a durable store") {
		t.Errorf("the log says\n%s", text)
	}
	if _, err := in.ask(); err != nil || in.pid() != pid {
		t.Error("the running process was harmed", err)
	}
}

// TestConnectionsOfTheOldProcessSeeFlips: a change that was acknowledged holds
// for every request after it, over whichever process's connection it comes.
func TestConnectionsOfTheOldProcessSeeFlips(t *testing.T) {
	in := install(t)
	in.start()
	in.awaitStart(0)
	var idle []*caller
	wait := func() {
		c := &caller{address: in.proxy}
		t.Cleanup(c.close)
		if answer, err := c.call("/"); err != nil || answer != "v1 0" {
			t.Fatalf("%q, %v", answer, err)
		}
		idle = append(idle, c)
	}
	wait() // of the first process
	in.upgrade()
	wait() // of the second
	in.upgrade()
	wait() // of the third
	if _, err := in.admin.SetWeights(t.Context(), "web", api.Weights{Weights: map[string]int{"v2": 100, "v1": 0}, Pins: "move"}, 0); err != nil {
		t.Fatal(err)
	}
	for i, c := range idle {
		if answer, err := c.call("/"); err != nil || answer != "v2 0" {
			t.Errorf("a connection of process %d: %q, %v", i+1, answer, err)
		}
		if last := c.conn == nil; last != (i < 2) {
			t.Errorf("a connection of process %d: told to go: %v", i+1, last)
		}
	}
	for _, pid := range in.pids[:2] {
		in.eventually("the end of a process that was replaced", func() bool { return gone(pid) })
	}
	if _, err := in.admin.Rollback(t.Context(), "web", api.Rollback{}); err != nil {
		t.Fatal(err)
	}
	if answer, err := in.ask(); err != nil || answer != "v1 0" {
		t.Errorf("after all: %q, %v", answer, err)
	}
}
