package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for a process.
const patience = 60 * time.Second

// pids are the processes that ever served a site, the newest last.
type pids struct {
	mu  sync.Mutex
	all []int
}

// add adds one, once.
func (p *pids) add(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pid > 0 && !slices.Contains(p.all, pid) {
		p.all = append(p.all, pid)
	}
}

func (p *pids) list() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

// Start starts the site's first process and returns when it is ready.
func (s *Site) Start(ctx context.Context) error { return s.run(ctx, false) }

// UpgradeByHand starts a process that takes over from the running one, and
// returns when it serves.
func (s *Site) UpgradeByHand(ctx context.Context) error { return s.run(ctx, true) }

// run starts a process and awaits that the pid file names it.
func (s *Site) run(ctx context.Context, upgrade bool) error {
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.Binary, "serve", "-c", s.File(), "--pid-file", s.pidFile())
	if upgrade {
		cmd.Args = append(cmd.Args, "--upgrade")
	}
	cmd.Dir, cmd.Stderr = s.Dir, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.listed.add(cmd.Process.Pid)
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // else it would remain as a zombie; why it ended stands in the log
		close(ended)
	}()
	return s.awaitProcess(ctx, ended, func(pid int) bool { return pid == cmd.Process.Pid })
}

// Upgrade replaces the running process by SIGUSR2, and returns when the new one
// serves.
func (s *Site) Upgrade(ctx context.Context) error {
	before := s.PID()
	if err := syscall.Kill(before, syscall.SIGUSR2); err != nil {
		return err
	}
	return s.awaitProcess(ctx, nil, func(pid int) bool { return pid != before })
}

// awaitProcess awaits that the pid file names a process that is wanted, and
// that it is ready; the end of another one ends the wait.
func (s *Site) awaitProcess(ctx context.Context, ended <-chan struct{}, wanted func(pid int) bool) error {
	over := false
	ready := await(ctx, patience, func() bool {
		select {
		case <-ended:
			over = true
			return true
		default:
		}
		pid := s.PID()
		if pid == 0 || !wanted(pid) {
			return false
		}
		answer, err := s.Admin.Ready(ctx)
		return err == nil && answer.Ready
	})
	if over || !ready {
		return errors.Join(ctx.Err(), fmt.Errorf("the process did not come to serve; its log:\n%s", s.Tail()))
	}
	return nil
}

// Kill ends the process that serves by SIGKILL, as a machine that dies would, and
// returns when it is gone.
func (s *Site) Kill(ctx context.Context) error {
	pid := s.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	if !await(ctx, patience, func() bool { return s.gone(pid) }) {
		return fmt.Errorf("process %d is still there after SIGKILL", pid)
	}
	return nil
}

// PID returns the process that serves, as the pid file says; 0: none.
func (s *Site) PID() int {
	text, err := os.ReadFile(s.pidFile())
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	s.listed.add(pid)
	return pid
}

// Leaving returns the processes that were replaced and have not ended yet.
func (s *Site) Leaving() []int {
	current := s.PID()
	return slices.DeleteFunc(s.listed.list(), func(pid int) bool { return pid == current || s.gone(pid) })
}

// Stop ends the processes of the site: by SIGTERM, and in the end by SIGKILL,
// which is an error.
func (s *Site) Stop() error {
	s.PID()
	s.Admin.Close()
	all := s.listed.list()
	for _, pid := range all {
		if !s.gone(pid) {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	alive := func(pid int) bool { return !s.gone(pid) }
	if await(context.Background(), patience, func() bool { return !slices.ContainsFunc(all, alive) }) {
		return nil
	}
	var failed []error
	for _, pid := range all {
		if alive(pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			failed = append(failed, fmt.Errorf("process %d did not end within %v of SIGTERM", pid, patience))
		}
	}
	return errors.Join(failed...)
}

// gone tells whether a process of this site has ended, be it reaped or not. A
// number that the system has given to a program elsewhere is no process of it.
func (s *Site) gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || bytes.Contains(stat, []byte(") Z ")) {
		return true
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || !bytes.Contains(line, []byte(s.File()))
}

// Tail returns the last lines of the log.
func (s *Site) Tail() string {
	lines := strings.SplitAfter(s.Log(), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "")
}
