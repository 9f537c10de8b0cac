package rig

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine says where figures were measured.
type Machine struct {
	CPU    string
	Cores  int
	Memory string
	Kernel string
	Go     string
	Commit string // of the work tree; marked "-dirty" where it has changes
	Load   string // load averages over 1, 5 and 15 minutes: what else was going on
}

// ThisMachine describes the machine and the work tree; what it can't learn is
// "unknown".
func ThisMachine(ctx context.Context) Machine {
	return Machine{
		CPU:    firstValue("/proc/cpuinfo", "model name"),
		Cores:  runtime.NumCPU(),
		Memory: firstValue("/proc/meminfo", "MemTotal"),
		Kernel: FirstLine(ctx, "uname", "-sr"),
		Go:     runtime.Version(),
		Commit: commit(ctx),
		Load:   loadAverages(),
	}
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown" // not in a work tree, or no git
	}
	return strings.TrimSpace(string(out))
}

func loadAverages() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}

// FirstLine returns the first line that a program prints, whatever its exit
// status (wrk -v ends with 1); "unknown" without one.
func FirstLine(ctx context.Context, name string, args ...string) string {
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
