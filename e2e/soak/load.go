package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// limit is how long one request may take. Those that last by design take two
// or three seconds.
const limit = 20 * time.Second

// deed is one request, or what is done on one stream.
type deed struct {
	kind       string
	lasts      bool // a tunnel or a response without length, which a flip may close
	began, end time.Time
	err        error
}

// books are what was done.
type books struct {
	mu     sync.Mutex
	done   map[string]int // by kind
	failed []deed
}

func newBooks() *books { return &books{done: map[string]int{}} }

func (b *books) enter(d deed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done[d.kind]++
	if d.err != nil {
		b.failed = append(b.failed, d)
	}
}

// merge adds others.
func (b *books) merge(others *books) {
	for kind, n := range others.done {
		b.done[kind] += n
	}
	b.failed = append(b.failed, others.failed...)
}

// worker does one kind of deed, again and again, by clients of its own.
type worker struct {
	kind  string
	many  int           // how many do it at once
	pause time.Duration // between deeds of one of them
	lasts bool
	do    func(ctx context.Context) error
	close func() // of its clients
}

// load keeps workers of all kinds at work until ctx ends. A deed under way then
// is brought to its end.
func (w *world) load(ctx context.Context, b *books) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, k := range w.workers() {
		var these sync.WaitGroup
		for range k.many {
			these.Go(func() { k.work(ctx, b) })
		}
		all.Go(func() {
			these.Wait()
			k.close()
		})
	}
	return &all
}

func (k *worker) work(ctx context.Context, b *books) {
	for ctx.Err() == nil {
		d := deed{kind: k.kind, lasts: k.lasts, began: time.Now()}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		d.err = k.do(one)
		if d.err != nil && one.Err() != nil {
			d.err = fmt.Errorf("it did not end within %v: %w", limit, d.err)
		}
		cancel()
		d.end = time.Now()
		b.enter(d)
		select {
		case <-ctx.Done():
		case <-time.After(k.pause):
		}
	}
}
