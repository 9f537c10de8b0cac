// Command flips shows that flipping weights loses no request and leaves no new
// session behind: 1,000 flips in 60 s through a running Sluice, nginx as two
// real backends, wrk and curl as clients.
//
//	go run ./bench/flips ./bin/sluice
//
// It ends with status 1 and an account where one request failed, or one new
// session went to the old version after an acknowledged flip.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

// options are what the flags choose.
type options struct {
	sluice      string
	flips       int
	span        time.Duration
	connections int
	checks      int
	tracers     int
	loadCore    int
	out         string
}

func main() { rig.Main("flips", run) }

func parseFlags(args []string) (options, error) {
	var o options
	f := rig.DrillFlags("flips")
	f.IntVar(&o.flips, "flips", 1000, "how many times the weights are flipped")
	f.DurationVar(&o.span, "span", time.Minute, "time for all of them, whole seconds")
	f.IntVar(&o.connections, "connections", 64, "connections of wrk, half of them pinned")
	f.IntVar(&o.checks, "checks", 3, "new sessions that check each flip")
	f.IntVar(&o.tracers, "tracers", 2, "clients that note who answers when")
	f.IntVar(&o.loadCore, "load-core", 1, "core of wrk and the backends; -1: all")
	f.StringVar(&o.out, "out", "", "Markdown file for the summary; none by default")
	var err error
	if o.sluice, err = rig.DrillArgs(f, args); err != nil {
		return o, err
	}
	if o.flips < 2 || o.span < time.Second || o.span%time.Second != 0 || o.connections < 2 || o.checks < 1 || o.tracers < 1 {
		return o, errors.New("-flips is 2 or more, -span a whole number of seconds, -connections 2 or more, -checks and -tracers 1 or more")
	}
	return o, nil
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	if err := rig.EnsureTools(ctx, "nginx", "wrk", "curl", "taskset"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-flips-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// nginx's worker has fewer rights than this process.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	backends, err := peers.StartBackends(ctx, dir, o.loadCore)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backends.Stop()) }()
	proxy, err := startSluice(ctx, dir, o, backends)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxy.Stop()) }()
	return drillUnderLoad(ctx, dir, o, proxy)
}

// startSluice starts Sluice with all weight on v1 and waits for both its
// listener and its admin API.
func startSluice(ctx context.Context, dir string, o options, b *peers.Backends) (*peers.Running, error) {
	chosen, err := peers.Choose(peers.All(o.sluice, ""), []string{"sluice"})
	if err != nil {
		return nil, err
	}
	proxy, err := chosen[0].Start(ctx, dir, rig.AnyCore, b, peers.Weights{V1: 100})
	if err != nil {
		return nil, err
	}
	c := newControl(proxy.Admin, "web")
	if err := proxy.AwaitReady(ctx, 10*time.Second, func() error { return c.ready(ctx) }); err != nil {
		return nil, errors.Join(err, proxy.Stop())
	}
	return proxy, nil
}

// drillUnderLoad runs the flips beside wrk and curl and prints the account.
func drillUnderLoad(ctx context.Context, dir string, o options, proxy *peers.Running) error {
	begun := time.Now()
	load, err := startLoads(dir, proxy.Address, o)
	if err != nil {
		return err
	}
	defer load.stop()
	d := drill{Proxy: proxy.Address, Control: newControl(proxy.Admin, "web"), Flips: o.flips, Span: o.span, Checks: o.checks, Tracers: o.tracers}
	curling, stopCurl := context.WithCancel(ctx)
	defer stopCurl()
	var curlFailures failures
	curls := make(chan int, 1)
	go func() { curls <- curlAll(curling, dir, proxy.Address, &curlFailures) }()

	a := d.run(ctx)
	stopCurl()
	s := summary{Options: o, Begun: begun, Machine: rig.ThisMachine(context.WithoutCancel(ctx)), Account: a, Curls: <-curls}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.Loads = load.results(&a.Failures)
	s.Latencies = judge(a)
	return s.conclude(&curlFailures)
}
