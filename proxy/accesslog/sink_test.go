package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// script is a writer that does as it is told.
type script struct {
	mu   sync.Mutex
	text bytes.Buffer
	next []func(p []byte) (int, error) // what the next writes come to
	held chan struct{}                 // writes wait for it, if set
}

func (s *script) Write(p []byte) (int, error) {
	if s.held != nil {
		<-s.held
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := len(p), error(nil)
	if len(s.next) > 0 {
		n, err = s.next[0](p)
		s.next = s.next[1:]
	}
	s.text.Write(p[:n])
	return n, err
}

func (s *script) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// rig is a sink whose losses and log are kept.
type rig struct {
	*Sink
	dropped atomic.Int64
	logs    *observer.ObservedLogs
}

func newRig(t *testing.T, opt SinkOptions) *rig {
	t.Helper()
	r := &rig{}
	core, logs := observer.New(zap.DebugLevel)
	r.logs, opt.Log, opt.Dropped = logs, zap.New(core), func(n int) { r.dropped.Add(int64(n)) }
	var err error
	if r.Sink, err = NewSink(opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) say(lines ...string) {
	for _, l := range lines {
		r.Write([]byte(l + "\n"))
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatalf("still not so: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLinesArriveInOrderAndWithoutAClose(t *testing.T) {
	var w script
	r := newRig(t, SinkOptions{Out: &w})
	r.say("one", "two")
	eventually(t, "the lines arrive", func() bool { return w.String() == "one\ntwo\n" })
	r.say("three")
	eventually(t, "the next one does", func() bool { return w.String() == "one\ntwo\nthree\n" })
}

func TestCloseWritesWhatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, SinkOptions{Path: path})
	r.say("last")
	r.Close()
	r.say("too late")
	if got := content(t, path); got != "before\nlast\n" || r.dropped.Load() != 1 {
		t.Errorf("%q, %d lost", got, r.dropped.Load())
	}
}

// TestManyWriters: no line is torn by another, and none is missing.
func TestManyWriters(t *testing.T) {
	var w script
	r := newRig(t, SinkOptions{Out: &w})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 2000 {
				r.say(fmt.Sprintf("writer %d line %d", i, j))
			}
		})
	}
	all.Wait()
	r.Close()
	next := make([]int, 8)
	for l := range strings.Lines(w.String()) {
		var i, j int
		if _, err := fmt.Sscanf(l, "writer %d line %d\n", &i, &j); err != nil || next[i] != j {
			t.Fatalf("%q, %v; want line %d", l, err, next[i])
		}
		next[i]++
	}
	if fmt.Sprint(next) != fmt.Sprint([]int{2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000}) {
		t.Errorf("lines that came: %v", next)
	}
}

// TestARotatedFile: what was written before the move stays in the old file, what
// comes after the reload is in the new one.
func TestARotatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	r := newRig(t, SinkOptions{Path: path})
	r.say("old")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	r.say("still old")
	if err := r.Reopen(); err != nil {
		t.Fatal(err)
	}
	r.say("new")
	r.Close()
	if got := content(t, path+".1"); got != "old\nstill old\n" {
		t.Errorf("the old file: %q", got)
	}
	if got := content(t, path); got != "new\n" {
		t.Errorf("the new file: %q", got)
	}
	if err := r.Reopen(); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("everybody may read it: %v, %v", info.Mode(), err)
	}
}

func TestAFileThatCannotBeOpenedAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	r := newRig(t, SinkOptions{Path: path})
	moved := dir + ".old"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if err := r.Reopen(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reopen: %v", err)
	}
	r.say("goes on")
	r.Close()
	if got := content(t, filepath.Join(moved, "access.log")); got != "goes on\n" || r.logs.Len() != 1 {
		t.Errorf("%q, %v", got, r.logs.All())
	}
}

func TestWhatCannotBeALog(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "is a directory", filepath.Join(dir, "none", "a"): "no such file", pipe: "a pipe that nobody reads",
	} {
		if s, err := NewSink(SinkOptions{Path: path}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v", path, s, err)
		}
	}
}

// TestAFullDisk: lines are lost, counted and told of once; nothing fails.
func TestAFullDisk(t *testing.T) {
	full := func([]byte) (int, error) { return 0, syscall.ENOSPC }
	half := func(p []byte) (int, error) { return len("one\ntw"), syscall.ENOSPC }
	w := script{next: []func([]byte) (int, error){half, full, full}}
	r := newRig(t, SinkOptions{Out: &w})
	r.say("one", "two")
	eventually(t, "a line is lost", func() bool { return r.dropped.Load() == 1 })
	r.say("three")
	eventually(t, "another is", func() bool { return r.dropped.Load() == 2 })
	r.say("four")
	eventually(t, "and another", func() bool { return r.dropped.Load() == 3 })
	r.say("five")
	eventually(t, "there is room again", func() bool { return strings.HasSuffix(w.String(), "five\n") })
	if got := w.String(); got != "one\ntw\nfive\n" {
		t.Errorf("%q", got)
	}
	eventually(t, "the log tells", func() bool { return r.logs.Len() == 2 })
	if all := r.logs.All(); all[0].Level != zap.ErrorLevel || all[1].ContextMap()["lines_lost"] != int64(3) {
		t.Errorf("logged %v", all)
	}
}

func TestARealFullDevice(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	r := newRig(t, SinkOptions{Path: "/dev/full"})
	r.say("one")
	eventually(t, "it is lost", func() bool { return r.dropped.Load() == 1 })
	r.say("two")
	eventually(t, "so is the next", func() bool { return r.dropped.Load() == 2 })
	if n := r.logs.Len(); n != 1 {
		t.Errorf("logged %v", r.logs.All())
	}
}

// TestALogThatStandsStill: nobody waits for it, what waits is bounded, and Close
// gives up.
func TestALogThatStandsStill(t *testing.T) {
	w := script{held: make(chan struct{})}
	r := newRig(t, SinkOptions{Out: &w})
	big := strings.Repeat("x", 64<<10-1)
	for range 3 * maxWaiting / len(big) {
		r.say(big)
	}
	if n := r.dropped.Load(); n < maxWaiting/int64(len(big)) || len(r.waiting) > maxWaiting {
		t.Errorf("%d lines lost, %d bytes wait", n, len(r.waiting))
	}
	start := time.Now()
	if err := r.Close(); err == nil || time.Since(start) > 2*closeTime {
		t.Errorf("close: %v after %v", err, time.Since(start))
	}
	close(w.held)
	eventually(t, "the log tells", func() bool { return r.logs.Len() == 1 })
	if n := int64(strings.Count(w.String(), "\n")); n == 0 {
		t.Error("nothing was written in the end")
	}
}

// TestAPipeThatStandsStill: its writes have a deadline, so its goroutine goes on
// and a reload is not held up for long.
func TestAPipeThatStandsStill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	r := newRig(t, SinkOptions{Path: path})
	r.say(strings.Repeat("x", 1<<20))
	eventually(t, "the write ends", func() bool { return r.dropped.Load() == 1 })
}

func TestNobodyHoldsUpWhoWrites(t *testing.T) {
	r := newRig(t, SinkOptions{Out: &script{}})
	line := []byte(line(Layout{}, entry()))
	r.Write(line)
	if n := testing.AllocsPerRun(1000, func() { r.Write(line) }); n > 0.1 { // but for the growth of the batch
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSink(b *testing.B) {
	s, err := NewSink(SinkOptions{Path: filepath.Join(b.TempDir(), "access.log")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	line := []byte(line(Layout{}, entry()))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Write(line)
		}
	})
}
