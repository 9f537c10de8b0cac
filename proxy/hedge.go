package proxy

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"sluice/proxy/h1"
	"sluice/proxy/upstream"
)

// A request whose answer is late may be hedged: a second endpoint of its version
// is asked as well, and the answer that begins first is the client's (Dean,
// Barroso: The Tail at Scale, 2013). The other connection is ended, which says
// nothing about its endpoint.

// hedge is the second asking of a request. It may outlive the request's
// exchange: while it dials, nobody waits for it.
type hedge struct {
	target *Target
	shard  uint32
	done   chan struct{} // closed when it has ended

	mu      sync.Mutex
	x       *exchange // nil: the exchange goes on without the hedge
	started bool
	waiting bool           // the first endpoint has failed, and the exchange waits for the second
	second  *upstream.Conn // the hedge's own, until won is set
	won     bool           // its answer has begun
	ended   bool
}

// errLate is why a hedge comes to nothing that the exchange does not wait for,
// or that found nobody else to ask.
var errLate = errors.New("a hedge of no use")

// hedges reports whether a second endpoint may be asked for the answer.
func (x *exchange) hedges() bool {
	return x.target.Settings.HedgeAfter > 0 && !x.synthetic && x.req.IsSafe() && x.req.Length == 0 && !x.upgrading()
}

// sendHedged sends the request and waits for the first bytes of an answer, in
// the end from another endpoint; x.up is whose they are.
func (x *exchange) sendHedged() bool {
	h := &hedge{x: x, target: x.target, shard: x.peer.shard, done: make(chan struct{})}
	timer := time.AfterFunc(x.target.Settings.HedgeAfter, h.run)
	_, err := x.up.Exchange(x.head, &x.up.In)
	timer.Stop()
	switch h.settle(err) {
	case firstAnswers:
		return x.heard(err)
	case secondAnswers:
		x.dropUpstream(upstream.Unknown)
	case secondIsLeft:
		x.heard(err)
		x.abandon()
	}
	x.up, x.lastEndpoint = h.second, h.second.Endpoint
	x.down.watch(x.up)
	x.target.Stats.HedgeWon(x.peer.shard)
	return true
}

// race is how a race of two endpoints ends.
type race uint8

const (
	firstAnswers  race = iota // or fails, and the second does not answer either
	secondAnswers             // the first was given up for it
	secondIsLeft              // the first had failed before
)

// settle decides the race when the first endpoint was heard of. If that one has
// failed, it waits for the second.
func (h *hedge) settle(err error) race {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.won {
		return secondAnswers
	}
	if err != nil && h.started && !h.ended && !h.x.down.gone() {
		h.await()
		if h.won {
			return secondIsLeft
		}
	}
	h.x = nil
	if h.second != nil {
		h.second.Abort()
	}
	return firstAnswers
}

// await waits until the hedge has ended or the client gives up. The caller holds
// mu, which is free meanwhile.
func (h *hedge) await() {
	h.waiting = true
	left := h.x.whenLeft()
	if h.second != nil {
		h.x.down.watch(h.second)
	}
	h.mu.Unlock()
	select {
	case <-h.done:
	case <-left:
	}
	h.mu.Lock()
	h.waiting = false
}

// run is the hedge's goroutine: it asks another endpoint.
func (h *hedge) run() {
	head, want := h.begin()
	if head == nil {
		return
	}
	defer close(h.done)
	defer h.target.retries.giveBack()
	up, err := h.target.Cluster.Acquire(want)
	if err == nil {
		err = h.ask(up, head, want)
	}
	h.end(up, err)
}

// begin takes from the exchange what the hedge needs: the request, and what
// connection is wanted. The request is nil if there is nothing to be done.
func (h *hedge) begin() ([]byte, upstream.Acquire) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.x
	if x == nil || !h.target.Cluster.HasChoice() || !h.target.retries.claim(h.target) {
		return nil, upstream.Acquire{}
	}
	h.started = true
	want := x.wanted()
	want.Check, want.Avoid, want.Within = true, x.up.Endpoint, x.tryTime()
	return bytes.Clone(x.head), want
}

// ask sends the request and waits for the first bytes of the answer.
func (h *hedge) ask(up *upstream.Conn, head []byte, want upstream.Acquire) error {
	if up.HTTP2() || up.Endpoint == want.Avoid || !h.has(up) {
		return errLate
	}
	h.target.Stats.Hedged(h.shard)
	if h.target.Settings.HostOfEndpoint {
		head = withHost(head, up.Endpoint.Authority)
	}
	up.SetTimeout(want.Within)
	_, err := up.Exchange(head, &up.In)
	return err
}

// has notes the hedge's connection, so that it is aborted when it is of no use
// any more; false: it is of none already.
func (h *hedge) has(up *upstream.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.x == nil {
		return false
	}
	up.WaitsFor(nil) // as long as the first is asked, that is what tells of the client
	h.second = up
	if h.waiting {
		h.x.down.watch(up)
	}
	return true
}

// end decides the race when the second endpoint was heard of.
func (h *hedge) end(up *upstream.Conn, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	if h.won = err == nil && h.x != nil; h.won {
		if !h.waiting {
			h.x.up.Abort()
		}
		return
	}
	h.second = nil
	if up != nil {
		up.Release(h.blame(up, err))
	}
}

// blame says what a hedge that came to nothing tells of its endpoint. The caller
// holds mu.
func (h *hedge) blame(up *upstream.Conn, err error) upstream.Outcome {
	switch {
	case h.x == nil || h.x.down.gone(), err == errLate: // it was ended for no fault of its own
		return upstream.Unknown
	case up.TimedOut(): // its time may have been short
		return upstream.Unknown
	case up.Reused && up.In.Len() == 0: // the endpoint had closed the connection
		return upstream.Unknown
	}
	return upstream.Failed
}

// withHost returns the text of a request with another Host, which stands in its
// second line.
func withHost(request []byte, host string) []byte {
	line, rest, _ := bytes.Cut(request, []byte(h1.CRLF))
	_, rest, _ = bytes.Cut(rest, []byte(h1.CRLF))
	out := make([]byte, 0, len(request)+len(host))
	out = append(append(out, line...), h1.CRLF...)
	out = h1.AppendField(out, "Host", host)
	return append(out, rest...)
}
