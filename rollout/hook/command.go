package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// maxOutput is how much of what a command says goes into the log.
const maxOutput = 4 << 10

// killGrace is how long a command that was killed may keep its output open, by
// way of a process that it left behind.
const killGrace = time.Second

// command runs a hook's command with its arguments, by no shell. It reads the
// transition as JSON; its environment is ours and the variables of environment.
// When its time is over, it is killed with all processes of its group.
func (s *Sender) command(j job) error {
	ctx, cancel := context.WithTimeout(s.ctx, j.hook.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, j.hook.Command[0], j.hook.Command[1:]...)
	cmd.Stdin = bytes.NewReader(j.body)
	cmd.Env = append(os.Environ(), environment(j.transition)...)
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killGrace
	err := cmd.Run()
	log := s.log(j).With(zap.String("said", said.String()))
	switch {
	case err == nil:
		log.Info("a hook's command has run")
		return nil
	case ctx.Err() == context.DeadlineExceeded:
		err = fmt.Errorf("it took longer than %v and was killed", j.hook.Timeout)
	case errors.Is(err, exec.ErrWaitDelay):
		err = errors.New("it ended, and a process that it left behind keeps its output open")
	}
	log.Warn("a hook's command failed", zap.Error(err))
	return err
}

// environment tells a command what most want to know without reading JSON.
func environment(t Transition) []string {
	var services, candidates []string
	for _, l := range t.Legs {
		services, candidates = append(services, l.Service), append(candidates, l.Candidate)
	}
	return []string{
		"SLUICE_ROLLOUT=" + t.Rollout,
		"SLUICE_SET=" + t.Set,
		"SLUICE_SERVICE=" + strings.Join(services, " "),
		"SLUICE_VERSION=" + strings.Join(candidates, " "),
		"SLUICE_FROM=" + string(t.From),
		"SLUICE_PHASE=" + string(t.To),
		"SLUICE_STAGE=" + strconv.Itoa(t.Stage),
		"SLUICE_SHARE=" + strconv.FormatFloat(t.Share, 'g', -1, 64),
		"SLUICE_BY=" + t.By,
		"SLUICE_WHY=" + strings.ReplaceAll(t.Why, "\x00", ""), // of which no environment has any
	}
}

// output keeps the beginning of what a command says.
type output struct {
	kept []byte
	more int
}

// Write implements io.Writer; os/exec calls it from one goroutine, since both
// streams are the same.
func (o *output) Write(p []byte) (int, error) {
	n := min(len(p), maxOutput-len(o.kept))
	o.kept = append(o.kept, p[:n]...)
	o.more += len(p) - n
	return len(p), nil
}

func (o *output) String() string {
	said := strings.ToValidUTF8(strings.TrimSpace(string(o.kept)), "?")
	if o.more > 0 {
		return fmt.Sprintf("%s … and %d bytes more", said, o.more)
	}
	return said
}
