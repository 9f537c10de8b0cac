package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// level is what a process holds when nobody asks anything of it.
type level struct {
	goroutines, descriptors int
	memory                  int // resident, MiB
}

func (l level) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB", l.goroutines, l.descriptors, l.memory)
}

// Beyond what was held after the warm-up: what chance adds, and what grows once
// and stays, such as pools and the statistics of versions.
const (
	moreGoroutines  = 20
	moreDescriptors = 10
	moreMemory      = 48 // MiB
)

// above says in what a level lies above another, or "".
func (l level) above(before level) string {
	switch {
	case l.goroutines > before.goroutines+moreGoroutines:
		return fmt.Sprintf("%d goroutines, after %d", l.goroutines, before.goroutines)
	case l.descriptors > before.descriptors+moreDescriptors:
		return fmt.Sprintf("%d descriptors, after %d", l.descriptors, before.descriptors)
	case l.memory > before.memory+moreMemory:
		return fmt.Sprintf("%d MiB resident, after %d", l.memory, before.memory)
	}
	return ""
}

// How long a process is given to come to rest: connections to endpoints are
// idle for some seconds before they are closed, and processes that were
// replaced have to end.
const (
	restAfter = 15 * time.Second
	restLimit = 60 * time.Second
)

// rest awaits that the process has come to rest after the load.
func (w *world) rest(ctx context.Context) (level, error) {
	if err := pause(ctx, restAfter); err != nil {
		return level{}, err
	}
	return w.measure(ctx)
}

// restBelow awaits a level that is not above the one before, and that no other
// process is left. It returns the last level, be it good or not.
func (w *world) restBelow(ctx context.Context, before level) (level, error) {
	for deadline := time.Now().Add(restLimit); ; {
		now, err := w.measure(ctx)
		if err != nil || len(w.Leaving()) == 0 && now.above(before) == "" || time.Now().After(deadline) {
			return now, err
		}
		if err := pause(ctx, time.Second); err != nil {
			return now, err
		}
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// measure reads the level of the process that serves, as its metrics tell it.
func (w *world) measure(ctx context.Context) (level, error) {
	text, err := w.Admin.Metrics(ctx)
	if err != nil {
		return level{}, err
	}
	return level{
		goroutines:  int(metric(text, "go_goroutines")),
		descriptors: int(metric(text, "process_open_fds")),
		memory:      int(metric(text, "process_resident_memory_bytes") / (1 << 20)),
	}, nil
}

// metric finds one without labels; 0: there is none.
func metric(text []byte, name string) float64 {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, _ := strconv.ParseFloat(value, 64)
			return v
		}
	}
	return 0
}
