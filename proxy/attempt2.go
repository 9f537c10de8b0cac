package proxy

import (
	"sluice/proxy/head"
	"sluice/proxy/upstream"
)

// How an attempt differs where the endpoint is spoken to in HTTP/2: the request
// goes out, and the head of its answer comes, by one call. A body that is not
// here whole is pumped and the response relayed as ever.

// ask sends the request and waits for the head of the final response.
func (x *exchange) ask() bool {
	if x.up.HTTP2() {
		return x.call()
	}
	return x.send() && x.awaitResponse()
}

// call is ask over HTTP/2.
func (x *exchange) call() bool {
	x.startTry()
	if x.streamed {
		x.pump.begin(x)
	}
	err := x.up.Call(x.head, upstream.Call{Streamed: x.streamed, Deadline: x.deadline, Inform: x.informFrom}, &x.res)
	if !x.heard(err) {
		return false
	}
	if x.req.Proto < head.HTTP2 && x.res.Length == 0 && x.res.Declared < 0 && mayHaveBody(x.req.Method, x.res.Status) {
		x.res.Declared = 0 // HTTP/1.1 tells by a length that there is no body
	}
	return true
}

// mayHaveBody reports whether a response can have a body (RFC 9110, section 6.4.1).
func mayHaveBody(method string, status int) bool {
	return method != "HEAD" && status != 204 && status != 304
}

// informFrom passes an interim response on.
func (x *exchange) informFrom(status int, fields []head.Field) error {
	x.res.Reset()
	x.res.Status, x.res.Proto = status, head.HTTP2
	x.res.Fields = append(x.res.Fields, fields...)
	if !x.passInterim() {
		return x.failure.err
	}
	return nil
}

// maxUnprocessed is how often a request goes elsewhere that endpoints did not
// look at: as they do when they stop, or take fewer at once than before.
const maxUnprocessed = 3

// mayRetryUnprocessed decides on a request that its endpoint is certain not to
// have looked at. It is none of the tries, whatever its method.
func (x *exchange) mayRetryUnprocessed() bool {
	if !x.resendable() || x.unprocessed == maxUnprocessed {
		return false
	}
	x.unprocessed++
	x.tries--
	return true
}

// refuser is a codec that can tell its client that nobody looked at a request.
type refuser interface{ refuse() }

// refuse ends a request that its endpoint did not look at, and that can't be sent
// again from here, so that its client knows that it may (RFC 9113, section 8.7).
func (x *exchange) refuse() bool {
	r, ok := x.down.(refuser)
	if !ok || !x.streamed || x.informed {
		return false
	}
	r.refuse()
	x.outcome.Status = failureReplies[faultUnprocessed].status
	x.aborted = true
	return true
}

// bodyLength is the length of the response's body as it is read from the
// endpoint's connection.
func (x *exchange) bodyLength() int64 {
	if x.up.HTTP2() && x.res.Length != 0 {
		return head.UntilClose // its stream ends by itself, and not early
	}
	return x.res.Length
}

// trailers returns those of the response, at its end.
func (x *exchange) trailers() []head.Field {
	if x.up.HTTP2() {
		trailers := passable(x.up.Trailers())
		x.noteGRPC(trailers)
		return trailers
	}
	return x.upBody.Trailers()
}

// passable leaves out of trailers what they must not hold (RFC 9110, section
// 6.5.1).
func passable(trailers []head.Field) []head.Field {
	kept := trailers[:0]
	for _, f := range trailers {
		if f.ID == head.Other && !head.HeaderOnly(f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}
