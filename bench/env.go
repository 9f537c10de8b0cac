package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"sluice/bench/peers"
)

// env says where, when and how the figures were measured.
type env struct {
	Date     string
	Took     time.Duration
	Command  string
	CPU      string
	Cores    int
	Memory   string
	Kernel   string
	Go       string
	Commit   string // of the work tree; marked where it has changes
	Versions []version
	Options  string
}

// version is what one program says of itself.
type version struct{ Name, Text string }

func describe(ctx context.Context, o options, args []string, begun time.Time) env {
	e := env{
		Date:    begun.UTC().Format("2006-01-02 15:04 UTC"),
		Took:    time.Since(begun).Round(time.Second),
		Command: strings.Join(append([]string{"go run ./bench"}, args...), " "),
		CPU:     firstValue("/proc/cpuinfo", "model name"),
		Cores:   runtime.NumCPU(),
		Memory:  firstValue("/proc/meminfo", "MemTotal"),
		Kernel:  firstLine(ctx, "uname", "-sr"),
		Go:      runtime.Version(),
		Commit:  firstLine(ctx, "git", "describe", "--always", "--dirty"),
		Options: fmt.Sprintf("%d rounds, loads of %v, proxy on core %d, wrk (1 thread) and backends on core %d", o.rounds, o.span, o.proxyCore, o.loadCore),
	}
	for _, p := range append([]peers.Peer(nil), o.peers...) {
		if text := p.Version(ctx); text != "" && !p.LargeOnly {
			e.Versions = append(e.Versions, version{p.Name, text})
		}
	}
	e.Versions = append(e.Versions, version{"wrk", firstLine(ctx, "wrk", "-v")}, version{"backends", firstLine(ctx, "nginx", "-v")})
	return e
}

// firstLine returns the first line that a program prints, whatever its exit
// status (wrk -v ends with 1); "unknown" without one.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, _ := exec.CommandContext(ctx, name, args...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if line == "" {
		return "unknown"
	}
	return line
}

// firstValue returns the value of the first line "key: value" of a file.
func firstValue(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		k, v, ok := strings.Cut(in.Text(), ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}
