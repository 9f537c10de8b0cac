package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Inconclusive is what happens to a stage that reaches its deadline undecided.
type Inconclusive string

// The choices.
const (
	InconclusiveHold     Inconclusive = "hold"
	InconclusivePromote  Inconclusive = "promote"
	InconclusiveRollback Inconclusive = "rollback"
)

func (Inconclusive) values() []string { return []string{"hold", "promote", "rollback"} }

// QueueMode is what a new rollout does to those that wait for the same service.
type QueueMode string

// The choices: they are dropped and told, or come first.
const (
	QueueSupersede QueueMode = "supersede"
	QueueFIFO      QueueMode = "fifo"
)

func (QueueMode) values() []string { return []string{"supersede", "fifo"} }

// StreamMode is what a flip does to streams on versions that it leaves without
// weight.
type StreamMode string

// The choices.
const (
	StreamsFinish StreamMode = "finish"
	StreamsClose  StreamMode = "close"
)

func (StreamMode) values() []string { return []string{"finish", "close"} }

// Phase is where a rollout stands.
type Phase string

func (Phase) values() []string {
	return []string{"queued", "gated", "probing", "shadowing", "shifting", "baking", "paused", "rolling_back",
		"promoted", "rolled_back", "aborted", "superseded"}
}

// Percent is a share in hundredths of a percent, 0 to 10,000. In the file: "5%",
// "0.01%".
type Percent int

// String returns the share as the file writes it, in its shortest form.
func (p Percent) String() string {
	return strconv.FormatFloat(float64(p)/100, 'f', -1, 64) + "%"
}

func (p *Percent) decodeText(text string) error {
	bad := problemf("want 0% to 100% with at most two decimals, such as 5% or 0.01%", "%s is not a share", quote(text))
	number, ok := strings.CutSuffix(text, "%")
	whole, decimals, point := strings.Cut(number, ".")
	if !ok || len(whole) == 0 || len(whole) > 3 || len(decimals) > 2 || point && decimals == "" {
		return bad
	}
	// Unsigned, so that neither part may have a sign.
	n, err := strconv.ParseUint(whole+(decimals + "00")[:2], 10, 32)
	if err != nil || n > 10_000 {
		return bad
	}
	*p = Percent(n)
	return nil
}

// Fraction is a part of the whole: 0.05. In the file a percentage: "5%".
type Fraction float64

// String returns the fraction as the file writes it.
func (f Fraction) String() string {
	return strconv.FormatFloat(float64(f)*100, 'g', 10, 64) + "%"
}

func (f *Fraction) decodeText(text string) error {
	number, ok := strings.CutSuffix(text, "%")
	x, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		return problemf("want a percentage such as 5% or 0.1%", "%s is not a percentage", quote(text))
	}
	*f = Fraction(x / 100)
	return nil
}

// FlipPins is what a flip does to pinned sessions. In the file: "move", "keep",
// "drain" or "drain:30m".
type FlipPins struct {
	Mode FlipMode
	For  time.Duration // of FlipDrain
}

// FlipMode is a choice of what happens to pinned sessions.
type FlipMode string

// The choices, as in the API.
const (
	FlipMove  FlipMode = "move"
	FlipDrain FlipMode = "drain"
	FlipKeep  FlipMode = "keep"
)

// maxDrain bounds how long sessions may stay on a version that has no weight.
const maxDrain = 30 * 24 * time.Hour

func (p *FlipPins) decodeText(text string) error {
	mode, span, timed := strings.Cut(text, ":")
	bad := problemf("want move, keep, drain or drain:30m", "%s says nothing about pins", quote(text))
	switch m := FlipMode(mode); m {
	case FlipMove, FlipKeep:
		if timed {
			return bad
		}
		*p = FlipPins{Mode: m}
	case FlipDrain:
		d := 30 * time.Minute
		if timed {
			var err error
			if d, err = parseDuration(span); err != nil {
				return err
			}
			if d < time.Second || d > maxDrain {
				return problemf("want 1s to "+maxDrain.String(), "%v is out of range", d)
			}
		}
		*p = FlipPins{Mode: m, For: d}
	default:
		return bad
	}
	return nil
}

// Statuses is a status, or a class of them: "503", "5xx".
type Statuses struct{ From, To int } // both included

// String returns the statuses as the file writes them.
func (s Statuses) String() string {
	if s.From == s.To {
		return strconv.Itoa(s.From)
	}
	return fmt.Sprintf("%dxx", s.From/100)
}

func (s *Statuses) decodeText(text string) error {
	if text == "4xx" || text == "5xx" {
		n := int(text[0]-'0') * 100
		*s = Statuses{n, n + 99}
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 400 || n > 599 || len(text) != 3 {
		return problemf("want 400 to 599, 4xx or 5xx", "%s is no status of an error", quote(text))
	}
	*s = Statuses{n, n}
	return nil
}
