package admin

import (
	"fmt"
	"strings"
	"time"

	"sluice/state"
)

// parsePins reads what a flip does to pinned sessions: keep, move, drain or
// drain:<duration>. Empty takes the command's default.
func parsePins(text string) (state.Pins, error) {
	mode, span, timed := strings.Cut(text, ":")
	pins := state.Pins{Mode: state.PinMode(mode)}
	switch pins.Mode {
	case "", state.PinsKeep, state.PinsMove:
		if timed {
			return state.Pins{}, badPins(fmt.Sprintf("%q takes no duration", mode))
		}
		return pins, nil
	case state.PinsDrain:
		if !timed {
			return pins, nil
		}
		d, err := time.ParseDuration(span)
		if err != nil || d <= 0 {
			return state.Pins{}, badPins(fmt.Sprintf("%q is no duration to drain for", span))
		}
		pins.For = d
		return pins, nil
	}
	return state.Pins{}, badPins(fmt.Sprintf("%q says nothing about pins", mode))
}

func badPins(message string) error {
	return &state.Refusal{Reason: state.ErrInvalid, Field: "pins", Message: message,
		Remedy: "write keep, move, drain or drain:30m"}
}

// formatPins is the reverse of parsePins. A drain shows its duration, also
// where that is the default.
func formatPins(p state.Pins) string {
	if p.Mode != state.PinsDrain {
		return string(p.Mode)
	}
	d := p.For
	if d == 0 {
		d = state.DefaultDrain
	}
	return "drain:" + d.String()
}
