package proxy

import (
	"errors"
	"io"
	"os"
	"time"

	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/sock"
	"sluice/proxy/upstream"
	"sluice/stats"
)

// shadowCopy is a copy of a request on its way to a version. It knows none of
// what serves customers: no retries, no other version, no pins. What becomes of it
// is its fate.
type shadowCopy struct {
	to     *Target
	up     *upstream.Conn // under shadows.mu
	until  time.Time
	text   []byte
	res    head.Response
	named  []string
	body   h1.Body
	answer shadowAnswer
	fate   stats.Shadow
}

// reset empties the copy.
func (c *shadowCopy) reset() {
	c.res.Reset()
	clear(c.named)
	c.body.Init(nil, nil, 0)
	c.answer.reset()
	*c = shadowCopy{text: keepable(c.text), res: c.res, named: c.named[:0], body: c.body, answer: c.answer}
}

// memory is how much the copy holds.
func (c *shadowCopy) memory() int { return cap(c.text) + c.answer.memory() }

// asked reports whether the copy was sent, and waited for.
func (c *shadowCopy) asked() bool {
	return c.fate == stats.ShadowAnswered || c.fate == stats.ShadowFailed
}

// send sends the copy, keeps the answer and counts what became of it.
func (c *shadowCopy) send(sh *shadowed, to *Target, until time.Time) {
	defer sh.survive(c)
	c.to, c.until = to, until
	begun := time.Now()
	c.fate = c.ask(sh)
	if c.fate == stats.ShadowAnswered {
		c.answer.Took = time.Since(begun)
		c.fate = c.receive(sh)
	}
	c.letGo(sh)
	if c.fate == stats.ShadowFailed && sh.srv.shadows.stopped() {
		c.fate = stats.ShadowStopped
	}
	to.Stats.Shadow(sh.shard, c.fate)
}

// ask sends the copy and waits for the head of the final answer. A connection
// that the endpoint had closed in the pool is replaced once: that it was there
// says nothing of the version.
func (c *shadowCopy) ask(sh *shadowed) stats.Shadow {
	for fresh := false; ; fresh = true {
		if fate := c.acquire(sh, fresh); fate != stats.ShadowAnswered {
			return fate
		}
		var room bool
		if c.text, room = sh.grown(c.text[:0], sh.request.size(c.to, c.up.Endpoint), 0); !room {
			return stats.ShadowMemory
		}
		c.text = sh.request.appendFor(c.text, c.to, c.up.Endpoint)
		err := c.awaitHead(sh)
		if err == nil {
			return stats.ShadowAnswered
		}
		if fresh || !c.stale(sh, err) {
			return c.failed(c.reason(err))
		}
		c.letGo(sh)
	}
}

// acquire takes a connection for the copy.
func (c *shadowCopy) acquire(sh *shadowed, fresh bool) stats.Shadow {
	want := sh.request.want
	want.MustBeFresh = fresh
	want.Within = c.timeLeft()
	up, err := c.to.Cluster.AcquireCopy(want)
	switch {
	case err == upstream.ErrNoEndpoint, err == upstream.ErrOverloaded:
		return stats.ShadowConnections
	case err != nil && time.Now().After(c.until):
		return c.failed(shadowTimedOut)
	case err != nil:
		return c.failed("the endpoint can't be reached")
	}
	up.SetTimeout(c.timeLeft())
	if !sh.srv.shadows.begin(c, up) {
		up.Release(upstream.Unknown)
		return stats.ShadowStopped
	}
	return stats.ShadowAnswered
}

// timeLeft is what is left of the copy's time, and at least a millisecond, for a
// timeout of 0 is none.
func (c *shadowCopy) timeLeft() time.Duration { return max(time.Millisecond, time.Until(c.until)) }

// awaitHead sends the request and reads the head of the final answer.
func (c *shadowCopy) awaitHead(sh *shadowed) error {
	up := c.up
	if up.HTTP2() {
		return up.Call(c.text, upstream.Call{}, &c.res)
	}
	if _, err := up.Exchange(c.text, &up.In); err != nil {
		return err
	}
	for range maxInterim + 1 {
		if err := h1.ReadResponse(&up.In, up.Conn, sh.request.method, false, &c.res, nil); err != nil || c.res.Status >= 200 {
			return err
		}
		up.In.Drop()
	}
	return errTooManyInterim
}

// stale reports whether a failure is that of a connection from the pool, which
// the endpoint had closed, or of one that it was leaving.
func (c *shadowCopy) stale(sh *shadowed, err error) bool {
	switch {
	case errors.Is(err, upstream.ErrUnprocessed):
		return true
	case !c.up.Reused || c.up.TimedOut() || sh.srv.shadows.stopped():
		return false
	case errors.Is(err, sock.ErrSpoiled):
		return true
	}
	var malformed *h1.Error
	return sh.request.idempotent && c.up.In.Len() == 0 && !errors.As(err, &malformed) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// receive keeps the answer whose head has come, as much as is compared of it.
func (c *shadowCopy) receive(sh *shadowed) stats.Shadow {
	c.named = dropConnectionFields(c.res.Fields, c.named)
	if !c.answer.keepHead(sh, &c.res) {
		return stats.ShadowMemory
	}
	length := c.res.Length
	if c.up.HTTP2() && length != 0 {
		length = head.UntilClose // its stream ends by itself, and not early
	}
	c.body.Init(&c.up.In, c.up.Conn, length)
	for !c.answer.Cut {
		data, err := c.body.Next()
		switch {
		case err == io.EOF:
			return stats.ShadowAnswered
		case err != nil:
			c.answer.cut(sh)
			return c.failed(c.reason(err))
		case !c.answer.keepBody(sh, data):
			return stats.ShadowMemory
		}
	}
	return stats.ShadowAnswered
}

// Why there is no answer, where an error doesn't say it.
const (
	shadowTimedOut = "it took too long"
	shadowBroken   = "the connection broke"
)

// failed notes why there is no answer, or not all of it.
func (c *shadowCopy) failed(why string) stats.Shadow {
	c.answer.Failure = why
	return stats.ShadowFailed
}

// reason says what an error of the connection means. It names no address and
// nothing that differs from one copy to the next.
func (c *shadowCopy) reason(err error) string {
	var malformed *h1.Error
	switch {
	case c.up.TimedOut(), errors.Is(err, os.ErrDeadlineExceeded):
		return shadowTimedOut
	case errors.As(err, &malformed):
		return "it is malformed: " + malformed.Reason
	case errors.Is(err, upstream.ErrMalformed), errors.Is(err, sock.ErrSpoiled):
		return "it is malformed"
	}
	return shadowBroken
}

// letGo ends the use of the connection, if there is one. It serves again if the
// answer was read to its end.
func (c *shadowCopy) letGo(sh *shadowed) {
	up := sh.srv.shadows.end(c)
	if up == nil {
		return
	}
	outcome := upstream.Unknown
	if c.fate == stats.ShadowAnswered && c.answer.kept && !c.res.Close && c.body.Done() && !c.answer.Cut && !up.TimedOut() {
		outcome = upstream.Reusable
	}
	up.In.Drop()
	up.Release(outcome)
}
