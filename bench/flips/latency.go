package main

import (
	"fmt"
	"slices"
	"time"
)

// latencies are how fast the flips to one version were.
type latencies struct {
	Ack []time.Duration // call -> acknowledged, of every flip
	// LastSent and LastGot enclose the time from the call to the last decision
	// by the old table: the last traced request that the losing version answered was
	// decided after it was sent and before its answer came.
	LastSent []time.Duration
	LastGot  []time.Duration
}

// judge goes through the traces, flip by flip. It adds to the failures every
// request that was sent after the acknowledgement of a flip to one version, and answered
// before the next call, by the other version.
func judge(a *account) latencies {
	slices.SortFunc(a.Traces, func(x, y trace) int { return x.Sent.Compare(y.Sent) })
	var l latencies
	next := 0 // the first trace sent at or after the current flip's call
	for i, f := range a.Flips {
		l.Ack = append(l.Ack, f.Ack.Sub(f.Call))
		for next < len(a.Traces) && a.Traces[next].Got.Before(f.Call) {
			next++
		}
		end := time.Time{}
		if i+1 < len(a.Flips) {
			end = a.Flips[i+1].Call
		}
		if f.Winner() != "" {
			l.follow(f, i+1, a.Traces[next:], end, &a.Failures)
		}
	}
	return l
}

// follow looks at the traces from a flip's call to the next call (zero: to the
// end). The traces begin with the first that may have been under way at the call.
func (l *latencies) follow(f flip, number int, traces []trace, end time.Time, fails *failures) {
	var sent, got time.Duration
	seen := false
	for _, t := range traces {
		if !end.IsZero() && !t.Sent.Before(end) {
			break
		}
		// A request under way at the next call may belong to the next table.
		within := end.IsZero() || !t.Got.After(end)
		if !within || t.Version == f.Winner() || t.Got.Before(f.Call) {
			continue
		}
		if !t.Sent.Before(f.Ack) {
			fails.add("flip %d to %s: a request sent %v after the acknowledgement went to %s", number, f.Winner(), t.Sent.Sub(f.Ack), t.Version)
		}
		seen = true
		sent = max(sent, t.Sent.Sub(f.Call))
		got = max(got, t.Got.Sub(f.Call))
	}
	if seen {
		l.LastSent = append(l.LastSent, sent)
		l.LastGot = append(l.LastGot, got)
	}
}

// quantiles shows the middle and the tail of some durations.
func quantiles(values []time.Duration) string {
	if len(values) == 0 {
		return "none seen"
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(q float64) time.Duration {
		return sorted[int(q*float64(len(sorted)-1)+0.5)].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p90 %v, p99 %v, max %v (%d flips)", at(0.5), at(0.9), at(0.99), at(1), len(sorted))
}
