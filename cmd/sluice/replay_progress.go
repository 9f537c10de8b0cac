package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sluice/synthetic/replay"
)

// barWidth is that of the progress bar, in characters.
const barWidth = 24

// watchReplay has a replay tell how far it is: on a terminal in a line that
// changes, elsewhere in a line every ten seconds.
func watchReplay(cfg *replay.Config, w io.Writer, terminal bool) {
	cfg.Every = 10 * time.Second
	cfg.Progress = func(p replay.Progress) { fmt.Fprintln(w, replayLine(p)) }
	if terminal {
		cfg.Every = 200 * time.Millisecond
		cfg.Progress = func(p replay.Progress) {
			// What is longer than the terminal is wide must not wrap, or the next one
			// begins a line too low (DECAWM off and on); what was longer is cleared
			// (ECMA-48's "erase in line").
			fmt.Fprintf(w, "\r\x1b[?7l%s %s\x1b[K\x1b[?7h", replayBar(p), replayLine(p))
			if p.Ended {
				fmt.Fprintln(w)
			}
		}
	}
}

// replayBar draws how much of the logs was read.
func replayBar(p replay.Progress) string {
	if p.Total <= 0 {
		return ""
	}
	full := int(min(p.Done, p.Total) * barWidth / p.Total)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "]"
}

// replayLine says how far a replay is.
func replayLine(p replay.Progress) string {
	var parts []string
	if p.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d%%", min(p.Done, p.Total)*100/p.Total))
	}
	rate := 0.0
	if p.Elapsed > 0 {
		rate = float64(p.Sent) / p.Elapsed.Seconds()
	}
	parts = append(parts, fmt.Sprintf("%d sent (%.0f/s)", p.Sent, rate), fmt.Sprintf("%d errors", p.Errors))
	if p.Malformed > 0 {
		parts = append(parts, fmt.Sprintf("%d lines no request", p.Malformed))
	}
	if p.LeftOut > 0 {
		parts = append(parts, fmt.Sprintf("%d left out", p.LeftOut))
	}
	if !p.At.IsZero() {
		parts = append(parts, "at "+p.At.UTC().Format("2006-01-02 15:04:05"))
	}
	return strings.Join(parts, ", ")
}
