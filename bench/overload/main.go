// Command overload shows what Sluice does under more load than it can serve, and
// under connections that only hold it up: it measures the capacity of a running
// Sluice, offers several times that, and then less again; and it holds thousands
// of idle and dripping connections beside ordinary ones.
//
//	go run ./bench/overload ./bin/sluice
//
// Sluice has a core to itself. What it can serve is bounded by its endpoints, as
// max_connections and max_pending of the service say; with -cpu it is by its
// core, which the other core cannot offer several times as much. Backend and the
// clients that measure go before the load on that other core.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sluice/bench/rig"
)

// options are what the flags choose.
type options struct {
	sluice   string
	times    float64
	cpu      bool
	wait     time.Duration
	calm     time.Duration
	storm    time.Duration
	after    time.Duration
	idle     int
	dripping int
	out      string
}

func main() { rig.Main("overload", run) }

func parseFlags(args []string) (options, error) {
	var o options
	f := rig.DrillFlags("overload")
	f.Float64Var(&o.times, "times", 5, "the load, in times of the capacity; 0: the second drill alone")
	f.BoolVar(&o.cpu, "cpu", false, "let Sluice's core be the bottleneck, not its endpoints; then the load may not reach -times")
	f.DurationVar(&o.wait, "wait", 20*time.Millisecond, "how long the backend takes for an answer")
	f.DurationVar(&o.calm, "calm", 6*time.Second, "time at a fifth of the capacity or so before the load")
	f.DurationVar(&o.storm, "storm", 6*time.Second, "time of the load")
	f.DurationVar(&o.after, "after", 4*time.Second, "time at the rate of -calm after the load")
	f.IntVar(&o.idle, "idle", 10_000, "idle connections of the second drill; 0: no such drill")
	f.IntVar(&o.dripping, "dripping", 1000, "connections of the second drill that send a byte a second")
	f.StringVar(&o.out, "out", "", "Markdown file for the summary; none by default")
	var err error
	if o.sluice, err = rig.DrillArgs(f, args); err != nil {
		return o, err
	}
	if o.times != 0 && o.times < 1 || o.calm < 2*time.Second || o.storm < 2*time.Second || o.after < time.Second || o.idle < 0 || o.dripping < 0 {
		return o, errors.New("-times is 0, or 1 or more, -calm and -storm 2s or more, -after 1s or more, -idle and -dripping not below 0")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && roles[args[0]] != nil {
		return roles[args[0]](ctx, args[1:])
	}
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	if err := rig.EnsureTools(ctx, "taskset"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-overload-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var text strings.Builder
	fmt.Fprintln(&text, heading(ctx, o))
	if o.times > 0 {
		sh, upstream := byEndpoints, boundedUpstream
		if o.cpu {
			sh, upstream = byCPU, ""
		}
		err = drill(ctx, dir, o, o.wait, upstream, func(s *stage) error { return s.overload(ctx, &text, sh) })
	}
	if err == nil && o.idle+o.dripping > 0 {
		err = drill(ctx, dir, o, 0, "", func(s *stage) error { return s.drip(ctx, &text) })
	}
	fmt.Print(text.String())
	if err == nil && o.out != "" {
		err = os.WriteFile(o.out, []byte(text.String()), 0o644)
	}
	return err
}

// drill runs one drill on a stage of its own.
func drill(ctx context.Context, dir string, o options, wait time.Duration, upstream string, act func(*stage) error) error {
	s, err := startStage(ctx, dir, o, wait, upstream)
	if err != nil {
		return err
	}
	return errors.Join(act(s), s.Stop())
}

// heading says where and how it was measured.
func heading(ctx context.Context, o options) string {
	m := rig.ThisMachine(context.WithoutCancel(ctx))
	return fmt.Sprintf("# Overload\n\n%s; %s, %d cores; %s; tree %s, %s; load averages before %s\n\n"+
		"Sluice has core 0 and GOMAXPROCS=1; its backend answers after %v.\n"+
		"Backend and measuring clients go before the load on core 1 (nice -20).\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), m.CPU, m.Cores, m.Kernel, m.Commit, m.Go, m.Load, o.wait)
}
