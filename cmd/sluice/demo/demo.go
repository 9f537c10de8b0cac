// Package demo runs Sluice's main job before the eyes of a newcomer: the proxy,
// two services with three versions each as real HTTP servers, a load of browsers
// and API clients, and a commentary in plain words. Each promise that Sluice
// makes is checked by what the clients saw, not by what the proxy says.
package demo

import (
	"context"
	"errors"
	"io"
	"time"
)

// Options say where a demo listens and how it goes on.
type Options struct {
	Listen  string    // address of the proxy; "": a free port, or 127.0.0.1:8080 with Keep where it is free
	Admin   string    // address of the admin API; "": a free port, or 127.0.0.1:9900 with Keep where it is free
	Fast    bool      // a few seconds in all, for tests
	Keep    bool      // go on after the story until ctx ends
	Color   bool      // mark what went well and what did not by colour
	Out     io.Writer // gets the commentary
	Version string    // the program's
	Program string    // how the program is called in commands to copy; "": sluice

	edit []string // replacements in the file, old and new by turns, for tests
	acts [2]int   // tells those from the one, counted from 0, to before the other; none: all; for tests
}

var (
	// ErrBroken is returned when a promise was broken. The commentary says which.
	ErrBroken = errors.New("a promise was broken")
	// ErrInterrupted is returned when ctx ended the story before its end.
	ErrInterrupted = errors.New("interrupted before the end of the story")
)

// pace is how fast a demo goes.
type pace struct {
	Step     time.Duration // how long to watch after a change
	Think    time.Duration // mean pause between two pages of a browser
	Views    [2]int        // pages of a browser's visit, least and most
	Browsers int           // at a time
	Clients  int           // of the API, at a time
	Call     time.Duration // mean pause between two calls of an API client
	Slow     time.Duration // how long requests in flight take once the proxy has been told to stop
	Patience time.Duration // how long to wait for what must come
	Shoppers int           // at a time
	Stroll   time.Duration // mean pause between two of their pages
	Slower   float64       // how long v4 of shop takes, in times of the others
	Verdict  time.Duration // how long a rollout may take
}

// paceOf returns about 450 requests a second, which two slow processors carry
// beside everything else that runs on them.
func paceOf(fast bool) pace {
	p := pace{
		Step: 4 * time.Second, Think: 110 * time.Millisecond, Views: [2]int{6, 18},
		Browsers: 40, Clients: 10, Call: 100 * time.Millisecond,
		Slow: 600 * time.Millisecond, Patience: 20 * time.Second,
		Shoppers: 60, Stroll: 20 * time.Millisecond, Slower: 1.3, Verdict: 2 * time.Minute,
	}
	if fast {
		p.Step, p.Slow = 400*time.Millisecond, 150*time.Millisecond
		p.Browsers, p.Think, p.Views = 24, 60*time.Millisecond, [2]int{2, 5}
		p.Shoppers, p.Slower = 40, 3
	}
	return p
}

// Run tells the story. The error is ErrBroken, ErrInterrupted, or says what kept
// the demo from running; everything that it started has ended.
func Run(ctx context.Context, opt Options) error {
	if opt.Program == "" {
		opt.Program = "sluice"
	}
	stage, err := build(ctx, opt)
	if err != nil {
		return err
	}
	defer stage.close()
	s := &story{stage: stage, voice: voice{out: opt.Out, color: opt.Color}, program: opt.Program, from: opt.acts[0], to: opt.acts[1]}
	s.opening()
	stage.load.start()
	err = s.tell(ctx)
	if err == nil && opt.Keep {
		err = s.play(ctx)
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	s.end(ctx)
	s.summary()
	switch {
	case s.broken() > 0:
		return ErrBroken
	case !s.told:
		return ErrInterrupted
	}
	return nil
}
