// Package rig is what the benchmarks stand on: processes that are started and
// ended by PID, free ports, load by wrk, CPU time and memory from the kernel.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// AnyCore lets a process run on every core.
const AnyCore = -1

// stopGrace is how long a process may take to end after SIGTERM.
const stopGrace = 5 * time.Second

// Process is a program that runs until Stop.
type Process struct {
	Name string
	PID  int

	logPath string
	ended   chan struct{} // closed once the program has been waited for
	err     error         // how it ended; read only after ended is closed
}

// Start runs argv bound to one core (AnyCore: all), with its output in
// dir/NAME.log. The program gets a process group of its own, so that a Ctrl-C
// at the terminal reaches it only through Stop.
func Start(name, dir string, core int, argv ...string) (*Process, error) {
	logPath := filepath.Join(dir, name+".log")
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	argv = OnCore(core, argv...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, PID: cmd.Process.Pid, logPath: logPath, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// OnCore returns the command line that runs argv on one core (AnyCore: argv
// itself). taskset replaces itself by the program, so the PID is the program's.
func OnCore(core int, argv ...string) []string {
	if core == AnyCore {
		return argv
	}
	return append([]string{"taskset", "-c", strconv.Itoa(core)}, argv...)
}

// Stop ends the program and the children it left, and returns once it is gone.
// Stopping twice is harmless.
func (p *Process) Stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	tree, _ := Tree(p.PID)
	_ = syscall.Kill(p.PID, syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopGrace):
	}
	for _, pid := range tree {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.ended
	return fmt.Errorf("%s did not end within %v of SIGTERM and was killed", p.Name, stopGrace)
}

// AwaitReady polls check until it returns nil. It fails when the program ends
// first, when limit has passed, or with ctx, and then shows the program's last
// words.
func (p *Process) AwaitReady(ctx context.Context, limit time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before it was ready: %w%s", p.Name, errors.Join(p.err, err), p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready within %v: %w%s", p.Name, limit, err, p.lastWords())
		case <-poll.C:
		}
	}
}

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// output waits for the program's end and returns what it printed. A failure of
// the program is an error.
func (p *Process) output() (string, error) {
	<-p.ended
	if p.err != nil {
		return "", fmt.Errorf("%s: %w%s", p.Name, p.err, p.lastWords())
	}
	out, err := os.ReadFile(p.logPath)
	return string(out), err
}

// lastWords returns the end of the program's output, introduced for an error
// message, or "".
func (p *Process) lastWords() string {
	const most = 2000
	out, err := os.ReadFile(p.logPath)
	out = bytes.TrimSpace(out)
	if err != nil || len(out) == 0 {
		return ""
	}
	return "; its output ends:\n" + string(out[max(0, len(out)-most):])
}
