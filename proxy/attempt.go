package proxy

import (
	"errors"
	"io"
	"os"

	"sluice/proxy/h1"
	"sluice/proxy/sock"
	"sluice/proxy/upstream"
	"sluice/stats"
)

// attemptResult is how one try to get an answer ended.
type attemptResult uint8

const (
	// attemptDone: the client has its answer, or wants none any more.
	attemptDone attemptResult = iota
	// attemptFailed: nothing reached the client; exchange.failure says why.
	attemptFailed
)

// fault is why an attempt failed.
type fault struct {
	kind faultKind
	at   *upstream.Endpoint // that failed; nil where none was reached
	err  error
}

type faultKind uint8

const (
	faultNone        faultKind = iota
	faultNoEndpoint            // every endpoint of the version is down or ejected
	faultOverloaded            // the version's connections are all in use
	faultUnreachable           // no connection; nothing was sent
	faultSpoiled               // a pooled connection was of no use any more; nothing was sent
	faultStale                 // a pooled connection was closed before the response's first byte
	faultReset                 // the connection broke before the response's first byte
	faultBroken                // the connection broke within the response's head
	faultTimeout               // no response head in time
	faultMalformed             // the response is not HTTP, or not unambiguous
	faultClient                // the client's body ended badly, or the client went away
	faultBadAnswer             // a candidate's answer that the shield keeps from the client
	faultMissing               // a version does not have the asset
	faultUnprocessed           // the endpoint did not look at the request
	faultDeadline              // the request's own deadline has passed
	faultStatus                // an answer that the service wants tried again
)

// upstreamError is what the statistics call a fault.
func (k faultKind) upstreamError() uint8 {
	switch k {
	case faultUnreachable:
		return stats.Connect
	case faultSpoiled, faultStale, faultReset, faultBroken, faultUnprocessed:
		return stats.Reset
	case faultTimeout, faultDeadline:
		return stats.Timeout
	case faultMalformed:
		return stats.Malformed
	}
	return stats.None
}

// attempt sends the request to one endpoint and brings its answer to the
// client.
func (x *exchange) attempt() attemptResult {
	x.tries++
	x.beginAttempt()
	acquired := x.acquire()
	x.endAcquire()
	if !acquired {
		return attemptFailed
	}
	x.head = x.appendRequest(x.head[:0])
	if !x.ask() {
		x.abandon()
		return attemptFailed
	}
	x.headCame()
	switch {
	case x.res.Status == 101:
		x.tunnel()
	case x.retriesStatus(), x.unwanted():
		return attemptFailed
	default:
		x.relay()
	}
	return attemptDone
}

// wanted says what connection serves the request, of all tries alike.
func (x *exchange) wanted() (want upstream.Acquire) {
	want.Uncounted = x.synthetic
	want.Key, want.HasKey = x.hashKey()
	if x.target.Cluster.TellsOrigin() {
		want.Origin = x.origin()
	}
	return want
}

// acquire takes a connection to an endpoint of the version.
func (x *exchange) acquire() bool {
	want := x.wanted()
	want.MustBeFresh = x.failure.kind == faultStale || x.failure.kind == faultSpoiled
	want.Check = x.streamed // others are looked at by Exchange
	want.Avoid = x.failure.at
	up, err := x.acquireWaiting(want)
	if err == nil {
		x.up, x.lastEndpoint = up, up.Endpoint
		x.down.watch(up)
		return true
	}
	x.failure = fault{kind: faultUnreachable, err: err}
	var dial *upstream.DialError
	switch {
	case errors.Is(err, upstream.ErrNoEndpoint):
		x.failure.kind = faultNoEndpoint
	case err == upstream.ErrOverloaded, err == upstream.ErrPendingTimeout:
		x.failure.kind = faultOverloaded
	case err == upstream.ErrLeft:
		x.failure = fault{kind: faultClient, err: errReset}
	case errors.As(err, &dial):
		x.failure.at = dial.Endpoint
	}
	if x.failure.kind != faultClient && x.outOfTime() {
		x.failure.kind = faultTimeout
	}
	return false
}

// repeatable reports whether the request may be sent again though an endpoint
// may have seen it: it is idempotent, and all of it is here.
func (x *exchange) repeatable() bool { return x.resendable() && x.req.IsIdempotent() }

// send writes the request and waits for the first bytes of the answer; a body
// that is not here yet follows from a goroutine of its own, so that the answer
// may come before its end.
func (x *exchange) send() bool {
	up := x.up
	x.startTry()
	if x.hedges() {
		return x.sendHedged()
	}
	if !x.streamed {
		_, err := up.Exchange(x.head, &up.In)
		return x.heard(err)
	}
	if _, err := up.Write(x.head); err != nil {
		return x.heard(err)
	}
	x.pump.begin(x)
	return true
}

