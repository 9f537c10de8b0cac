//go:build !linux

package main

import "time"

// monotonic returns 0: without Linux there is no systemd to be told.
func monotonic() time.Duration { return 0 }
