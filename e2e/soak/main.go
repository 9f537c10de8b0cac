// Command soak runs Sluice for a while under all that it may meet: every
// protocol at once, flips, endpoints that die and return, reloads, renewed
// certificates and upgrades. It ends with status 1 and an account where a
// request failed that no policy explains, or where goroutines, file
// descriptors or memory are not level at the end.
//
//	go run ./e2e/soak -for 10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what the flags choose.
type options struct {
	span   time.Duration
	binary string
	keep   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.DurationVar(&o.span, "for", 10*time.Minute, "how long; 20s at least")
	flag.StringVar(&o.binary, "sluice", "", "the binary; built if not given")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory with the log")
	flag.Parse()
	if o.span < 20*time.Second || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "soak: -for is 20s or more, and there are no arguments")
		os.Exit(2)
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run soaks: a warm-up that tells what is level, the trouble, and a rest.
func run(ctx context.Context, o options) (err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	begun := time.Now()
	warm, err := w.soak(ctx, o.span/6, nil)
	if err != nil {
		return err
	}
	before, err := w.rest(ctx)
	if err != nil {
		return err
	}
	t := &trouble{world: w}
	books, err := w.soak(ctx, o.span-o.span/6, t)
	if err != nil {
		return err
	}
	after, err := w.restBelow(ctx, before)
	if err != nil {
		return err
	}
	books.merge(warm)
	return account{took: time.Since(begun), books: books, trouble: t, before: before, after: after}.conclude()
}

// soak keeps the load up for a while, with trouble or without.
func (w *world) soak(ctx context.Context, span time.Duration, t *trouble) (*books, error) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	b := newBooks()
	l := w.load(ctx, b)
	var err error
	if t != nil {
		err = t.make(ctx, span)
		if err != nil {
			cancel()
		}
	}
	l.Wait()
	if err == nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = ctx.Err()
	}
	return b, err
}
