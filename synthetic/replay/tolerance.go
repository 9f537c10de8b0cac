package replay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errTooMany ends a replay that fails too often.
var errTooMany = errors.New("too many errors")

// Tolerance is how many errors are borne. An error is a request without an
// answer, or with a 5xx that the log did not have. The zero value bears none.
type Tolerance struct {
	Count int64
	Share float64 // of the requests sent; used where above 0
	Any   bool    // all are borne
}

// leastSent is how many requests are sent before a share of them ends a replay.
const leastSent = 100

// ParseTolerance reads "100", "1%" or "any".
func ParseTolerance(s string) (Tolerance, error) {
	if s == "any" {
		return Tolerance{Any: true}, nil
	}
	if share, ok := strings.CutSuffix(s, "%"); ok {
		if f, err := strconv.ParseFloat(share, 64); err == nil && f >= 0 && f <= 100 {
			return Tolerance{Share: f / 100}, nil
		}
	} else if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return Tolerance{Count: n}, nil
	}
	return Tolerance{}, fmt.Errorf("%q is no bound of errors; write a number, a share such as 1%%, or any", s)
}

// String says what is borne.
func (t Tolerance) String() string {
	switch {
	case t.Any:
		return "any number is borne"
	case t.Share > 0:
		return fmt.Sprintf("more than %g%%", t.Share*100)
	}
	return fmt.Sprintf("more than %d", t.Count)
}

// exceeded reports whether there were too many errors among the sent, at the end.
func (t Tolerance) exceeded(errors, sent int64) bool {
	switch {
	case t.Any:
		return false
	case t.Share > 0:
		return float64(errors) > t.Share*float64(sent)
	}
	return errors > t.Count
}

// stops reports whether they end the replay on the way.
func (t Tolerance) stops(errors, sent int64) bool {
	return (t.Share <= 0 || sent >= leastSent) && t.exceeded(errors, sent)
}
