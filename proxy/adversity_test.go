package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/proxy/accesslog"
	"sluice/proxy/upstream"
)

// TestIdleAndDrippingClientsHarmNobody is a small cut of what an edge meets: many
// connections that ask nothing, and some that send a byte at a time. The whole
// of it is the drip drill of bench/overload.
func TestIdleAndDrippingClientsHarmNobody(t *testing.T) {
	t.Parallel()
	const idle, dripping = 500, 100
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.HeadTimeout = 20 * short })
	for range idle {
		r.dial()
	}
	stop, done := make(chan struct{}), make(chan string, dripping)
	for range dripping {
		c := r.dial()
		go func() {
			dripHead(c, stop)
			answer, _ := io.ReadAll(c)
			done <- statuses(string(answer))
		}()
	}
	for range 100 {
		if s := statuses(r.exchangeRaw(get("/", closing))); s != "200" {
			t.Fatalf("an ordinary client was answered %s", s)
		}
	}
	eventually(t, "all that drip are refused", func() bool { return r.stats.Process().Refused[408] == dripping })
	close(stop)
	refused := 0
	for range dripping {
		if <-done == "408" { // else the answer was lost to a byte that came after it
			refused++
		}
	}
	if refused == 0 {
		t.Error("nobody was told")
	}
}

// dripHead sends a head that never ends, until the connection does.
func dripHead(c net.Conn, stop chan struct{}) {
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX: ")
	for {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
		}
	}
}

// TestEveryEndpointResets: each client gets a 502, half of the endpoints are
// ejected, and log and metrics tell of all.
func TestEveryEndpointResets(t *testing.T) {
	t.Parallel()
	reset := func(c net.Conn, _ *message) bool {
		c.(*net.TCPConn).SetLinger(0)
		return false
	}
	one, two := newRecorder(t, reset), newRecorder(t, reset)
	core, logs := observer.New(zap.WarnLevel)
	var j journal
	r := newRig(t, map[string]string{"v1": one.addr + "," + two.addr}, j.logged(AccessErrors, accesslog.Layout{}),
		func(r *rig) { r.deps.Log = zap.New(core) })
	for range 30 {
		if s := statuses(r.exchangeRaw(get("/", closing))); s != "502" {
			t.Fatalf("answered %s", s)
		}
	}
	if v := r.stats.ServiceSnapshot("web")[0]; v.UpstreamErrors["reset"] != 30 {
		t.Errorf("counted %+v", v)
	}
	if n := r.clusters["v1"].Status(); n[0].EjectedUntil.IsZero() == n[1].EjectedUntil.IsZero() {
		t.Errorf("ejected: %+v", n)
	}
	eventually(t, "each has a line", func() bool { return j.count() == 30 })
	if line := j.lines()[0]; !strings.Contains(line, `"endpoint":"127.0.0.1:`) || !strings.Contains(line, `"failure":"`) {
		t.Errorf("logged %s", line)
	}
	ejected, failing := logs.FilterMessage("endpoint is ejected").Len(), logs.FilterMessageSnippet("too few others are left").Len()
	if ejected != 1 || failing != 1 {
		t.Errorf("logged %v", logs.All())
	}
}

// TestAnEndpointThatDripsItsAnswer: what it sends reaches the client as it comes,
// and other clients of the same version are not held up.
func TestAnEndpointThatDripsItsAnswer(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	b := newRecorder(t, func(c net.Conn, m *message) bool {
		if m.target != "/drip" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return true
		}
		for _, piece := range strings.SplitAfter("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "") {
			io.WriteString(c, piece)
		}
		for _, piece := range []string{"a", "b", "c"} {
			<-next
			io.WriteString(c, piece)
		}
		return true
	})
	for _, over := range []string{"HTTP/1.1", "HTTP/2"} {
		r := newRig(t, map[string]string{"v1": b.addr}, h2c)
		var read func(want string)
		if over == "HTTP/2" {
			c := r.dial2()
			c.request(1, true, "GET", "/drip")
			c.expect("HEADERS 1 :status=200")
			read = func(string) { t.Helper(); c.expect("DATA 1") }
		} else {
			c := r.dial()
			io.WriteString(c, get("/drip", closing))
			until(t, c, "\r\n\r\n")
			read = func(want string) { t.Helper(); expect(t, c, want) }
		}
		for _, want := range []string{"a", "b", "c"} {
			if s := statuses(r.exchangeRaw(get("/", closing))); s != "200" {
				t.Errorf("another client was answered %s", s)
			}
			next <- struct{}{}
			read(want)
		}
	}
}

