package proxy

import (
	"io"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

// retained is as much of a request's body as was read before the request was
// sent, so that it can be sent again. The zero value is nothing.
type retained struct {
	mem   []byte // lent by package buffer, or grown; nil: none
	over  []byte // the piece that found no room there; the codec's, until readBody
	whole bool   // there is no more of the body
}

// free gives the memory back.
func (k *retained) free() {
	if k.mem != nil {
		buffer.GiveBack(k.mem)
	}
	*k = retained{}
}

// retains reports whether the body is read before the request is sent: where
// that may make it one that can be sent again, and the client does not wait for
// the endpoint's word before it sends the body.
func (x *exchange) retains() bool {
	return x.streamed && x.req.IsIdempotent() && !x.req.ExpectContinue && x.req.Length <= x.target.Settings.RetryBuffer
}

// retainBody reads the body as far as there is room for it. It reports false
// where the client failed to send it; exchange.failure then says how.
func (x *exchange) retainBody() bool {
	most := x.target.Settings.RetryBuffer
	if most <= 0 || !x.retains() {
		return true
	}
	k := &x.retained
	k.mem = buffer.Lend(int(min(most, buffer.Large)))
	for {
		data, err := x.readBody()
		switch {
		case err == io.EOF:
			k.whole = true
			x.tellLength()
			return true
		case err != nil:
			x.pump.client = err
			x.failure = fault{kind: faultClient, err: err}
			return false
		case int64(len(k.mem)+len(data)) > most:
			k.over = data
			return true
		}
		k.mem = append(k.mem, data...)
	}
}

// tellLength sends a body of a length that the client did not tell with the
// length that was found, unless what follows it can only be sent without.
func (x *exchange) tellLength() {
	if x.req.Length != head.Chunked || len(x.retained.mem) == 0 || len(x.down.bodyTrailers()) > 0 {
		return
	}
	if _, announced := x.req.Lookup(head.Trailer); !announced {
		x.req.Length = int64(len(x.retained.mem))
	}
}

// sendRetained sends what was read of the body before; false: the endpoint takes
// no more.
func (x *exchange) sendRetained(f *bodyFlow) bool {
	k := &x.retained
	if len(k.mem) > 0 && !f.send(k.mem, k.whole) {
		return false
	}
	return len(k.over) == 0 || f.send(k.over, false)
}

// resendable reports whether all of the request is at hand, so that it can be
// sent again.
func (x *exchange) resendable() bool { return !x.streamed || x.retained.whole }
