package stats

// Outcome is what became of one request.
type Outcome struct {
	// Status is the final status sent; 0 means that the client went away
	// before an answer. Anything outside 100 to 599 counts as 5xx, which is
	// how a client treats it (RFC 9110, section 15).
	Status int
	// Reason is an index into Options.Reasons; any other counts as "unknown".
	Reason uint8
	// Nanos is the time from the request's first byte to the response's last.
	Nanos int64
	// Session identifies the session; 0 means none.
	Session uint64
	// Now is the moment in unix nanoseconds; a coarse clock, seconds old, will
	// do. 0 reads the registry's clock.
	Now int64
	// Retries is how often the request was sent again.
	Retries uint8
	// UpstreamError is the last failure of an endpoint, None if there was none.
	UpstreamError uint8
	// BytesIn and BytesOut are body bytes from and to the client; negative
	// ones count as 0.
	BytesIn, BytesOut int64
	Flags             Flags
}

// The ways in which an endpoint fails a request, for Outcome.UpstreamError.
const (
	None      uint8 = iota
	Connect         // no connection: refused, unreachable, timed out
	Reset           // closed or reset before a response head
	Timeout         // no response in time
	Malformed       // a response that breaks the protocol
	Truncated       // a response that ended early

	upstreamErrors = int(iota) - 1
)

// upstreamErrorNames are the values of the label kind, from Connect on.
var upstreamErrorNames = [upstreamErrors]string{"connect", "reset", "timeout", "malformed", "truncated"}

// Flags are the yes-or-no facts of an Outcome.
type Flags uint8

// The flags.
const (
	Aborted  Flags = 1 << iota // the client left before the response was complete
	Failover                   // the version answered in place of another that could not
	Shielded                   // the version failed, and the baseline was asked in its place
	FellBack                   // the version does not have an asset, and another answered
)

// class is a response's status class; class 0 is no answer.
type class int

const classes = 6

// classNames are the values of the label code_class.
var classNames = [classes]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

func classOf(status int) class {
	switch {
	case status == 0:
		return 0
	case status < 100 || status > 599:
		return 5
	}
	return class(status / 100)
}
