package certs

import (
	"cmp"
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// Times between looks at the files. A change must rest for settle; poll finds
// what no notice tells of, as on network file systems.
const (
	settle = 100 * time.Millisecond
	poll   = time.Minute
)

// Keeper keeps the Sources of a process and follows their files.
type Keeper struct {
	opt Options
	log *zap.Logger
	now func() time.Time

	mu      sync.Mutex
	sources []*Source

	notices *fsnotify.Watcher // nil: the system gives none, and polls must do
	more    chan struct{}     // there may be other files to follow
	cancel  context.CancelFunc
	done    chan struct{}
}

// NewKeeper returns a keeper without sources. It must be closed.
func NewKeeper(opt Options) *Keeper {
	k := &Keeper{opt: opt, log: opt.Log, now: opt.Now, more: make(chan struct{}, 1), done: make(chan struct{})}
	if k.log == nil {
		k.log = zap.NewNop()
	}
	if k.now == nil {
		k.now = time.Now
	}
	if k.opt.Failed == nil {
		k.opt.Failed = func() {}
	}
	if k.opt.after == nil {
		k.opt.after = time.After
	}
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	var err error
	if k.notices, err = fsnotify.NewWatcher(); err != nil {
		k.log.Warn("certificates are not watched, only looked at once in a while", zap.Duration("every", poll), zap.Error(err))
	}
	go k.run(ctx)
	return k
}

// Close ends all sources and whatever they keep doing. Their tls.Configs go on
// working with what they have.
func (k *Keeper) Close() {
	k.cancel()
	<-k.done
	k.Keep()
}

// Open returns the source of a Config: the one that is open, if there is one of
// the very same Config, or a new one. Open and Keep are one caller's at a time.
func (k *Keeper) Open(c Config) (*Source, error) {
	for _, s := range k.all() {
		if reflect.DeepEqual(s.config, c) {
			return s, nil
		}
	}
	s, err := newSource(k, c)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.sources = append(k.sources, s)
	k.mu.Unlock()
	k.follow()
	return s, nil
}

// all returns the sources as they are now. Nobody waits for files, which may be
// on a network, with the mutex held.
func (k *Keeper) all() []*Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.sources)
}

// Keep closes all sources but these.
func (k *Keeper) Keep(used ...*Source) {
	k.mu.Lock()
	var closed []*Source
	k.sources = slices.DeleteFunc(k.sources, func(s *Source) bool {
		gone := !slices.Contains(used, s)
		if gone {
			closed = append(closed, s)
		}
		return gone
	})
	k.mu.Unlock()
	for _, s := range closed {
		if s.acme != nil {
			s.acme.stop()
		}
	}
	k.follow()
}

// Expiries returns when each certificate ends, the soonest of each server and
// name alone.
func (k *Keeper) Expiries() []Expiry {
	var all []Expiry
	for _, s := range k.all() {
		all = append(all, s.expiries()...)
	}
	slices.SortFunc(all, func(a, b Expiry) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Name, b.Name), a.At.Compare(b.At))
	})
	return slices.CompactFunc(all, func(a, b Expiry) bool { return a.Server == b.Server && a.Name == b.Name })
}

// follow makes run watch the files of all sources.
func (k *Keeper) follow() {
	select {
	case k.more <- struct{}{}:
	default:
	}
}

// run looks at the files after every notice, and once in a while without.
func (k *Keeper) run(ctx context.Context) {
	defer close(k.done)
	var events <-chan fsnotify.Event
	var lost <-chan error
	if k.notices != nil {
		defer k.notices.Close()
		events, lost = k.notices.Events, k.notices.Errors
	}
	timer := k.opt.after(poll)
	waiting := false // for a change to settle; later notices do not put off the look
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.more:
			k.watch()
		case <-events:
		case <-lost:
		case <-timer:
			if waiting = !k.look(); !waiting {
				timer = k.opt.after(poll)
				continue
			}
			timer = k.opt.after(settle)
			continue
		}
		if !waiting {
			timer, waiting = k.opt.after(settle), true
		}
	}
}

// look looks at the files of all sources, and reports whether nothing is left to
// look at again soon.
func (k *Keeper) look() bool {
	rests := true
	for _, s := range k.all() {
		rests = s.look() && rests
		s.watchTime()
	}
	// A notice is bound to a directory, and a swapped link leads to another.
	k.watch()
	return rests
}

// watch asks for notices of the directories of all files, as named and as
// resolved, and of no others. The directories rather than the files, since a
// rename puts another file in the place of the watched one.
func (k *Keeper) watch() {
	if k.notices == nil {
		return
	}
	wanted := map[string]bool{}
	for _, s := range k.all() {
		for _, path := range s.config.paths() {
			wanted[filepath.Dir(path)] = true
			if resolved, err := filepath.EvalSymlinks(path); err == nil {
				wanted[filepath.Dir(resolved)] = true
			}
		}
	}
	for _, dir := range k.notices.WatchList() {
		if !wanted[dir] {
			_ = k.notices.Remove(dir) // it may have gone already
		}
	}
	for dir := range wanted {
		_ = k.notices.Add(dir) // what cannot be watched is found by the polls
	}
}
