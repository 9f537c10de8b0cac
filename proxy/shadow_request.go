package proxy

import (
	"io"

	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
	"sluice/stats"
)

// shadowRequest is a request as its copies send it: what the customer's endpoint
// was sent, but for what says that this one serves a customer.
type shadowRequest struct {
	text         []byte
	line         []byte // in text: the request line
	rest         []byte // in text: fields behind those that depend on the version
	body         []byte
	whole        bool         // the body is: read to its end, where it was not in one piece
	lost         stats.Shadow // why it is not kept; 0: it is
	method, path string
	host         string
	idempotent   bool
	want         upstream.Acquire
	origin       upstream.Origin // that want points to
}

// keepBody keeps some of a body that is read piece by piece; err is what it ended
// with.
func (r *shadowRequest) keepBody(sh *shadowed, data []byte, err error) {
	switch {
	case err != nil:
		r.whole = err == io.EOF
	case r.lost != 0:
	case int64(len(r.body)+len(data)) > sh.maxBody:
		r.lost = stats.ShadowRequest
	default:
		var room bool
		if r.body, room = sh.grown(r.body, len(data), int(sh.maxBody)); !room {
			r.lost = stats.ShadowMemory
			return
		}
		r.body = append(r.body, data...)
	}
}

// keepRequest keeps the request for its copies, and returns why it can't; 0: it
// can. The exchange is of no use for the customer any more.
func (x *exchange) keepRequest(sh *shadowed) stats.Shadow {
	r := &sh.request
	if body, whole := x.down.bodyWhole(); !x.streamed && whole {
		r.keepBody(sh, body, nil)
		r.whole = true
	}
	switch {
	case r.lost != 0:
		return r.lost
	case !r.whole:
		return stats.ShadowRequest
	}
	x.disown()
	x.head = h1.AppendRequestLine(x.head[:0], x.req.Method, x.targetUpstream())
	line := len(x.head)
	x.head = x.appendCopy(x.head, len(r.body))
	var room bool
	if r.text, room = sh.grown(r.text[:0], len(x.head)+len(x.req.Host), 0); !room {
		return stats.ShadowMemory
	}
	r.text = append(append(r.text, x.head...), x.req.Host...)
	r.line, r.rest = r.text[:line], r.text[line:len(x.head)]
	r.host = view(r.text[len(x.head):])
	r.method = view(r.text[:len(x.req.Method)])
	r.path = view(r.text[len(x.req.Method)+1:][:len(x.req.Path)])
	r.idempotent = x.req.IsIdempotent()
	r.want.Key, r.want.HasKey = x.hashKey()
	if sh.from.Cluster.TellsOrigin() || sh.to.Cluster.TellsOrigin() {
		r.origin = *x.origin()
		r.want.Origin = &r.origin
	}
	return 0
}

// disown takes out of a request that was answered what its copies must not say:
// that they belong to the customer's trace, or move the session. Trailers were not
// kept.
func (x *exchange) disown() {
	for i := range x.req.Fields {
		switch f := &x.req.Fields[i]; f.ID {
		case head.Traceparent, head.Tracestate, head.Trailer:
			*f = head.Field{}
		}
	}
	x.trace = trace{}
	x.dec.MovedFrom = nil
	x.streamed = false
}

// appendCopy writes what follows the fields that depend on the version, up to the
// body.
func (x *exchange) appendCopy(dst []byte, body int) []byte {
	dst = x.appendClientFields(dst)
	dst = x.appendForwarded(dst)
	dst = appendVia(dst, x.req.Proto)
	dst = append(dst, "Sluice-Shadow: 1\r\n"...)
	dst = x.appendDecision(dst)
	if x.req.Length != 0 {
		x.req.Length = int64(body) // also where the customer's was not known beforehand
	}
	dst = x.appendFraming(dst)
	return append(dst, h1.CRLF...)
}

// appendFor writes the request as it goes to an endpoint of a version.
func (r *shadowRequest) appendFor(dst []byte, to *Target, at *upstream.Endpoint) []byte {
	host := r.host
	if to.Settings.HostOfEndpoint {
		host = at.Authority
	}
	dst = append(dst, r.line...)
	dst = h1.AppendField(dst, "Host", host)
	dst = append(dst, to.constant...)
	return append(append(dst, r.rest...), r.body...)
}

// size bounds how long that is.
func (r *shadowRequest) size(to *Target, at *upstream.Endpoint) int {
	return len(r.text) + len(r.body) + len("Host: \r\n") + len(at.Authority) + len(to.constant)
}
