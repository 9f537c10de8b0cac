package proxy

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sluice/proxy/upstream"
)

// How long an exchange waits: for the head of a response in one try and over
// all of them, for a connection, and from one try to the next.

// tryTime is how long the endpoint that is asked now has until the head of its
// response.
func (x *exchange) tryTime() time.Duration {
	s := &x.target.Settings
	switch {
	case x.grpc:
		return x.responseTimeout()
	case s.TotalTimeout <= 0:
		return s.TryTimeout
	}
	return min(x.timeLeft(), s.TryTimeout)
}

// startTry begins the time of the endpoint that is asked now.
func (x *exchange) startTry() {
	d := x.tryTime()
	x.hurried = d < x.target.Settings.TryTimeout
	x.up.SetTimeout(d)
}

// timeLeft is what is left of the total timeout, and at least a millisecond, for
// a timeout of 0 is none.
func (x *exchange) timeLeft() time.Duration {
	return max(time.Millisecond, x.target.Settings.TotalTimeout-time.Since(x.start))
}

// outOfTime reports whether the total timeout is over.
func (x *exchange) outOfTime() bool {
	total := x.target.Settings.TotalTimeout
	return total > 0 && time.Since(x.start) >= total
}

// retriesTimeouts reports whether a try that ran out of time is followed by
// another: only where tries have a time of their own, shorter than what the
// service says an answer may take.
func (s *Settings) retriesTimeouts() bool { return s.TryTimeout < s.ResponseTimeout }

// acquireWaiting takes a connection where there may be none now. It waits for
// one if the version lets requests wait.
func (x *exchange) acquireWaiting(want upstream.Acquire) (*upstream.Conn, error) {
	if x.target.Settings.TotalTimeout > 0 {
		want.Within = x.timeLeft()
	}
	up, err := x.target.Cluster.Acquire(want)
	if err != upstream.ErrOverloaded || !x.target.Cluster.LetsWait() {
		return up, err
	}
	want.Wait, want.Left = true, x.whenLeft()
	defer x.down.watch(nil)
	return x.target.Cluster.Acquire(want)
}

// retriesStatus reports whether the answer whose head has come is passed over
// for another try. exchange.failure then says why.
func (x *exchange) retriesStatus() bool {
	s := &x.target.Settings
	if len(s.RetryOn) == 0 || !slices.Contains(s.RetryOn, x.res.Status) || !x.repeatable() || !x.hasRetry() {
		return false
	}
	x.failure = fault{kind: faultStatus, at: x.up.Endpoint}
	x.passOver()
	return true
}

// hasRetry reports whether there is a retry left for this request, and claims
// it.
func (x *exchange) hasRetry() bool {
	return x.hasTry() && x.target.retries.take(x)
}

// hasTry reports whether there is a try left for this request.
func (x *exchange) hasTry() bool { return x.tries <= x.target.Settings.Retries && !x.outOfTime() }

// Bounds of the wait before a retry.
const (
	retryBase = 25 * time.Millisecond
	retryMost = 250 * time.Millisecond
)

// retryWait draws how long to wait before a retry, counted from 0: anything up
// to a bound that doubles ("full jitter"), so that those who failed together
// don't come back together.
func retryWait(retry int, r uint64) time.Duration {
	return time.Duration(r % uint64(min(retryBase<<min(max(retry, 0), 10), retryMost)+1))
}

// pause waits before the next try, unless that goes to another endpoint or takes
// the place of a connection that was closed, or that the endpoint was about to
// close: then nothing is gained by waiting.
// It reports false if the client gave up meanwhile.
func (x *exchange) pause() bool {
	switch x.failure.kind {
	case faultSpoiled, faultStale, faultUnprocessed:
		return true
	}
	if healthy, _ := x.target.Cluster.Counts(); x.tries == 1 && healthy > 1 {
		return true
	}
	wait := retryWait(x.tries-1, rand.Uint64())
	if x.target.Settings.TotalTimeout > 0 {
		wait = min(wait, x.timeLeft())
	}
	left := x.whenLeft()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	defer x.down.watch(nil)
	select {
	case <-timer.C:
		return true
	case <-left:
		x.failure = fault{kind: faultClient, err: errReset}
		return false
	}
}

// leaver is what is aborted when the client gives up while nothing else is under
// way on its behalf.
type leaver struct {
	once sync.Once
	left chan struct{}
}

// Abort implements aborter.
func (l *leaver) Abort() { l.once.Do(func() { close(l.left) }) }

// whenLeft returns a channel that is closed when the client gives up its
// request, until watch is told of something else.
func (x *exchange) whenLeft() <-chan struct{} {
	l := &leaver{left: make(chan struct{})}
	x.down.watch(l)
	return l.left
}
