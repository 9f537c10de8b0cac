package configs

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a change must rest before it is read, so that a file that
// is still being written is not taken for the new one.
const settle = 100 * time.Millisecond

// poll is how often the files are compared without any notice. It finds what
// no notice tells of: network file systems, a directory made anew.
const poll = 15 * time.Second

// Watcher tells of changes of a file until its context ends.
type Watcher struct {
	path     string
	getenv   func(string) (string, bool)
	onChange func(*File, error)
	after    func(time.Duration) <-chan time.Time

	notices *fsnotify.Watcher
	loaded  sources // what the newest report was made from
	pending sources // what was seen at the newest look, if it differs from loaded
	reload  chan struct{}
	done    chan struct{}
}

// Watch calls onChange each time that the file f, or a secret or token
// file that it names, has other content than before: rewritten
// in place, renamed over, or reached through a symbolic link that was swapped,
// as Kubernetes does. Content that is the same calls nothing. onChange gets
// the new file, or the reason for which it is refused; it is called from one
// goroutine, one call at a time, also for changes made since f was loaded. It
// fails when the system cannot watch any more directories.
func Watch(ctx context.Context, f *File, onChange func(*File, error)) (*Watcher, error) {
	return watch(ctx, f, onChange, time.After)
}

func watch(ctx context.Context, f *File, onChange func(*File, error), after func(time.Duration) <-chan time.Time) (*Watcher, error) {
	notices, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("%s: cannot watch it: %w", f.name, err)
	}
	w := &Watcher{
		path:     f.name,
		getenv:   f.getenv,
		onChange: onChange,
		after:    after,
		notices:  notices,
		loaded:   maps.Clone(f.sources),
		reload:   make(chan struct{}, 1),
		done:     make(chan struct{}),
	}
	if err := w.follow(); err != nil {
		notices.Close()
		return nil, fmt.Errorf("%s: cannot watch it: %w", f.name, err)
	}
	go w.run(ctx)
	return w, nil
}

// Reload reads the file now and reports it even if it is the same: what
// SIGHUP asks for. Calls that come while one waits are merged.
func (w *Watcher) Reload() {
	select {
	case w.reload <- struct{}{}:
	default:
	}
}

// Done is closed when the watcher has ended and will call nothing any more.
func (w *Watcher) Done() <-chan struct{} { return w.done }

func (w *Watcher) run(ctx context.Context) {
	defer close(w.done)
	defer w.notices.Close()
	// The first look is not for a notice: the file may have changed between
	// its loading and the start of the watch.
	timer := w.after(settle)
	waiting := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.reload:
			w.report()
			timer, waiting = w.after(poll), false
		case <-w.notices.Events:
			// The timer is not started again by later notices: a directory
			// that is written to all the time must not put off the look.
			if !waiting {
				timer, waiting = w.after(settle), true
			}
		case <-w.notices.Errors: // lost notices: look for oneself
			timer, waiting = w.after(settle), true
		case <-timer:
			if waiting = !w.look(); waiting {
				timer = w.after(settle)
			} else {
				timer = w.after(poll)
			}
		}
	}
}

// look compares the files with what was loaded. It returns false where they
// differ but have not been seen twice the same, so that it must look again.
func (w *Watcher) look() bool {
	current := w.loaded.now()
	switch {
	case maps.Equal(current, w.loaded):
		w.pending = nil
		// A notice is bound to a directory, and a swapped link leads to
		// another. One that has gone is found again by the next poll.
		_ = w.follow()
		return true
	case maps.Equal(current, w.pending):
		w.report()
		return true
	}
	w.pending = current
	return false
}

// report loads the file and says what came of it.
func (w *Watcher) report() {
	f, read, err := load(w.path, w.getenv)
	w.loaded, w.pending = maps.Clone(read), nil
	_ = w.follow() // as in look
	w.onChange(f, err)
}

// follow watches the directories of all sources, as named and as resolved, and
// no others. The directories rather than the files, since a rename puts another
// file in the place of the watched one.
func (w *Watcher) follow() error {
	wanted := map[string]bool{}
	for path := range w.loaded {
		wanted[filepath.Dir(path)] = true
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			wanted[filepath.Dir(resolved)] = true
		}
	}
	for _, dir := range w.notices.WatchList() {
		if !wanted[dir] {
			_ = w.notices.Remove(dir) // it may have gone already
		}
	}
	home := filepath.Dir(w.path)
	for dir := range wanted {
		if err := w.notices.Add(dir); err != nil && dir == home {
			return err
		}
	}
	return nil
}
