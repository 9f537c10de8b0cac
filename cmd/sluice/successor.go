package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"sluice/cmd/sluice/server"
	"sluice/configs"
	"sluice/handover"
)

// upgradeFlag makes a process take the place of the running one.
const upgradeFlag = "--upgrade"

// program returns the path that this process was started by. It is looked up at
// the start, and not resolved: a binary that is replaced there, or a link that
// is turned to another, is what the next process runs.
func program() string {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		path, _ = os.Executable()
	}
	return path
}

// nursery starts successors, one at a time.
type nursery struct {
	log  *zap.Logger
	path string
	busy atomic.Bool
}

// start starts a process that is to take this one's place: the same command
// line, by the binary that is there now.
func (n *nursery) start() {
	if !n.busy.CompareAndSwap(false, true) {
		n.log.Warn("an upgrade is under way already")
		return
	}
	cmd := exec.Command(n.path, successorArgs(os.Args[1:])...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "WATCHDOG_PID=") // which is this process alone
	})
	if err := cmd.Start(); err != nil {
		n.log.Error("the new process can't be started; this one goes on as before", zap.String("program", n.path), zap.Error(err))
		n.busy.Store(false)
		return
	}
	n.log.Info("a new process is to take over", zap.String("program", n.path), zap.Int("pid", cmd.Process.Pid))
	go func() {
		if err := cmd.Wait(); err != nil {
			n.log.Error("the new process ended without taking over; this one goes on as before", zap.Error(err))
		}
		n.busy.Store(false)
	}()
}

// successorArgs adds --upgrade to a command line, once.
func successorArgs(args []string) []string {
	if slices.Contains(args, upgradeFlag) {
		return args
	}
	return append(slices.Clone(args), upgradeFlag)
}

// takeOver asks the running process for its sockets. Where there is none, this
// process starts like any other.
func takeOver(ctx context.Context, file *configs.File, log *zap.Logger) (*handover.Takeover, error) {
	taken, err := server.TakeOver(ctx, file)
	if errors.Is(err, handover.ErrNobody) {
		log.Info("there is no running process to take over from; this one starts afresh", zap.String("socket", file.Upgrade.Socket))
		return nil, nil
	}
	return taken, err
}

// pidFile says which process runs. The zero value says nothing.
type pidFile string

// write puts this process's number there, in one step.
func (p pidFile) write() error {
	if p == "" {
		return nil
	}
	tmp := string(p) + "." + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(tmp, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, string(p)); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// remove removes the file, unless another process has written it since.
func (p pidFile) remove() {
	if p == "" {
		return
	}
	if text, err := os.ReadFile(string(p)); err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
		os.Remove(string(p))
	}
}
