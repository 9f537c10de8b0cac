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
	"os"
	"time"

	"sluice/bench/rig"
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

func main() { rig.Main("rollouts", run) }

func parseFlags(args []string) (options, error) {
	var o options
	f := rig.DrillFlags("rollouts")
	f.IntVar(&o.rounds, "rounds", 30, "rollouts to versions as good as before, and as many to versions twice as bad")
	f.IntVar(&o.kills, "kills", 3, "rollouts of either kind in which Sluice is killed at each stage")
	f.IntVar(&o.aside, "aside", 5, "rollouts at a time, each of a service of its own")
	f.IntVar(&o.clients, "clients", 16, "clients of each service")
	f.DurationVar(&o.limit, "limit", 10*time.Minute, "how long a rollout may take")
	f.StringVar(&o.out, "out", "", "Markdown file for the account; none by default")
	var err error
	if o.sluice, err = rig.DrillArgs(f, args); err != nil {
		return o, err
	}
	if o.rounds < 0 || o.kills < 0 || o.rounds+o.kills == 0 || o.aside < 1 || o.clients < 1 || o.limit < time.Second {
		return o, errors.New("-rounds and -kills are not below 0 and not both 0, -aside and -clients 1 or more, -limit 1s or more")
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
