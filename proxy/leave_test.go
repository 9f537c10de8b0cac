package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestLeaveLetsIdleConnectionsAsk: a connection that waits for a request is
// answered once more, and told to go.
func TestLeaveLetsIdleConnectionsAsk(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	idle := r.dial()
	io.WriteString(idle, get("/"))
	if head := until(t, idle, "\r\n\r\nok"); strings.Contains(head, "Connection: close") {
		t.Fatalf("told to go too early: %q", head)
	}
	r.srv.Leave()
	io.WriteString(idle, get("/"))
	if answer := readAll(t, idle); statuses(answer) != "200" || !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("the idle connection got %q", answer)
	}
	// The listeners go on meanwhile.
	fresh := r.dial()
	io.WriteString(fresh, get("/"))
	if answer := readAll(t, fresh); statuses(answer) != "200" || !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("the fresh connection got %q", answer)
	}
}

// twin opens the same socket once more, as another process has it.
func twin(t *testing.T, ln net.Listener) net.Listener {
	t.Helper()
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	if err := raw.Control(func(p uintptr) { fd, err = syscall.Dup(int(p)) }); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "twin")
	defer f.Close()
	other, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// TestReleaseLosesNoConnection moves a socket from server to server under
// clients that connect all the time.
func TestReleaseLosesNoConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for _, address := range []string{"127.0.0.1:0", "unix:" + path} {
		b := newRecorder(t, nil)
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.Address = address })
		var asked atomic.Int64
		stop := make(chan struct{})
		var clients sync.WaitGroup
		network, addr := r.srv.Addrs()["test"].Network(), r.addr
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c, err := net.Dial(network, addr)
					if err != nil {
						t.Errorf("%s: refused: %v", address, err)
						return
					}
					io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
					if answer := readAll(t, c); statuses(answer) != "200" {
						t.Errorf("%s: got %q", address, answer)
						return
					}
					c.Close()
					asked.Add(1)
				}
			})
		}
		old := r
		for range 5 {
			sockets := old.srv.Sockets()
			if len(sockets) != 1 || sockets[0].Name != "test" {
				t.Fatalf("%+v", sockets)
			}
			given := twin(t, sockets[0].Listener)
			next := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
				r.listener.Address = address
				r.options.Inherit = func(name, network, address string) net.Listener {
					if name != sockets[0].Name || network != sockets[0].Network || address != sockets[0].Address {
						t.Errorf("asked for %s %s %s, not %+v", name, network, address, sockets[0])
					}
					return given
				}
			})
			old.srv.Leave()
			old.srv.Release()
			if err := old.srv.Listen([]ListenerConfig{r.listener}); err == nil {
				t.Error("a server that gave its sockets away listens again")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if !old.srv.Await(ctx) {
				t.Error("connections are left")
			}
			cancel()
			n := asked.Load()
			eventually(t, "the next answers", func() bool { return asked.Load() > n+20 || t.Failed() })
			old = next
		}
		close(stop)
		clients.Wait()
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error("the Unix socket was removed by a process that had given it away")
	}
}

// TestCutOffWakesRequestsThatWaitForAnEndpoint: the endpoint never answers.
func TestCutOffWakesRequestsThatWaitForAnEndpoint(t *testing.T) {
	came, letGo := make(chan struct{}), make(chan struct{})
	defer close(letGo)
	addr := backend(t, func(http.ResponseWriter, *http.Request) { close(came); <-letGo })
	r := newRig(t, map[string]string{"v1": addr})
	c := r.dial()
	io.WriteString(c, get("/"))
	<-came
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var cut *CutOffError
	if err := r.srv.Shutdown(ctx); !errors.As(err, &cut) || cut.Connections != 1 {
		t.Errorf("shutdown: %v", err)
	}
	if n := r.clusters["v1"].InUse(); n != 0 {
		t.Errorf("%d connections are still in use", n)
	}
}
