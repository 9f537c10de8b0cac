package main

// What passes between the process and systemd: sockets that it opened
// (sd_listen_fds(3)) and notices of how the process does (sd_notify(3)). Without
// systemd all of it does nothing.

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"sluice/handover"
)

// activated returns the sockets that systemd has opened for this process, by the
// names that FileDescriptorName= of their units gives them.
func activated() ([]handover.Socket, error) {
	var all []handover.Socket
	for _, f := range activation.Files(true) {
		ln, err := net.FileListener(f)
		f.Close()
		if err != nil {
			handover.Close(all)
			return nil, fmt.Errorf("socket %s of the service manager: %w; want ListenStream= with a TCP port or a path", f.Name(), err)
		}
		if u, ok := ln.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false) // it is systemd's
		}
		all = append(all, handover.Socket{Name: f.Name(), Network: ln.Addr().Network(), Listener: ln})
	}
	return all, nil
}

// manager tells systemd how the process does.
type manager struct{ log *zap.Logger }

// notify sends a notice of several lines.
func (m manager) notify(lines ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		m.log.Warn("the service manager can't be told", zap.Error(err))
	}
}

// ready says that the process serves.
func (m manager) ready(status string) { m.notify(daemon.SdNotifyReady, "STATUS="+status) }

// reloading says that a reload begins; ready ends it.
func (m manager) reloading() {
	m.notify(daemon.SdNotifyReloading, "MONOTONIC_USEC="+strconv.FormatInt(monotonic().Microseconds(), 10))
}

// stopping says that the process ends.
func (m manager) stopping() {
	m.notify(daemon.SdNotifyStopping, "STATUS=finishing the requests in flight")
}

// replacedBy says which process the service is from now on. That one could not
// say so itself: only the main process is believed (NotifyAccess=main).
func (m manager) replacedBy(pid int) { m.notify("MAINPID=" + strconv.Itoa(pid)) }

// watchdog tells of life, twice in the time that the unit's WatchdogSec= allows,
// until stop is closed. Alive does not return where the process is stuck.
func (m manager) watchdog(stop <-chan struct{}, alive func() bool) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		m.log.Warn("the watchdog's time can't be read", zap.Error(err))
	}
	if every <= 0 {
		return
	}
	tick := time.NewTicker(every / 2)
	defer tick.Stop()
	for {
		alive()
		m.notify(daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}
