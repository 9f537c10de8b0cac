package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/bench/rig"
)

// env says where, when and how the figures were measured, as it was before the
// first load.
type env struct {
	Begun    time.Time
	Took     time.Duration
	Command  string
	Machine  rig.Machine
	Versions []version
	Options  string
}

// version is what one program says of itself.
type version struct{ Name, Text string }

// Date returns when the run began, to the minute.
func (e env) Date() string { return e.Begun.Format("2006-01-02 15:04 UTC") }

func describe(ctx context.Context, o options, args []string) env {
	e := env{
		Begun:   time.Now().UTC(),
		Command: strings.Join(append([]string{"go run ./bench"}, args...), " "),
		Machine: rig.ThisMachine(ctx),
		Options: fmt.Sprintf("%d rounds, loads of %v, proxy on core %d, wrk or h2load (1 thread) and backends on core %d", o.rounds, o.span, o.proxyCore, o.loadCore),
	}
	for _, p := range o.peers {
		if text := p.Version(ctx); text != "" && !p.LargeOnly {
			e.Versions = append(e.Versions, version{p.Name, text})
		}
	}
	e.Versions = append(e.Versions, version{"wrk", rig.FirstLine(ctx, "wrk", "-v")})
	if o.has(string(http2)) {
		e.Versions = append(e.Versions, version{"h2load", rig.FirstLine(ctx, "h2load", "--version")})
	}
	e.Versions = append(e.Versions, version{"backends", rig.FirstLine(ctx, "nginx", "-v")})
	return e
}
