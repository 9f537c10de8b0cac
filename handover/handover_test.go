package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets a test run this program as a successor that falls silent.
func TestMain(m *testing.M) {
	if path := os.Getenv("HANDOVER_SILENT"); path != "" {
		taken, err := Take(context.Background(), path)
		fmt.Println(err)
		if err == nil {
			time.Sleep(time.Minute) // killed long before
			taken.Fail(io.EOF)
		}
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// running is a process that can be replaced, as the tests see it.
type running struct {
	*Door
	path    string
	sockets []Socket
	refuse  atomic.Pointer[func() error] // what Freeze does first; nil: nothing
	frozen  chan struct{}
	thawed  chan error
	left    chan int
	news    chan string
}

func offer(t *testing.T, timeout time.Duration, sockets ...Socket) *running {
	t.Helper()
	r := &running{
		path: filepath.Join(t.TempDir(), "door"), sockets: sockets,
		frozen: make(chan struct{}, 9), thawed: make(chan error, 9), left: make(chan int, 9), news: make(chan string, 9),
	}
	var err error
	r.Door, err = Offer(r.path, Terms{
		Freeze: func(context.Context) ([]Socket, error) {
			if refuse := r.refuse.Load(); refuse != nil {
				return nil, (*refuse)()
			}
			r.frozen <- struct{}{}
			return r.sockets, nil
		},
		Thaw:    func(why error) { r.thawed <- why },
		Left:    func(pid int) { r.left <- pid },
		News:    func(news []byte) { r.news <- string(news) },
		Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// await returns what comes on a channel within a bounded time.
func await[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not come", what)
	}
	return v
}

func listen(t *testing.T, network, address string) Socket {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return Socket{Name: "a " + network, Network: network, Address: address, Listener: ln}
}

// take takes over, as soon as a handover before it has ended.
func take(t *testing.T, r *running) *Takeover {
	t.Helper()
	taken, err := Take(t.Context(), r.path)
	for range 1000 {
		if err == nil || !strings.Contains(err.Error(), "another upgrade is under way") {
			break
		}
		time.Sleep(time.Millisecond)
		taken, err = Take(t.Context(), r.path)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(taken.Sockets); taken.Close() })
	return taken
}

func TestSocketsChangeHands(t *testing.T) {
	unix := filepath.Join(t.TempDir(), "s")
	given := []Socket{listen(t, "tcp", "127.0.0.1:0"), listen(t, "tcp", "[::1]:0"), listen(t, "unix", unix)}
	r := offer(t, 0, given...)
	if fi, err := os.Stat(r.path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the door is open to others: %v, %v", fi, err)
	}
	taken := take(t, r)
	if taken.PID != os.Getpid() || len(taken.Sockets) != len(given) {
		t.Fatalf("taken %+v", taken)
	}
	if err := taken.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pid := await(t, "the end", r.left); pid != os.Getpid() {
		t.Errorf("replaced by %d", pid)
	}
	r.Close()
	for i, s := range taken.Sockets {
		old := given[i]
		if s.Name != old.Name || s.Network != old.Network || s.Address != old.Address {
			t.Errorf("%+v became %+v", old, s)
		}
		// What waits in the queue when the old process lets go is the new one's.
		c, err := net.Dial(s.Network, old.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if u, ok := old.Listener.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		old.Listener.Close()
		a, err := s.Listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
	}
	// The successor's own door stands where the old one was.
	next, err := Offer(r.path, Terms{})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	r.Close()
	if _, err := os.Lstat(r.path); err != nil {
		t.Error("the old process removed the door of the new one")
	}
}

func TestASuccessorThatFailsChangesNothing(t *testing.T) {
	r := offer(t, 0, listen(t, "tcp", "127.0.0.1:0"))
	take(t, r).Fail(errors.New("the file drops a version"))
	if err := await(t, "the thaw", r.thawed); err == nil || !strings.Contains(err.Error(), "the file drops a version") {
		t.Errorf("thawed by %v", err)
	}
	take(t, r).conn.Close()
	if err := await(t, "the thaw", r.thawed); err == nil || !strings.Contains(err.Error(), "ended before it served") {
		t.Errorf("thawed by %v", err)
	}
	// And then one that works.
	if err := take(t, r).Ready(t.Context()); err != nil {
		t.Error(err)
	}
	await(t, "the end", r.left)
}

func TestTwoSuccessorsAtOnce(t *testing.T) {
	r := offer(t, 0, listen(t, "tcp", "127.0.0.1:0"))
	first := take(t, r)
	if _, err := Take(t.Context(), r.path); err == nil || !strings.Contains(err.Error(), "another upgrade is under way") {
		t.Errorf("the second: %v", err)
	}
	if err := first.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	await(t, "the end", r.left)
	if _, err := Take(t.Context(), r.path); err == nil {
		t.Error("the sockets were given away twice")
	}
}

// TestASilentSuccessorIsKilled: it may hold the lock of the store.
func TestASilentSuccessorIsKilled(t *testing.T) {
	r := offer(t, 300*time.Millisecond, listen(t, "tcp", "127.0.0.1:0"))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HANDOVER_SILENT="+r.path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "<nil>\n" {
		t.Errorf("the successor says %q", line)
	}
	if err := await(t, "the thaw", r.thawed); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("thawed by %v", err)
	}
	_ = cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
		t.Errorf("the successor ended by %v", cmd.ProcessState)
	}
}

func TestARunningProcessMayRefuse(t *testing.T) {
	r := offer(t, 0)
	refuse := func() error { return errors.New("the store is in memory") }
	r.refuse.Store(&refuse)
	if _, err := Take(t.Context(), r.path); err == nil || !strings.Contains(err.Error(), "the store is in memory") {
		t.Errorf("%v", err)
	}
	r.Close()
	if len(r.thawed) > 0 || len(r.frozen) > 0 {
		t.Error("what was not frozen was thawed")
	}
}

// TestTheDoorClosesUnderASuccessor: the running process stops for good.
func TestTheDoorClosesUnderASuccessor(t *testing.T) {
	r := offer(t, 0, listen(t, "tcp", "127.0.0.1:0"))
	taken := take(t, r)
	r.Close()
	if err := await(t, "the thaw", r.thawed); err == nil || !strings.Contains(err.Error(), "is stopping") {
		t.Errorf("thawed by %v", err)
	}
	if err := taken.Ready(t.Context()); err == nil {
		t.Error("the successor believes that it has taken over")
	}
	if _, err := os.Lstat(r.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the door is left behind: %v", err)
	}
}

func TestNobodyIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "door")
	if _, err := Take(t.Context(), path); !errors.Is(err, ErrNobody) {
		t.Errorf("no door: %v", err)
	}
	// One that a killed process left behind.
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	if _, err := Take(t.Context(), path); !errors.Is(err, ErrNobody) {
		t.Errorf("a dead door: %v", err)
	}
	d, err := Offer(path, Terms{})
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// TestNonsenseIsRefused sends what is no message, and looks whether the door
// still works.
func TestNonsenseIsRefused(t *testing.T) {
	r := offer(t, 0, listen(t, "tcp", "127.0.0.1:0"))
	for _, text := range []string{
		"hello", "{}", `{"version":2,"kind":"take"}`, `{"version":1,"kind":"ready"}`,
		`{"version":1,"kind":"take","sockets":[{"name":"a"}]}`, strings.Repeat("x", maxMessage+100),
	} {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: r.path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if m, err := receive(c, time.Now().Add(10*time.Second)); err != nil || m.Kind != kindRefused || m.Reason == "" {
			t.Errorf("%.40q: %+v, %v", text, m, err)
		}
		c.Close()
	}
	if err := take(t, r).Ready(t.Context()); err != nil {
		t.Error(err)
	}
	await(t, "the end", r.left)
}

