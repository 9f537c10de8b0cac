// Command rollouts rolls services out by the dozen, over real sockets: to
// versions that fail as often as the ones before, and to versions that fail
// twice as often. It counts what was decided, how long that took, and what it
// cost the users; and it kills Sluice in the middle of some.
//
//	go run ./bench/rollouts ./bin/sluice
//
// Clients and endpoints share this process. A client is a session after the
// other: a first request without a cookie, and some with the pin that it got.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are what the flags choose.
type options struct {
	sluice  string
	rounds  int
	kills   int
	aside   int
	clients int
	limit   time.Duration
	out     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "rollouts:", err)
	os.Exit(1)
}

func parseFlags(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("rollouts", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: rollouts [flags] SLUICE\n\nSLUICE is the path of the sluice binary.")
		f.PrintDefaults()
	}
	f.IntVar(&o.rounds, "rounds", 30, "rollouts to versions as good as before, and as many to versions twice as bad")
	f.IntVar(&o.kills, "kills", 3, "rollouts of either kind in which Sluice is killed at each stage")
	f.IntVar(&o.aside, "aside", 5, "rollouts at a time, each of a service of its own")
	f.IntVar(&o.clients, "clients", 16, "clients of each service")
	f.DurationVar(&o.limit, "limit", 10*time.Minute, "how long a rollout may take")
	f.StringVar(&o.out, "out", "", "Markdown file for the account; none by default")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() != 1 {
		return o, errors.New("the path of the sluice binary is needed, after the flags: rollouts ./bin/sluice")
	}
	if o.rounds < 0 || o.kills < 0 || o.rounds+o.kills == 0 || o.aside < 1 || o.clients < 1 || o.limit < time.Second {
		return o, errors.New("-rounds and -kills are not below 0 and not both 0, -aside and -clients 1 or more, -limit 1s or more")
	}
	var err error
	if o.sluice, err = filepath.Abs(f.Arg(0)); err != nil {
		return o, err
	}
	if _, err := os.Stat(o.sluice); err != nil {
		return o, fmt.Errorf("%w; build it with: make build", err)
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-rollouts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	trials := plan(o)
	s, err := startSite(ctx, dir, o, trials)
	if err != nil {
		return err
	}
	begun := time.Now()
	err = errors.Join(s.runAll(ctx, trials), s.stop())
	if err != nil {
		return err
	}
	return conclude(ctx, o, begun, trials)
}