// awaitResponse reads the head of the final response, passing interim ones on.
// The time for it is that of all of them together.
func (x *exchange) awaitResponse() bool {
	up := x.up
	for interim := 0; ; interim++ {
		err := h1.ReadResponse(&up.In, up.Conn, x.req.Method, x.upgrading(), &x.res, nil)
		if !x.heard(err) {
			return false
		}
		if x.res.Status >= 200 || x.res.Status == 101 {
			return !x.upgrading() || x.heard(x.checkUpgrade())
		}
		if interim == maxInterim {
			return x.heard(errTooManyInterim)
		}
		if !x.passInterim() {
			return false
		}
		up.In.Drop()
	}
}

// maxInterim is how many interim responses may come before the final one: a
// server that reports its progress every second sends 60 in the time that it
// has by default.
const maxInterim = 100

// errTooManyInterim is what an endpoint is refused for that sends no final
// response.
var errTooManyInterim = &h1.Error{Status: 502, Reason: "too many interim (1xx) responses"}

// passInterim sends a 1xx response on to a client that understands it (RFC
// 9110, section 15.2): 1.0 clients don't, and 100 is for those that asked.
func (x *exchange) passInterim() bool {
	if x.req.Proto < httpInterim || x.res.Status == 100 && !x.req.ExpectContinue {
		return true
	}
	x.dropResponseFields()
	x.informed = true
	if err := x.down.inform(&x.res); err != nil {
		x.failure = fault{kind: faultClient, err: err}
		return false
	}
	return true
}

// heard reports whether an operation on the endpoint's connection went well,
// and notes what went wrong.
func (x *exchange) heard(err error) bool {
	if err == nil {
		return true
	}
	x.failure = fault{kind: faultReset, at: x.up.Endpoint, err: err}
	var malformed *h1.Error
	switch {
	case x.down.gone():
		x.failure = fault{kind: faultClient, err: errReset}
	case x.pump.clientFault() != nil:
		x.failure = fault{kind: faultClient, err: x.pump.clientFault()}
	case errors.As(err, &malformed), errors.Is(err, upstream.ErrMalformed):
		x.failure.kind = faultMalformed
	case errors.Is(err, upstream.ErrUnprocessed):
		x.failure.kind = faultUnprocessed
	case errors.Is(err, upstream.ErrDeadline), x.pastDeadline():
		x.failure.kind = faultDeadline
	case errors.Is(err, sock.ErrSpoiled) && x.up.Reused:
		x.failure.kind, x.failure.at = faultSpoiled, nil
	case err == sock.ErrSpoiled:
		x.failure.kind = faultMalformed // an answer before the first request
	case x.up.TimedOut() || errors.Is(err, os.ErrDeadlineExceeded):
		x.failure.kind = faultTimeout
	case errors.Is(err, io.ErrUnexpectedEOF), x.up.In.Len() > 0:
		x.failure.kind = faultBroken
	case x.up.Reused && (!x.pump.running() || x.retained.whole):
		x.failure.kind = faultStale
	}
	return false
}

// abandon gives up the connection of a failed attempt, and the body that was
// on its way over it.
func (x *exchange) abandon() {
	outcome := upstream.Failed
	switch x.failure.kind {
	case faultSpoiled, faultStale, faultClient, faultUnprocessed, faultDeadline:
		outcome = upstream.Unknown
	case faultTimeout:
		if x.hurried && x.tries > 1 {
			outcome = upstream.Unknown // the tries before had used its time up
		}
	}
	x.endPump()
	x.dropUpstream(outcome)
}

// dropUpstream ends the use of the endpoint's connection.
func (x *exchange) dropUpstream(o upstream.Outcome) {
	if x.up == nil {
		return
	}
	x.down.watch(nil)
	if x.down.gone() {
		o = upstream.Unknown // it may have been aborted
	}
	if x.synthetic {
		o |= upstream.Uncounted
	}
	x.up.Release(o)
	x.up = nil
}

// mayRetry decides whether a failed attempt is followed by another, and counts
// it: nothing of a response was seen, sending twice does no harm, and retries
// are few among the version's requests, so that they can't multiply an
// overload.
func (x *exchange) mayRetry() bool {
	s := &x.target.Settings
	switch x.failure.kind {
	case faultSpoiled:
		x.tries-- // it was none: nothing was sent, and the next connection is a new one
		return true
	case faultUnprocessed:
		return x.mayRetryUnprocessed()
	case faultUnreachable:
		// Nothing was sent: the request is not multiplied, and no part of the budget.
		return x.hasTry()
	case faultStale, faultReset:
		if !x.repeatable() {
			return false
		}
	case faultTimeout:
		if !x.repeatable() || !s.retriesTimeouts() {
			return false
		}
	case faultStatus:
		return true // retriesStatus has seen to it
	default:
		return false
	}
	return x.hasRetry()
}
