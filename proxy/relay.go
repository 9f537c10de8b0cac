package proxy

import (
	"errors"
	"io"

	"sluice/proxy/buffer"
	"sluice/proxy/h1"
	"sluice/proxy/upstream"
	"sluice/stats"
)

// spliceMin is the least rest of a body, in bytes, that the kernel is asked to
// move: for less, two copies cost less than the calls that avoid them.
const spliceMin = 32 << 10

// relay sends the response to the client.
func (x *exchange) relay() {
	x.outcome.Status = x.res.Status
	x.noteGRPC(x.res.Fields)
	x.answerTrial()
	x.pump.relays.Store(true)
	x.restEndpoint()
	x.prepareResponse()
	if x.shadowed != nil {
		x.shadowHead()
	}
	x.closeUnread()
	if err := x.down.begin(&x.res, x.extra, x.close); err != nil {
		x.endRelay(relayClientGone)
		return
	}
	x.upBody.Init(&x.up.In, (*relayFiller)(x), x.bodyLength())
	x.endRelay(x.relayBody())
}

// closeUnread lets the client's connection end after a response that comes
// before the request's end: the client may never send the rest.
func (x *exchange) closeUnread() {
	if x.pump.unfinished() && !x.retained.whole {
		x.close = true
	}
}

// relayResult is how the relay of a body ended.
type relayResult uint8

const (
	relayWhole      relayResult = iota // the client has all of it
	relayTruncated                     // the endpoint broke off
	relayClientGone                    // the client takes no more
)

// relayBody copies the body as it comes: what has arrived is sent before more
// is waited for (relayFiller), so that events reach the client at once.
func (x *exchange) relayBody() relayResult {
	for {
		if left := x.upBody.Remaining(); left >= spliceMin && x.up.In.Len() == 0 {
			if !x.shadowsBody() {
				if r, moved := x.spliceBody(left); r != relayWhole {
					return r
				} else if moved > 0 {
					continue
				}
			}
			x.up.In.Grow()
		}
		data, err := x.upBody.Next()
		switch {
		case err == io.EOF:
			if x.down.finish(x.trailers()) != nil {
				return relayClientGone
			}
			return relayWhole
		case errors.Is(err, errClientGone):
			return relayClientGone
		case err != nil:
			x.failure.err = err
			return relayTruncated
		}
		x.bytesOut += int64(len(data))
		if x.shadowed != nil {
			x.shadowBody(data)
		}
		if x.down.write(data) != nil {
			return relayClientGone
		}
	}
}

// splicePiece is how much is moved between two renewals of the timeouts: the
// slowest client that is served takes one within the body timeout.
const splicePiece = 256 << 10

// spliceBody lets the kernel move the rest of the body.
func (x *exchange) spliceBody(left int64) (relayResult, int64) {
	var total int64
	for left > 0 {
		x.up.SetTimeout(x.target.Settings.BodyTimeout)
		moved, err := x.down.splice(x.up, min(left, splicePiece))
		x.upBody.Skip(moved)
		x.bytesOut += moved
		left -= moved
		total += moved
		switch {
		case err == errEndpointGone:
			return relayTruncated, total
		case err != nil:
			return relayClientGone, total
		case moved == 0:
			return relayWhole, total
		}
	}
	return relayWhole, total
}

// errClientGone wraps the failure of a write to the client, to tell it from
// those of the endpoint.
var errClientGone = errors.New("the client takes no more of the response")

// relayFiller reads from the endpoint on behalf of the response's body. It
// sends what waits for the client first.
type relayFiller exchange

// Fill implements h1.Filler.
func (f *relayFiller) Fill(b *buffer.Buffer) error {
	x := (*exchange)(f)
	if x.res.Length < 0 {
		x.enlist(nil)
	}
	if x.down.flush() != nil {
		return errClientGone
	}
	x.up.SetTimeout(x.bodyTimeout())
	err := x.up.Fill(b)
	x.restEndpoint()
	if err != nil && x.down.gone() {
		return errClientGone
	}
	return err
}

// restEndpoint stops the endpoint's time while its response is passed on: how
// long the client takes is not its fault. While a pump runs, the time goes on,
// for the sake of what the endpoint has still to take.
func (x *exchange) restEndpoint() {
	if !x.pump.running() {
		x.up.SetTimeout(0)
	}
}

