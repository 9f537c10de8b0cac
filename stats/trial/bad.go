package trial

import (
	"time"

	"sluice/stats"
)

// Bad is which requests count against a version. Whatever it says, a request
// that the shield kept from a client counts, and one that the client broke off
// itself doesn't.
type Bad struct {
	Statuses []Statuses
	Except   []Statuses // of those
	// Headers are fields of a response that make it bad whatever its status.
	Headers []Header
	Connect bool // no connection, one that was reset, a response that is malformed or ended early
	Timeout bool // no answer in time
	// Latency is the longest that is not bad; 0: any.
	Latency time.Duration
}

// Statuses is a range of them, both ends included.
type Statuses struct{ From, To int }

// Header is a field with an exact value, or "*" for any.
type Header struct{ Name, Value string }

// DefaultBad returns 5xx, failed connections and timeouts.
func DefaultBad() Bad { return Bad{Statuses: []Statuses{{500, 599}}, Connect: true, Timeout: true} }

// rules are a Bad as it is looked up. A status that is none counts as 500, as
// clients take it (RFC 9110, section 15).
type rules struct {
	statuses         [600]bool
	headers          []Header
	connect, timeout bool
	latency          int64
}

func (b Bad) compile() rules {
	r := rules{connect: b.Connect, timeout: b.Timeout, latency: int64(b.Latency), headers: append([]Header(nil), b.Headers...)}
	set := func(all []Statuses, to bool) {
		for _, s := range all {
			for status := max(s.From, 100); status <= min(s.To, 599); status++ {
				r.statuses[status] = to
			}
		}
	}
	set(b.Statuses, true)
	set(b.Except, false)
	return r
}

// broken reports whether a finished request is an error. marked says that one of
// the headers was there.
func (r *rules) broken(o *stats.Outcome, marked bool) bool {
	switch {
	case o.Flags&stats.Shielded != 0, r.tooLong(o.Nanos):
		return true
	case o.Flags&stats.Aborted != 0:
		return false
	case marked:
		return true
	}
	switch o.UpstreamError {
	case stats.None:
		return r.badStatus(o.Status)
	case stats.Timeout:
		return r.timeout
	}
	return r.connect
}

// tooLong reports whether a latency is over the objective.
func (r *rules) tooLong(nanos int64) bool { return r.latency > 0 && nanos > r.latency }

func (r *rules) badStatus(status int) bool {
	switch {
	case status == 0:
		return false // no answer was due any more
	case status < 100 || status > 599:
		status = 500
	}
	return r.statuses[status]
}
