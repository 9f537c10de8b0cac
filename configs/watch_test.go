package configs

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rig is a watcher whose timers the test fires.
type rig struct {
	t       *testing.T
	dir     string
	path    string
	watcher *Watcher
	reports chan report
	timers  chan timer
}

type report struct {
	file *File
	err  error
}

type timer struct {
	wait time.Duration
	fire chan time.Time
}

// patience bounds every wait of a test; none comes near it unless it fails.
const patience = 20 * time.Second

func serviceFile(name string) string { return strings.Replace(leastFile, "web:", name+":", 1) }

// startRig loads path and watches it; its end is awaited when the test ends.
func startRig(t *testing.T, path string) *rig {
	t.Helper()
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, path: path, dir: filepath.Dir(path), reports: make(chan report, 100), timers: make(chan timer, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	r.watcher, err = watch(ctx, f, func(f *File, err error) { r.reports <- report{f, err} }, r.after)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.watcher.Done():
		case <-time.After(patience):
			t.Error("the watcher does not end")
		}
	})
	r.fire(settle) // the first look
	r.idle()
	return r
}

func (r *rig) after(d time.Duration) <-chan time.Time {
	t := timer{d, make(chan time.Time, 1)}
	r.timers <- t
	return t.fire
}

// fire waits until a timer of this length is set, and lets it run out.
func (r *rig) fire(d time.Duration) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case t := <-r.timers:
			if t.wait == d {
				t.fire <- time.Time{}
				return
			}
		case <-deadline:
			r.t.Fatalf("no timer of %v was set", d)
		}
	}
}

// idle waits until the watcher has looked and only polls.
func (r *rig) idle() {
	r.t.Helper()
	for {
		select {
		case t := <-r.timers:
			if t.wait == poll {
				return
			}
			t.fire <- time.Time{}
		case <-time.After(patience):
			r.t.Fatal("the watcher does not come to rest")
		}
	}
}

// next fires timers until there is a report.
func (r *rig) next() report {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got := <-r.reports:
			return got
		case t := <-r.timers:
			if t.wait == settle {
				t.fire <- time.Time{}
			}
		case <-deadline:
			r.t.Fatal("no report")
		}
	}
}

// wantService checks that the next report is a file that declares the service.
func (r *rig) wantService(name string) {
	r.t.Helper()
	got := r.next()
	if got.err != nil {
		r.t.Fatal(got.err)
	}
	if got.file.Services[name] == nil {
		r.t.Fatalf("the file has %v, want %s", sorted(got.file.Services), name)
	}
}

func (r *rig) wantSilence() {
	r.t.Helper()
	select {
	case got := <-r.reports:
		r.t.Fatalf("unexpected report %+v", got)
	default:
	}
}

func plainRig(t *testing.T) *rig {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write(t, path, leastFile)
	return startRig(t, path)
}

func TestWatchRewrite(t *testing.T) {
	r := plainRig(t)
	write(t, r.path, serviceFile("first"))
	r.wantService("first")
	write(t, r.path, serviceFile("second"))
	r.wantService("second")
}

// Editors write a new file and rename it over the old one, more than once.
func TestWatchRename(t *testing.T) {
	r := plainRig(t)
	for _, name := range []string{"first", "second"} {
		fresh := filepath.Join(r.dir, ".sluice.yaml.swp")
		write(t, fresh, serviceFile(name))
		if err := os.Rename(fresh, r.path); err != nil {
			t.Fatal(err)
		}
		r.wantService(name)
	}
}

