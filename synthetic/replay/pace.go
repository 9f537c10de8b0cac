package replay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Pace says when requests are sent. The zero value: as fast as they are answered.
type Pace struct {
	Speed float64 // times the log's own timing; 0: not by the log
	Rate  float64 // requests a second, whatever the log says; 0: not fixed
}

// ParseSpeed reads "2x", "0.5x" or "max".
func ParseSpeed(s string) (Pace, error) {
	if s == "max" {
		return Pace{}, nil
	}
	speed, err := strconv.ParseFloat(strings.TrimSuffix(s, "x"), 64)
	if err != nil || !(speed >= 0.001 && speed <= 1e6) {
		return Pace{}, fmt.Errorf("%q is no speed; write 1x for the log's own, 2x for twice as fast, or max", s)
	}
	return Pace{Speed: speed}, nil
}

// clock turns requests into moments since the start.
type clock struct {
	pace  Pace
	first time.Time // of the log
	sent  int64
}

// due returns when the next request is due, after the start. A log whose lines
// are out of order, since they are written when requests end, gives moments that
// have passed: those are sent at once.
func (c *clock) due(at time.Time) time.Duration {
	switch {
	case c.pace.Rate > 0:
		c.sent++
		return seconds(float64(c.sent-1) / c.pace.Rate)
	case c.pace.Speed <= 0 || at.IsZero():
		return 0
	case c.first.IsZero():
		c.first = at
	}
	return max(0, seconds(at.Sub(c.first).Seconds()/c.pace.Speed))
}

// seconds is a duration, bounded where a float is beyond one.
func seconds(s float64) time.Duration {
	if s *= 1e9; s < math.MaxInt64/2 {
		return time.Duration(s)
	}
	return math.MaxInt64 / 2
}
