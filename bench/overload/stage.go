package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/bench/rig"
)

// The cores: what is measured, and what measures it.
const (
	sluiceCore = 0
	loadCore   = 1
)

// stage is a Sluice in front of a backend, ready for a drill.
type stage struct {
	rig.Stage
	o       options
	self    string
	address string // of Sluice
	sluice  *rig.Process
	count   int    // of loads, for their names
	files   uint64 // descriptors that a process may have
}

// Bounds of the endpoints' load in the drill of endpoints that are the bottleneck.
// A request waits for maxPending*wait/maxToEndpoints at most, half of what the
// backend takes, unless that gets slower.
const (
	maxToEndpoints = 40
	maxPending     = 20
	pendingTimeout = 50 * time.Millisecond
)

// boundedUpstream is the part of a service that says so.
var boundedUpstream = fmt.Sprintf("upstream: {max_connections: %d, max_pending: %d, pending_timeout: %v}, ", maxToEndpoints, maxPending, pendingTimeout)

// startStage starts all that a drill needs, on free ports. The backend takes wait
// for an answer; upstream is what the service says of it.
func startStage(ctx context.Context, dir string, o options, wait time.Duration, upstream string) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	free, err := rig.FreeAddresses(3)
	if err != nil {
		return nil, err
	}
	s := &stage{Stage: rig.Stage{Dir: dir}, o: o, self: self, address: free[0]}
	if s.files, err = allowDescriptors(uint64(o.idle + o.dripping + 2*mostConnections)); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf("listeners: [{name: edge, address: %q, limits: {connections: %d}}]\nadmin: {address: %q}\nstate: {backend: memory}\n"+
		"log: {level: warn, access: {mode: errors}}\nservices: {web: {%sversions: {v1: {endpoints: [%q], weight: 1}}}}\n", free[0], s.room(), free[1], upstream, free[2])
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	first := []string{"nice", "-n", "-20"}
	_, err = s.Start("backend", loadCore, append(first, self, "backend", free[2], wait.String())...)
	if err == nil {
		s.sluice, err = s.Start("sluice", sluiceCore, append(first, "env", "GOMAXPROCS=1", o.sluice, "serve", "-c", file)...)
	}
	if err == nil {
		err = s.sluice.AwaitReady(ctx, 15*time.Second, func() error {
			a, err := rig.GetOnce(s.address, "/", "", time.Second)
			if err == nil && a.Status != 200 {
				err = fmt.Errorf("answer %d", a.Status)
			}
			return err
		})
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// begin starts a load in a process of its own; urgent ones measure, and go
// before all others.
func (s *stage) begin(l load, urgent bool) (wait func(context.Context) (result, error), err error) {
	s.count++
	name := fmt.Sprintf("load-%d", s.count)
	what, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	argv := []string{s.self, "load", string(what)}
	if urgent {
		argv = append([]string{"nice", "-n", "-20"}, argv...)
	}
	p, err := s.Start(name, loadCore, argv...)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (r result, err error) {
		select {
		case <-p.Ended():
		case <-ctx.Done():
			return r, ctx.Err()
		}
		out, err := os.ReadFile(filepath.Join(s.Dir, name+".log"))
		if err == nil {
			err = json.Unmarshal(out, &r)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w; its output: %.500s", name, err, out)
		}
		return r, err
	}, nil
}

// peak returns the most memory, in MiB, that Sluice has had in RAM since the
// start.
func (s *stage) peak() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.sluice.PID))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("the kernel does not tell VmHWM")
	}
	kb, err := strconv.Atoi(fields[0])
	return float64(kb) / 1024, err
}

// allowDescriptors raises the limit of open files for this process and those
// that it starts, as far as it is allowed to, and returns what it is.
func allowDescriptors(n uint64) (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	want := syscall.Rlimit{Cur: max(limit.Cur, n), Max: max(limit.Max, n)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) == nil {
		return want.Cur, nil
	}
	want = syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
	return want.Cur, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want)
}
