package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic returns the system's monotonic time (CLOCK_MONOTONIC), which systemd
// compares with its own; 0 if there is none.
func monotonic() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
