package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/admin/api"
)

// TestStopTellsFirst: readiness goes, the listeners go on for stop_delay with
// answers that end their connections, requests in flight finish.
func TestStopTellsFirst(t *testing.T) {
	in := install(t, "stop_delay: 1s")
	ended := in.start()
	in.awaitStart(0)
	idle := &caller{address: in.proxy}
	defer idle.close()
	if _, err := idle.call("/"); err != nil || idle.conn == nil {
		t.Fatal(err)
	}
	slow := make(chan error, 1)
	go func() {
		c := &caller{address: in.proxy}
		defer c.close()
		_, err := c.call("/?wait=2s")
		slow <- err
	}()
	in.eventually("the slow request", in.inFlight)
	in.signal(syscall.SIGTERM)
	in.eventually("the end of readiness", func() bool {
		r, err := in.admin.Ready(t.Context())
		return err == nil && !r.Ready
	})
	if _, err := in.ask(); err != nil {
		t.Errorf("a new connection within the delay: %v", err)
	}
	if _, err := idle.call("/"); err != nil || idle.conn != nil {
		t.Errorf("an old connection within the delay: %v; told to go: %v", err, idle.conn == nil)
	}
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the process: %v\n%s", err, in.logged())
	}
	if in.pid() != 0 {
		t.Error("the pid file is left behind")
	}
}

// TestASecondSignalEndsAtOnce what would take a minute.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	in := install(t, "stop_delay: 60s", "graceful_stop: 60s")
	ended := in.start()
	in.awaitStart(0)
	c, err := net.Dial("tcp", in.proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /?wait=60s HTTP/1.1\r\nHost: a\r\n\r\n")
	in.eventually("the request", in.inFlight)
	in.signal(syscall.SIGTERM)
	in.eventually("the first signal", func() bool { return strings.Contains(in.logged(), "no longer ready") })
	began := time.Now()
	in.signal(syscall.SIGTERM)
	if err := <-ended; err == nil {
		t.Error("what was cut off is not told")
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %s", d)
	}
	if !strings.Contains(in.logged(), "busy connections were cut off") {
		t.Errorf("the log says\n%s", in.logged())
	}
}

// inFlight tells whether a request is under way.
func (in *installation) inFlight() bool {
	s, err := in.admin.Stats(in.t.Context())
	return err == nil && slices.ContainsFunc(s.Versions, func(v api.VersionNumbers) bool { return v.Numbers.InFlight == 1 })
}

// notices receives what the process tells the service manager.
func notices(t *testing.T, in *installation) func(want string) string {
	t.Helper()
	path := filepath.Join(in.dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	in.env = append(in.env, "NOTIFY_SOCKET="+path)
	return func(want string) string {
		t.Helper()
		buf := make([]byte, 4096)
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		for {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("no notice %q came: %v; the log:\n%s", want, err, in.logged())
			}
			if text := string(buf[:n]); strings.Contains(text, want) {
				return text
			}
		}
	}
}

// TestSystemd plays the service manager: it opens the sockets, by name for the
// one listener and by address for the admin API, and hears how the process does.
func TestSystemd(t *testing.T) {
	in := install(t)
	await := notices(t, in)
	in.env = append(in.env, "WATCHDOG_USEC=200000")
	cmd := in.command()
	// The shell knows the number that the process will have.
	script := `LISTEN_PID=$$ LISTEN_FDS=3 LISTEN_FDNAMES=edge:unknown:other exec "$0" "$@"`
	adminAddr := strings.TrimPrefix(in.adminURL, "http://")
	var edge net.Listener
	for i, address := range []string{"127.0.0.1:0", adminAddr, "127.0.0.1:0"} {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		if i == 0 {
			edge = ln
		}
	}
	shell := exec.Command("/bin/sh", append([]string{"-c", script}, append([]string{cmd.Path}, cmd.Args[1:]...)...)...)
	shell.Env, shell.Stderr, shell.ExtraFiles = cmd.Env, cmd.Stderr, cmd.ExtraFiles
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- shell.Wait() }()
	await("READY=1")
	first := in.awaitStart(0)
	in.proxy = edge.Addr().String() // not that of the file: the name counts
	if answer, err := in.ask(); err != nil || answer != "v1 0" {
		t.Errorf("%q, %v", answer, err)
	}
	if r, err := in.admin.Ready(t.Context()); err != nil || !r.Ready {
		t.Errorf("the admin API: %+v, %v", r, err)
	}
	if !strings.Contains(in.logged(), "fits no listener") {
		t.Error("nothing is said of a socket that nobody wants")
	}
	await("WATCHDOG=1")
	in.signal(syscall.SIGHUP)
	if text := await("RELOADING=1"); !strings.Contains(text, "MONOTONIC_USEC=") || strings.HasSuffix(text, "=0") {
		t.Errorf("%q", text)
	}
	await("READY=1")
	second := in.upgrade()
	await(fmt.Sprintf("MAINPID=%d", second))
	if err := <-ended; err != nil || gone(second) || second == first {
		t.Errorf("after the upgrade: %v", err)
	}
	await("WATCHDOG=1") // of the new process
	if answer, err := in.ask(); err != nil || answer != "v1 0" {
		t.Errorf("after the upgrade: %q, %v", answer, err)
	}
	in.signal(syscall.SIGTERM)
	await("STOPPING=1")
}

// TestUnitFilesNameWhatIsThere holds the examples to the command line.
func TestUnitFilesNameWhatIsThere(t *testing.T) {
	unit, err := os.ReadFile("../../configs/examples/sluice.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Type=notify\n", "NotifyAccess=main\n", "sluice serve -c ", "ExecReload=/bin/kill -HUP $MAINPID\n", "-s USR2 "} {
		if !strings.Contains(string(unit), line) {
			t.Errorf("sluice.service lacks %q", line)
		}
	}
}