func TestTakeHeedsItsContext(t *testing.T) {
	r := offer(t, 0)
	hold := make(chan struct{})
	refuse := func() error { <-hold; return errors.New("too late") }
	r.refuse.Store(&refuse)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Take(ctx, r.path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(hold)
}

// FuzzDecode: messages come from processes of the same user, but maybe of
// another build.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"kind":"sockets","pid":7,"sockets":[{"name":"a","network":"tcp","address":":80"}]}`), 1)
	f.Add([]byte(`{"version":1,"kind":"failed","reason":"x"}`), 0)
	f.Fuzz(func(t *testing.T, text []byte, fds int) {
		m, err := decode(text, fds)
		if err == nil && (m.Kind == "" || len(m.Sockets) != fds) {
			t.Errorf("%q gives %+v", text, m)
		}
	})
}

func TestNews(t *testing.T) {
	r := offer(t, 0, listen(t, "tcp", "127.0.0.1:0"))
	taken := take(t, r)
	if err := taken.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the end", r.left)
	for _, news := range []string{"a", "", strings.Repeat("b", 5*maxMessage+7)} {
		if err := taken.Tell([]byte(news), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if got := await(t, "the news", r.news); got != news {
			t.Errorf("%d bytes became %d", len(news), len(got))
		}
	}
	r.Close()
	if err := taken.Tell([]byte("c"), 10*time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("to nobody: %v", err)
	}
}

// TestAPredecessorThatHangs does not hold its successor up.
func TestAPredecessorThatHangs(t *testing.T) {
	r := offer(t, 0, listen(t, "tcp", "127.0.0.1:0"))
	for range cap(r.news) {
		r.news <- "nobody takes it"
	}
	taken := take(t, r)
	if err := taken.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the end", r.left)
	if err := taken.Tell([]byte("c"), 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	await(t, "room", r.news)
}
