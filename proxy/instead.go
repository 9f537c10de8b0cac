package proxy

import (
	"io"
	"time"

	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/stats"
)

// Another version answers in place of the one that was decided on, before
// anything of an answer went to the client: the baseline for a candidate that
// fails (the shield), or one that has an asset which the session's version
// lacks (the asset fallback). Each version that is asked counts a request of its
// own. The session's pin stays as it was decided.

// instead is how an exchange stands with asking other versions. The zero value
// is a request that is its own version's.
type instead struct {
	reason routing.Reason // routing.Shield or routing.AssetFallback while another version is asked, or has answered
	asked  int            // see routing.Decision.NextForAsset
	status int            // with which the version decided on failed, where it is shielded
	// apart is the part of the exchange's time that is not that of the version
	// that is asked now.
	apart time.Duration

	// The answer of the version decided on, which lacks the asset, waits here
	// while others are asked; its head is in exchange.miss.
	own     *Target
	up      *upstream.Conn
	missAt  time.Duration // since the exchange's start
	nowhere bool          // no version has the asset
}

// unwanted reports whether the answer whose head has come is passed over,
// because another version may have a better one. exchange.failure then says why.
func (x *exchange) unwanted() bool {
	status := x.res.Status
	if x.instead.reason == routing.AssetFallback {
		if status < 400 {
			x.leaveOwn(stats.FellBack)
			return false
		}
		x.passOver()
		x.failure = fault{kind: faultMissing}
		return true
	}
	if status < 400 || !x.resendable() || x.informed || x.instead.reason != 0 {
		return false
	}
	switch {
	case x.dec.Service.FailsShield(status) && x.shield() != nil:
		x.passOver()
		x.failure = fault{kind: faultBadAnswer}
		return true
	case status == 404 && !x.streamed && x.dec.IsAsset(&x.in):
		x.holdMiss()
		return true
	}
	return false
}

// passOver ends the use of a connection whose answer nobody is to see. It is
// kept if the body is here already: waiting for one would keep the client.
func (x *exchange) passOver() {
	x.endPump()
	outcome := upstream.Done
	if x.res.Status >= 502 && x.res.Status <= 504 {
		outcome = upstream.BadStatus
	}
	x.upBody.Init(&x.up.In, notHere{}, x.bodyLength())
	if !x.res.Close && x.requestSent() && skipBuffered(&x.upBody) && !x.up.TimedOut() {
		outcome |= upstream.Reusable
	}
	x.up.In.Drop()
	x.dropUpstream(outcome)
}

// skipBuffered consumes a body and reports whether all of it was in the buffer.
func skipBuffered(body *h1.Body) bool {
	for {
		if _, err := body.Next(); err != nil {
			return err == io.EOF
		}
	}
}

// shield returns the version that shields this request, if it can be asked.
func (x *exchange) shield() *routing.Version {
	if v := x.dec.Shields(&x.in); v != nil && x.table.Usable(v.Slot) {
		return v
	}
	return nil
}

// askAnother turns to another version after a failed attempt; it reports false
// where none is to be asked.
func (x *exchange) askAnother() bool {
	switch {
	case x.failure.kind == faultClient:
		return false
	case x.instead.reason == routing.AssetFallback:
		x.endVersion(0)
		return x.askForAsset()
	case x.failure.kind == faultMissing:
		return x.askForAsset()
	case !x.resendable() || x.informed || x.instead.reason != 0:
		return false
	}
	v := x.shield()
	if v == nil {
		return false
	}
	x.instead.status = x.failedStatus()
	x.endVersion(stats.Shielded)
	x.turnTo(v, routing.Shield)
	return true
}

// askForAsset turns to the next version that may have the asset.
func (x *exchange) askForAsset() bool {
	v, next := x.dec.NextForAsset(&x.in, x.instead.asked)
	if v == nil {
		return false
	}
	x.instead.asked = next
	x.turnTo(v, routing.AssetFallback)
	return true
}

// turnTo makes a version the one that is asked.
func (x *exchange) turnTo(v *routing.Version, why routing.Reason) {
	x.leaveRetries()
	x.instead.reason = why
	x.instead.apart = time.Since(x.start)
	x.target = x.table.Targets[v.Slot]
	x.tries = 0
	x.failure = fault{err: x.failure.err} // for the log; the rest concerns other endpoints
	x.counts(x.target).Begin(x.peer.shard)
}