// endRelay ends the response: the endpoint's connection goes back to its pool
// if it can be used again, and a response that was cut off is cut off for the
// client too, whose connection must not look as if it were whole.
func (x *exchange) endRelay(r relayResult) {
	x.endPump()
	x.delist()
	if r == relayTruncated && x.down.gone() {
		r = relayClientGone
	}
	outcome := upstream.Done
	switch {
	case r == relayTruncated && x.stream.closing.Load():
		outcome = upstream.Unknown
	case r == relayTruncated && x.streamed && x.pump.client != nil:
		// The connection was ended for what the client did.
		outcome = upstream.Unknown
		x.outcome.Flags |= stats.Aborted
	case r == relayTruncated && errors.Is(x.failure.err, upstream.ErrDeadline):
		outcome = upstream.Unknown
		x.outcome.UpstreamError = stats.Timeout
	case r == relayTruncated && x.grpc && x.up.TimedOut(): // silent, on both sides
		outcome = upstream.Unknown
		x.outcome.UpstreamError = stats.Timeout
	case r == relayTruncated:
		outcome = upstream.Failed
		x.outcome.UpstreamError = stats.Truncated
	case r == relayClientGone:
		outcome = upstream.Unknown
		x.outcome.Flags |= stats.Aborted
	case x.res.Status >= 502 && x.res.Status <= 504, x.grpc && x.outcome.Status == grpcStatuses[grpcUnavailable]:
		outcome = upstream.BadStatus
	}
	if r != relayWhole {
		x.aborted, x.close = r != relayTruncated || !x.endGRPC(), true
	} else if !x.res.Close && x.upBody.Done() && !x.up.TimedOut() && x.requestSent() {
		outcome |= upstream.Reusable
	}
	x.up.In.Drop()
	x.dropUpstream(outcome)
}

// requestSent reports whether the endpoint got the whole request: its
// connection is of no use else.
func (x *exchange) requestSent() bool { return !x.streamed || x.pump.whole }

// failureReplies are the answers to a request that no endpoint answered.
var failureReplies = [...]struct {
	status int
	text   string
}{
	faultNoEndpoint:  {503, "No endpoint is able to answer.\n"},
	faultOverloaded:  {503, "Too many requests are under way.\n"},
	faultUnreachable: {502, "The endpoint can't be reached.\n"},
	faultSpoiled:     {502, "The endpoint closed the connection.\n"},
	faultStale:       {502, "The endpoint closed the connection.\n"},
	faultReset:       {502, "The endpoint closed the connection.\n"},
	faultBroken:      {502, "The endpoint broke off its response.\n"},
	faultTimeout:     {504, "The endpoint didn't answer in time.\n"},
	faultMalformed:   {502, "The endpoint's response is malformed.\n"},
	faultUnprocessed: {502, "The endpoint took no request.\n"},
	faultDeadline:    {504, "The call's deadline has passed.\n"},
}

// replyFailure answers a request whose last attempt failed.
func (x *exchange) replyFailure() {
	x.outcome.UpstreamError = x.failure.kind.upstreamError()
	if x.failure.kind == faultOverloaded {
		x.counts(x.target).Overloaded(x.peer.shard)
	}
	if x.failure.kind == faultUnprocessed && x.refuse() {
		return
	}
	if x.failure.kind != faultClient {
		r := failureReplies[x.failure.kind]
		x.reply(r.status, r.text)
		return
	}
	x.close = true
	var malformed *h1.Error
	switch {
	case errors.Is(x.failure.err, errBodyTooLong):
		x.reply(413, "The request's body is longer than this server takes.\n")
	case errors.As(x.failure.err, &malformed):
		x.reply(malformed.Status, "The request's body is malformed: "+malformed.Reason+".\n")
	case x.pump.client != nil && x.hasLastWord():
		x.countRefused(408)
		x.reply(408, "The request's body didn't come in time.\n")
	default:
		x.outcome.Flags |= stats.Aborted
		x.aborted = true
	}
}

// lastWriter is a downstream that can still write where the client let it time
// out.
type lastWriter interface {
	// lastWord reports whether it has timed out, and lets one answer pass.
	lastWord() bool
}

// hasLastWord reports whether the client took too long, and can be told.
func (x *exchange) hasLastWord() bool {
	l, ok := x.down.(lastWriter)
	return ok && l.lastWord()
}