// TestAnEndpointThatDripsItsHead, a byte at a time and without an end, is given
// up when the whole head has taken too long. Each byte is in time.
func TestAnEndpointThatDripsItsHead(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 9)
	b := newRecorder(t, func(c net.Conn, _ *message) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
		dripped := make(chan struct{})
		drip(c, strings.Repeat("x", 1000), dripped)
		<-dripped
		gone <- struct{}{}
		return false
	})
	var j journal
	r := newRig(t, map[string]string{"v1": b.addr}, j.logged(AccessErrors, accesslog.Layout{}), func(r *rig) {
		r.settings.ResponseTimeout = 3 * short
	})
	if s := statuses(r.exchangeRaw(get("/", closing))); s != "504" {
		t.Errorf("answered %s", s)
	}
	<-gone
	if v := r.stats.ServiceSnapshot("web")[0]; v.UpstreamErrors["timeout"] != 1 {
		t.Errorf("counted %+v", v)
	}
	if line := j.one(t); line["failure"] == nil || line["endpoint"] != b.addr {
		t.Errorf("logged %v", line)
	}
}

// descriptorsVar tells a child process of the test what to be.
const descriptorsVar = "SLUICE_TEST_DESCRIPTORS"

// TestOutOfDescriptors runs in a process of its own, whose limit is low.
func TestOutOfDescriptors(t *testing.T) {
	if os.Getenv(descriptorsVar) != "" {
		outOfDescriptors(t)
		return
	}
	t.Parallel()
	child := exec.Command(os.Args[0], "-test.run=^TestOutOfDescriptors$", "-test.timeout=60s")
	child.Env = append(os.Environ(), descriptorsVar+"=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// outOfDescriptors: the listener says what is short and closes idle connections,
// a request that finds no descriptor for its endpoint is told so, and all is well
// when there are some again.
func outOfDescriptors(t *testing.T) {
	b := newRecorder(t, nil)
	core, logs := observer.New(zap.WarnLevel)
	told := make(chan upstream.Event, 100)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
		r.options.Log, r.options.MaxConnections = zap.New(core), 1<<20
		r.deps.OnEvent = func(e upstream.Event) { told <- e }
	})
	ordinary := r.dial()
	io.WriteString(ordinary, "G") // not idle, and not asking an endpoint yet
	eventually(t, "it is taken", func() bool { return r.srv.clients.Load() == 1 })
	limitDescriptors(t, 100)
	// Clients and server share the limit, and it is reached by either.
	var many []net.Conn
	for {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			break
		}
		io.WriteString(c, "G") // not idle: nothing makes room
		many = append(many, c)
	}
	eventually(t, "the listener says what is short", func() bool { return r.stats.Edge().AcceptPauses["descriptors"] > 0 })
	eventually(t, "the line that follows the figure", func() bool { return logs.FilterMessageSnippet("out of file descriptors").Len() > 0 })
	io.WriteString(ordinary, strings.TrimPrefix(get("/"), "G"))
	if s := statuses(until(t, ordinary, "\r\n\r\n")); s != "503" && s != "502" {
		t.Errorf("without a descriptor for the endpoint: %s", s)
	}
	if e := <-told; e.Kind != upstream.Shortage {
		t.Errorf("told of %+v", e)
	}
	for _, c := range many {
		c.Close()
	}
	eventually(t, "new clients are served", func() bool {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, get("/", closing))
		answer, _ := io.ReadAll(c)
		return statuses(string(answer)) == "200"
	})
	if n := logs.FilterMessageSnippet("out of file descriptors").Len(); n != 1 {
		t.Errorf("%d lines: %v", n, logs.All())
	}
	checkNoEjection(t, r)
}

// TestIdleConnectionsMakeRoomForDescriptors runs in a process of its own, too.
func TestIdleConnectionsMakeRoomForDescriptors(t *testing.T) {
	if os.Getenv(descriptorsVar) == "" {
		t.Parallel()
		child := exec.Command(os.Args[0], "-test.run=^TestIdleConnectionsMakeRoomForDescriptors$", "-test.timeout=60s")
		child.Env = append(os.Environ(), descriptorsVar+"=1")
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.options.MaxConnections = 1 << 20 })
	limitDescriptors(t, 100)
	var many []net.Conn
	for {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			break
		}
		many = append(many, c)
	}
	eventually(t, "idle connections make room", func() bool { return r.stats.Edge().IdleClosed > 0 })
	for _, c := range many {
		c.Close()
	}
}

// limitDescriptors lowers the limit of this process.
func limitDescriptors(t *testing.T, most uint64) {
	t.Helper()
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if limit.Cur = most; err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	if err != nil {
		t.Fatal(fmt.Errorf("lowering the limit of descriptors: %w", err))
	}
}