// leaveRetries gives a claim on the version's retry budget back.
func (x *exchange) leaveRetries() {
	if x.retrying {
		x.target.retries.giveBack()
		x.retrying = false
	}
}

// failedStatus is the status that the last attempt came to.
func (x *exchange) failedStatus() int {
	if k := x.failure.kind; k != faultBadAnswer && k != faultMissing {
		return failureReplies[k].status
	}
	return x.res.Status
}

// endVersion counts the request of a version that is not to answer.
func (x *exchange) endVersion(flags stats.Flags) {
	total := time.Since(x.start)
	o := stats.Outcome{
		Status: x.failedStatus(), Reason: uint8(x.reason()), Flags: flags,
		UpstreamError: x.failure.kind.upstreamError(), BytesIn: x.bytesIn,
		Retries: uint8(min(max(x.tries-1, 0), 255)),
		Nanos:   int64(total - x.instead.apart), Now: x.in.Now + int64(total),
	}
	if x.instead.reason == 0 {
		o.Session = x.dec.Session
		x.endTrial(&o)
	}
	x.counts(x.target).End(x.peer.shard, &o)
}

// reason returns why the version that is asked now is.
func (x *exchange) reason() routing.Reason {
	if x.instead.reason != 0 {
		return x.instead.reason
	}
	return x.dec.Reason
}

// reasonText is reason as logs and clients see it.
func (x *exchange) reasonText() string {
	if x.instead.reason != 0 {
		return x.instead.reason.String()
	}
	return routing.ReasonText(&x.dec)
}

// holdMiss keeps the 404 of the session's version until others were asked.
func (x *exchange) holdMiss() {
	x.failure = fault{kind: faultMissing}
	i := &x.instead
	i.own, i.up, i.missAt = x.target, x.up, time.Since(x.start)
	x.up = nil
	i.up.SetTimeout(0)
	x.res, x.miss = x.miss, x.res
}

// leaveOwn gives up the 404 that was held back.
func (x *exchange) leaveOwn(flags stats.Flags) {
	i := &x.instead
	if i.own == nil {
		return
	}
	o := stats.Outcome{
		Status: x.miss.Status, Reason: uint8(x.dec.Reason), Session: x.dec.Session, Flags: flags,
		BytesIn: x.bytesIn, Nanos: int64(i.missAt), Now: x.in.Now + int64(i.missAt),
	}
	x.counts(i.own).End(x.peer.shard, &o)
	x.endTrial(&o)
	asked := x.up
	x.up = i.up
	x.res, x.miss = x.miss, x.res
	x.passOver()
	x.res, x.miss = x.miss, x.res
	x.up, i.own, i.up = asked, nil, nil
	if asked != nil {
		x.down.watch(asked)
	}
}

// answerMiss sends the 404 that was held back, if any: no version has the
// asset. Nobody may keep it, for the next deploy may bring what is missing.
func (x *exchange) answerMiss() bool {
	i := &x.instead
	if i.own == nil || x.failure.kind == faultClient {
		return false
	}
	if i.reason == 0 {
		i.missAt = time.Since(x.start) // nobody else was asked
	}
	x.leaveRetries()
	x.failure = fault{}
	x.target, x.up = i.own, i.up
	x.res, x.miss = x.miss, x.res
	x.lastEndpoint = x.up.Endpoint
	x.down.watch(x.up)
	*i = instead{apart: time.Since(x.start) - i.missAt, nowhere: true}
	x.tries = 1
	x.relay()
	return true
}

// forbidStoring makes the response one that no cache keeps, whatever it said.
func (x *exchange) forbidStoring() {
	for i := range x.res.Fields {
		switch f := &x.res.Fields[i]; {
		case f.ID == head.CacheControl, head.EqualFold(f.Name, "expires"):
			f.Name = ""
		}
	}
	x.res.Fields = append(x.res.Fields, head.Field{ID: head.CacheControl, Name: "Cache-Control", Value: "no-store"})
}
