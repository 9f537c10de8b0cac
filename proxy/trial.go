package proxy

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"sluice/proxy/head"
	"sluice/proxy/limit"
	"sluice/routing"
	"sluice/stats"
	"sluice/stats/trial"
)

// A version that is part of a trial counts what a judge compares: the requests
// that its pins or the split led to it. Who came by an override or a rule chose
// the version, and an answer in place of another version's is that one's matter.

// beginTrial counts the request in the trial of its version, if there is one.
func (x *exchange) beginTrial() {
	if arm := x.target.Arm; arm != nil && !x.synthetic && (x.dec.Reason == routing.Pin || x.dec.Reason == routing.Split) && !x.isCopy() {
		r := x.trialRequest()
		x.ticket = arm.Begin(&r)
		x.times.taken = true
	}
}

// trialRequest is the request as trials know it. One without a pin is its
// client's.
func (x *exchange) trialRequest() trial.Request {
	r := trial.Request{
		Session: x.dec.Session, Epoch: x.dec.Epoch, Begins: x.dec.Pin == routing.PinMake && !x.dec.Followed,
		Joins: x.dec.Pin == routing.PinMake && x.dec.Joins,
		Start: x.in.Now, Connection: x.peer.shard,
	}
	if r.Session != 0 {
		return r
	}
	r.Epoch = x.dec.Service.Epoch
	if x.dec.FailedSession != 0 {
		r.Session, r.Begins, r.Joins = x.dec.FailedSession, !x.dec.Followed, x.dec.Joins
		if x.dec.Followed && !x.dec.Joins {
			r.Epoch = 0 // a session from before the cohort, as its pin would have said
		}
		return r
	}
	if x.in.Client.IsValid() {
		address := limit.Owner(x.in.Client).As16()
		r.Client = xxhash.Sum64(address[:])
	}
	return r
}

// failTrial counts against the version that was chosen and has no usable endpoint.
func (x *exchange) failTrial(arm *trial.Arm) {
	if arm == nil || x.dec.Reason != routing.Failover || x.dec.Rule != nil || x.isCopy() {
		return
	}
	r := x.trialRequest()
	arm.Fail(&r)
}

// endTrial counts what became of the request of the version decided on.
func (x *exchange) endTrial(o *stats.Outcome) {
	if !x.ticket.Counted() {
		return
	}
	ended := *o
	if x.failure.kind == faultClient {
		ended.Flags |= stats.Aborted // also where it was told so: no version is to blame
	}
	if x.times.head > 0 {
		x.ticket.Connected(int64(x.times.connect))
	}
	x.ticket.End(&ended, x.marked)
	x.ticket = trial.Ticket{}
}

// answerTrial looks at a response whose head has come. What may last for ever,
// events and tunnels, counts by its head.
func (x *exchange) answerTrial() {
	if !x.ticket.Counted() {
		return
	}
	for _, h := range x.ticket.Headers() {
		x.marked = x.marked || hasField(x.res.Fields, h)
	}
	if x.res.Status == 101 || isEventStream(&x.res) {
		nanos := int64(time.Since(x.start))
		x.endTrial(&stats.Outcome{Status: x.res.Status, Nanos: nanos, Now: x.in.Now + nanos})
	}
}

// hasField reports whether a field is there, with its value or any.
func hasField(fields []head.Field, want trial.Header) bool {
	for i := range fields {
		if f := &fields[i]; head.EqualFold(f.Name, want.Name) && (want.Value == "*" || f.Value == want.Value) {
			return true
		}
	}
	return false
}

// isEventStream reports whether a response is of server-sent events (WHATWG HTML,
// section 9.2).
func isEventStream(res *head.Response) bool {
	const events = "text/event-stream"
	kind, _ := res.Lookup(head.ContentType)
	return len(kind) >= len(events) && head.EqualFold(kind[:len(events)], events)
}