// A config map is a directory of links through "..data", which is renamed over
// to lead to the new content; the old content is then removed.
func TestWatchConfigMap(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "..1/sluice.yaml"), leastFile)
	link(t, "..1", filepath.Join(dir, "..data"))
	link(t, "..data/sluice.yaml", filepath.Join(dir, "sluice.yaml"))
	r := startRig(t, filepath.Join(dir, "sluice.yaml"))
	for i, name := range []string{"first", "second"} {
		next := []string{"..2", "..3"}[i]
		write(t, filepath.Join(dir, next, "sluice.yaml"), serviceFile(name))
		link(t, next, filepath.Join(dir, "..data_tmp"))
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, []string{"..1", "..2"}[i])); err != nil {
			t.Fatal(err)
		}
		r.wantService(name)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// A file that is a link is watched where it lies.
func TestWatchTargetOfLink(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "real.yaml")
	write(t, elsewhere, leastFile)
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	link(t, elsewhere, path)
	r := startRig(t, path)
	write(t, elsewhere, serviceFile("first"))
	r.wantService("first")
}

func TestWatchSameContent(t *testing.T) {
	r := plainRig(t)
	write(t, r.path, leastFile)
	write(t, filepath.Join(r.dir, "sluice.db"), "a neighbour")
	r.fire(settle) // the notice led to a look
	r.idle()
	r.wantSilence()
	write(t, r.path, serviceFile("first"))
	r.wantService("first")
	r.wantSilence()
}

// What changes between two looks is not read before it rests.
func TestWatchWaitsForRest(t *testing.T) {
	r := plainRig(t)
	write(t, r.path, "services:\n") // half written
	r.fire(settle)
	write(t, r.path, serviceFile("first"))
	r.wantService("first")
	r.wantSilence()
}

func TestWatchBadFileThenGood(t *testing.T) {
	r := plainRig(t)
	write(t, r.path, "services: {}\n")
	if got := r.next(); got.file != nil || got.err == nil || !strings.Contains(got.err.Error(), "declares no service") {
		t.Fatalf("got %+v", got)
	}
	if err := os.Remove(r.path); err != nil {
		t.Fatal(err)
	}
	if got := r.next(); got.err == nil || !strings.Contains(got.err.Error(), "cannot read it") {
		t.Fatalf("got %+v", got)
	}
	write(t, r.path, leastFile)
	r.wantService("web")
}

// A certificate that is renewed is no change of the file: who serves it follows
// it, and the rest of the file has no part in that.
func TestWatchLeavesCertificatesAlone(t *testing.T) {
	dir := sandbox(t)
	path := filepath.Join(dir, "sluice.yaml")
	write(t, path, "listeners: [{tls: {certificates: [{cert: certs/shop.pem, key: certs/shop.key}], client_ca: certs/shop.pem}}]\n"+leastFile)
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.sources) != 1 {
		t.Errorf("watched: %v", f.sources)
	}
}

// Without any notice the poll finds the change.
func TestWatchPoll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf", "sluice.yaml")
	write(t, path, leastFile)
	r := startRig(t, path)
	r.watcher.Reload() // to have a poll timer to fire
	select {
	case <-r.reports:
	case <-time.After(patience):
		t.Fatal("no report")
	}
	if err := r.watcher.notices.Remove(r.dir); err != nil {
		t.Fatal(err)
	}
	write(t, path, serviceFile("first"))
	r.fire(poll)
	r.wantService("first")
}

func TestReload(t *testing.T) {
	r := plainRig(t)
	r.watcher.Reload()
	r.wantService("web")
	write(t, r.path, "services: {}\n")
	r.watcher.Reload()
	if got := r.next(); got.err == nil {
		t.Fatal("a bad file was taken")
	}
}

// The file may change after it was loaded and before it is watched.
func TestWatchChangeBeforeWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	write(t, path, leastFile)
	f, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, serviceFile("first"))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reports := make(chan report, 1)
	w, err := Watch(ctx, f, func(f *File, err error) { reports <- report{f, err} })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-reports:
		if got.err != nil || got.file.Services["first"] == nil {
			t.Errorf("got %+v", got)
		}
	case <-time.After(patience):
		t.Error("no report")
	}
	cancel()
	<-w.Done()
}
