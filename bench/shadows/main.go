// Command shadows measures what copies of requests cost the customers whose
// requests they are: latency with copies beside latency without, at a rate that a
// site has, and not at saturation.
//
//	go run ./bench/shadows ./bin/sluice
//
// One Sluice serves two services with the same endpoint, of which one has its
// requests copied. The same connections ask first one and then the other, for a
// moment each, in an order that is drawn for each pair: what the machine does
// besides meets both alike. Sluice has a core to itself; endpoints and clients
// are on the other.
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
	sluice string
	rate   float64
	wait   time.Duration
	slice  time.Duration
	pairs  int
	cores  int
	out    string
}

func main() { rig.Main("shadows", run) }

func parseFlags(args []string) (options, error) {
	var o options
	f := rig.DrillFlags("shadows")
	f.Float64Var(&o.rate, "rate", 1000, "requests a second")
	f.DurationVar(&o.wait, "wait", 5*time.Millisecond, "how long the endpoints take for an answer")
	f.DurationVar(&o.slice, "slice", time.Second, "for how long one service is asked before the other")
	f.IntVar(&o.pairs, "pairs", 60, "how often both are asked, for each row")
	f.IntVar(&o.cores, "cores", 1, "1: Sluice has a core to itself; 2: it shares both with endpoints and clients")
	f.StringVar(&o.out, "out", "", "Markdown file for the summary; none by default")
	var err error
	if o.sluice, err = rig.DrillArgs(f, args); err != nil {
		return o, err
	}
	if o.rate < 10 || o.slice < 2*settle || o.pairs < 2 || o.wait < 0 || o.cores < 1 || o.cores > 2 {
		return o, fmt.Errorf("-rate is 10 or more, -slice %v or more, -pairs 2 or more, -wait not below 0, -cores 1 or 2", 2*settle)
	}
	return o, nil
}

// rows are what is measured, one after the other.
var rows = []row{
	{name: "none: what this measurement finds where there is nothing to find"},
	{name: "1%, and a second copy to tell noise", share: 1, again: true},
	{name: "10%, and a second copy, as a shadow stage has it", share: 10, again: true},
	{name: "all, without a second copy", share: 100},
	{name: "all, and a second copy: three requests for one", share: 100, again: true},
	{name: "all, to a version that never answers", share: 100, again: true, hangs: true},
}

// row is how requests are copied.
type row struct {
	name  string
	share int // percent
	again bool
	hangs bool // the version that gets the copies
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
	dir, err := os.MkdirTemp("", "sluice-shadows-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var text strings.Builder
	text.WriteString(heading(ctx, o))
	for _, r := range rows {
		s, err := measure(ctx, dir, o, r)
		if err != nil {
			return err
		}
		line := s.String(r.name)
		fmt.Println(line)
		text.WriteString(line + "\n")
	}
	if o.out == "" {
		return nil
	}
	return os.WriteFile(o.out, []byte(text.String()), 0o644)
}

// measure measures one row on a stage of its own.
func measure(ctx context.Context, dir string, o options, r row) (summary, error) {
	st, err := startStage(ctx, dir, o, r)
	if err != nil {
		return summary{}, err
	}
	slices, err := st.ask(ctx)
	var n copies
	if err == nil {
		n, err = st.copies(ctx)
	}
	if err = errors.Join(err, st.Stop()); err != nil {
		return summary{}, err
	}
	s, err := summarise(slices)
	s.copies = n
	return s, err
}

// heading says where and how it was measured.
func heading(ctx context.Context, o options) string {
	m := rig.ThisMachine(context.WithoutCancel(ctx))
	return fmt.Sprintf("# What copies of requests cost customers\n\n%s; %s, %d cores; %s; tree %s, %s; load averages before %s\n\n"+
		"%.0f requests/s for 200 bytes over %d connections, endpoints that take %v; %d pairs of %v; GOMAXPROCS=%d; started by %s.\n\n%s\n%s",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), m.CPU, m.Cores, m.Kernel, m.Commit, m.Go, m.Load,
		o.rate, connections, o.wait, o.pairs, o.slice, o.cores, before(1)[0], reading, columns)
}

// reading says how the table is to be read.
const reading = `Two services of one Sluice have the same endpoint; the requests to one of them are copied to a version of its own, and the answers compared. The same connections ask the two in turn, in an order
that is drawn for each pair, and each request is timed from the moment at which it was due. "All" is of all answers together: a neighbour on the machine that takes a moment of one slice moves it. "By pair" is the median of
what each pair says, which such a moment doesn't move. Intervals are those of drawing the pairs anew (a block bootstrap): what is in them can't be told from chance. The goal is a p99 within 2%. CPU time is that of Sluice, its copies and comparisons included, which take it from nobody as long as there is some left.
`
