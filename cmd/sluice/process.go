package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"sluice/cmd/sluice/server"
	"sluice/configs"
	"sluice/handover"
)

// process is a running proxy with what the system says to it: signals, a
// successor, the service manager.
type process struct {
	serving
	log     *zap.Logger
	server  *server.Server
	watcher *configs.Watcher
	manager manager
	nursery nursery

	quit    chan os.Signal // SIGTERM and SIGINT, the first and those after it
	signals chan os.Signal // SIGHUP and SIGUSR2
	ended   chan struct{}  // closed by close
	tasks   sync.WaitGroup
}

func newProcess(o serving, log *zap.Logger) *process {
	p := &process{
		serving: o, log: log, manager: manager{log}, nursery: nursery{log: log, path: program()},
		quit: make(chan os.Signal, 2), signals: make(chan os.Signal, 4), ended: make(chan struct{}),
	}
	signal.Notify(p.quit, syscall.SIGTERM, os.Interrupt)
	signal.Notify(p.signals, syscall.SIGHUP, syscall.SIGUSR2)
	return p
}

// close ends what serves the process alone.
func (p *process) close() {
	signal.Stop(p.quit)
	signal.Stop(p.signals)
	close(p.ended)
	p.tasks.Wait()
}

// start brings the server up, in the place of the running process if that was
// asked for. The end of ctx, at the first SIGTERM, ends the attempt.
func (p *process) start(ctx context.Context, file *configs.File) error {
	sockets, err := activated()
	if err != nil {
		return err
	}
	var taken *handover.Takeover
	if p.upgrade {
		if taken, err = takeOver(ctx, file, p.log); err != nil {
			return err
		}
	}
	if taken != nil {
		sockets = append(sockets, taken.Sockets...)
	}
	p.server, err = server.Start(ctx, file, server.Options{Log: p.log, AccessLog: os.Stderr, Version: version, Sockets: sockets, Reloaded: p.reloaded})
	if err != nil {
		if taken != nil {
			taken.Fail(err)
		}
		return err
	}
	if err := p.take(ctx, taken); err != nil {
		return errors.Join(err, p.server.Stop())
	}
	p.tellStarted(taken)
	return nil
}

// follow begins to follow the file, until close.
func (p *process) follow() error {
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	if p.watcher, err = p.server.Watch(ctx); err != nil {
		cancel()
		return err
	}
	p.tasks.Go(func() {
		<-p.ended
		cancel()
	})
	return nil
}

// take makes this process the one that runs: its predecessor leaves, and a
// successor may come. Whatever can fail the start comes before that; once the
// predecessor leaves, what goes wrong is no reason to leave nobody.
func (p *process) take(ctx context.Context, taken *handover.Takeover) error {
	if err := p.follow(); err != nil {
		if taken != nil {
			taken.Fail(err)
		}
		return err
	}
	if taken != nil {
		if err := taken.Ready(ctx); err != nil {
			return err
		}
		p.server.Succeed(taken)
	}
	err := p.server.Offer()
	if pidErr := p.pidFile.write(); pidErr != nil {
		err = errors.Join(err, fmt.Errorf("--pid-file: %w", pidErr))
	}
	if taken != nil && err != nil {
		p.log.Error("this process serves, but lacks what the next upgrade needs", zap.Error(err))
		return nil
	}
	return err
}

// tellStarted tells the log and the service manager.
func (p *process) tellStarted(taken *handover.Takeover) {
	for name, addr := range p.server.Addrs() {
		p.log.Info("listening", zap.String("listener", name), zap.Stringer("address", addr))
	}
	p.log.Info("admin API", zap.String("url", p.server.AdminURL()))
	if taken != nil {
		p.log.Info("took over from the process that ran before", zap.Int("predecessor", taken.PID))
	}
	p.manager.ready("serving")
	p.tasks.Go(func() { p.manager.watchdog(p.ended, p.server.Ready) })
}

// reloaded tells the service manager how a reload went.
func (p *process) reloaded(err error) {
	if err != nil {
		p.manager.ready("serving; the newest file is refused, and the one before is in force")
		return
	}
	p.manager.ready("serving")
}

// ending is why a process ends.
type ending uint8

const (
	endStop     ending = iota // a signal, or a failure
	endReplaced               // a successor has taken over
)

// wait heeds the signals until the process is to end.
func (p *process) wait() (ending, error) {
	for {
		select {
		case sig := <-p.signals:
			if sig == syscall.SIGHUP {
				p.manager.reloading()
				p.watcher.Reload()
			} else {
				p.nursery.start()
			}
		case err := <-p.server.Failed():
			return endStop, fmt.Errorf("going on is pointless: %w", err)
		case <-p.server.Replaced():
			return endReplaced, nil
		case <-p.quit:
			return endStop, nil
		}
	}
}

// end ends the server: as the file says, and sooner by each further signal.
func (p *process) end(why ending) error {
	soon, cancelSoon := context.WithCancel(context.Background())
	defer cancelSoon()
	now, cancelNow := context.WithCancel(context.Background())
	defer cancelNow()
	done := make(chan struct{})
	defer close(done)
	p.tasks.Go(func() {
		steps := []func(){cancelSoon, cancelNow}
		if why == endStop {
			steps = steps[1:] // the signal that it ends by is the first
		}
		for _, step := range steps {
			select {
			case <-p.quit:
				p.log.Warn("told once more to stop: this goes faster now")
				step()
			case <-done:
				return
			}
		}
	})
	began := time.Now()
	var err error
	if why == endReplaced {
		p.log.Info("replaced; finishing what is open", zap.Int("successor", p.server.Successor()))
		p.manager.replacedBy(p.server.Successor())
		err = p.server.Withdraw(soon, now)
	} else {
		p.log.Info("stopping")
		p.manager.stopping()
		err = p.server.Shutdown(now)
		p.pidFile.remove()
	}
	p.log.Info("stopped", zap.Duration("after", time.Since(began)), zap.Error(err))
	return err
}
