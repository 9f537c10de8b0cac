package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/url"
	"strings"

	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/routing"
)

// httpInterim is the least protocol version whose clients know 1xx responses.
const httpInterim = head.HTTP11

// appendRequest writes the request as it goes to the endpoint: the head, and
// the body too if all of it is here and not long.
func (x *exchange) appendRequest(dst []byte) []byte {
	dst = h1.AppendRequestLine(dst, x.req.Method, x.targetUpstream())
	dst = h1.AppendField(dst, "Host", x.hostUpstream())
	dst = x.appendClientFields(dst)
	dst = x.appendForwarded(dst)
	dst = appendVia(dst, x.req.Proto)
	dst = append(dst, x.target.constant...)
	dst = x.appendDecision(dst)
	dst = x.appendFraming(dst)
	dst = append(dst, h1.CRLF...)
	if x.req.Length != 0 && !x.streamed {
		body, _ := x.down.bodyWhole()
		dst = append(dst, body...)
		x.bytesIn = int64(len(body))
	}
	return dst
}

// appendVia writes this hop, with the protocol that the request came in (RFC
// 9110, section 7.6.3).
func appendVia(dst []byte, received head.Proto) []byte {
	dst = append(dst, "Via: "...)
	dst = append(dst, received.String()...)
	return append(dst, " sluice\r\n"...)
}

// isStreamed reports whether the request's body has to be sent apart from its
// head.
func (x *exchange) isStreamed() bool {
	if x.req.Length == 0 {
		return false
	}
	body, whole := x.down.bodyWhole()
	return !whole || len(body) > maxInlineBody
}

// maxInlineBody is the longest body, in bytes, that is sent in one write with
// the head, and so may be sent again. Longer ones are not worth copying.
const maxInlineBody = 16 << 10

// targetUpstream returns the request target without an override token.
func (x *exchange) targetUpstream() string {
	if x.req.Query == "" {
		return x.req.Target
	}
	clean, _, found := routing.CleanQuery(x.req.Query)
	switch {
	case !found:
		return x.req.Target
	case clean == "":
		return x.req.Path
	}
	return x.req.Path + "?" + clean
}

// hostUpstream returns the Host that the endpoint is to see.
func (x *exchange) hostUpstream() string {
	if x.target.Settings.HostOfEndpoint {
		return x.up.Endpoint.Authority
	}
	return x.req.Host
}

// appendClientFields writes the client's fields but those that concern this
// connection alone (RFC 9110, section 7.6.1), those that the proxy writes
// itself, and those that only a trusted peer may send.
func (x *exchange) appendClientFields(dst []byte) []byte {
	x.named = appendNamed(x.named[:0], x.req.Fields)
	trusted := x.peer.trusted
	for i := range x.req.Fields {
		f := &x.req.Fields[i]
		switch f.ID {
		case head.Other:
			if f.Name == "" || len(x.named) > 0 && isNamed(x.named, f.Name) {
				continue
			}
		case head.Host, head.Connection, head.KeepAlive, head.ProxyConnection, head.ProxyAuthorization,
			head.TransferEncoding, head.ContentLength, head.Upgrade, head.TE:
			continue
		case head.Expect:
			if !x.streamed {
				continue
			}
		case head.SluiceField:
			if !trusted && !x.isSyntheticField(f) || ownField(f.Name) || !x.peer.vouches() && head.EqualFold(f.Name, "sluice-client-identity") {
				continue
			}
		case head.ClientCert, head.ClientCertChain:
			if !x.peer.vouches() {
				continue // also where none is forwarded: an endpoint may look for it
			}
		case head.XForwardedFor, head.Forwarded:
			continue // appendForwarded extends or replaces them
		case head.XForwardedProto, head.XForwardedHost, head.XForwardedPort, head.XRealIP:
			if !trusted {
				continue
			}
		case head.Cookie:
			dst = appendCookie(dst, f.Value)
			continue
		case head.Traceparent:
			if x.trace.on {
				continue
			}
		case head.Tracestate:
			if x.trace.on && !x.trace.joined {
				continue // it belongs to a traceparent that says nothing
			}
		case head.Baggage:
			if x.dec.Overrides != "" {
				continue // appendDecision adds to it
			}
			if !trusted && strings.Contains(f.Value, baggageKey) {
				dst = appendBaggage(dst, x.req.Fields[i:i+1], "")
				continue
			}
		}
		dst = h1.AppendField(dst, f.Name, f.Value)
	}
	return dst
}

// ownField reports whether a Sluice-* field says what this proxy decides anew
// for every request, so that not even a trusted peer's is passed on.
func ownField(name string) bool {
	for _, own := range [...]string{"sluice-version", "sluice-shape", "sluice-rule", "sluice-override", "sluice-token", "sluice-session-moved"} {
		if head.EqualFold(name, own) {
			return true
		}
	}
	return false
}

// tokenCookie is the cookie that holds an override token.
const tokenCookie = "sluice_token"

// appendCookie writes the Cookie field without an override token, which is
// nobody's business behind the proxy.
func appendCookie(dst []byte, value string) []byte {
	if !strings.Contains(value, tokenCookie) {
		return h1.AppendField(dst, "Cookie", value)
	}
	const name = "Cookie: "
	before := len(dst)
	dst = append(dst, name...)
	dst = routing.CookieWithout(dst, value)
	if len(dst) == before+len(name) {
		return dst[:before]
	}
	return append(dst, h1.CRLF...)
}

// appendNamed appends the fields that Connection names: they end here. What the
// proxy itself depends on can't be named away, since only fields that it doesn't
// know (head.Other) are looked up.
func appendNamed(named []string, fields []head.Field) []string {
	for i := range fields {
		if fields[i].ID != head.Connection {
			continue
		}
		for option, rest := h1.NextElement(fields[i].Value); option != ""; option, rest = h1.NextElement(rest) {
			if head.Identify(option) == head.Other && !head.EqualFold(option, "close") {
				named = append(named, option)
			}
		}
	}
	return named
}

// isNamed reports whether a Connection field names this one.
func isNamed(named []string, name string) bool {
	for _, n := range named {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// appendDecision writes what was decided, for the application and for the
// sidecars behind it.
func (x *exchange) appendDecision(dst []byte) []byte {
	d := &x.dec
	if d.Rule != nil {
		dst = h1.AppendField(dst, "Sluice-Rule", d.Rule.Name)
	}
	if from := d.MovedFrom; from != nil && from.Writes != d.Version.Writes {
		dst = appendMoved(dst, from)
	}
	if d.Overrides != "" {
		dst = h1.AppendField(dst, "Sluice-Override", d.Overrides)
		dst = appendBaggage(dst, x.req.Fields, url.PathEscape(d.Overrides))
	}
	if x.trace.on {
		dst = x.trace.appendTraceparent(dst)
	}
	if _, has := x.req.Lookup(head.XRequestID); !has {
		dst = x.appendRequestID(dst)
	}
	return dst
}

// appendMoved tells of the version that a session comes from, whose shape is
// another; "" is left out: that version has declared none.
func appendMoved(dst []byte, from *routing.Version) []byte {
	dst = append(dst, "Sluice-Session-Moved: from="...)
	dst = append(dst, from.Name...)
	if from.Writes != "" {
		dst = append(dst, ";shape="...)
		dst = append(dst, from.Writes...)
	}
	return append(dst, h1.CRLF...)
}

// appendRequestID writes a random X-Request-Id of 128 bits, the same for every
// endpoint that the request goes to.
func (x *exchange) appendRequestID(dst []byte) []byte {
	if x.ownID[0] == 0 {
		var id [16]byte
		binary.LittleEndian.PutUint64(id[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(id[8:], rand.Uint64())
		hex.Encode(x.ownID[:], id[:])
	}
	dst = append(dst, "X-Request-Id: "...)
	dst = append(dst, x.ownID[:]...)
	return append(dst, h1.CRLF...)
}

// requestID returns the request's X-Request-Id as the endpoint sees it: the
// client's, or else ours, which a request has that went to an endpoint. It is
// gone with the exchange.
func (x *exchange) requestID() string {
	if id, has := x.req.Lookup(head.XRequestID); has {
		return id
	}
	if x.ownID[0] == 0 {
		return ""
	}
	return view(x.ownID[:])
}

// appendFraming writes how the body ends, and an upgrade that is asked for.
func (x *exchange) appendFraming(dst []byte) []byte {
	switch {
	case x.upgrading():
		dst = append(dst, "Connection: upgrade\r\n"...)
		dst = h1.AppendField(dst, "Upgrade", x.req.Upgrade)
	case x.req.Proto >= head.HTTP11 && x.takesTrailers():
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	switch {
	case x.req.Length == head.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case x.req.Length > 0 || hasContentLength(&x.req):
		dst = h1.AppendContentLength(dst, x.req.Length)
	}
	return dst
}

// upgrading reports whether the request asks for another protocol on its
// connection. One with a body is answered in HTTP: where its body ends and the
// tunnel begins would be a guess.
func (x *exchange) upgrading() bool { return x.req.Upgrade != "" && x.req.Length == 0 }

// takesTrailers reports whether the client says that it reads trailers.
func (x *exchange) takesTrailers() bool {
	te, has := x.req.Lookup(head.TE)
	return has && strings.Contains(te, "trailers")
}

// hasContentLength tells "no body" from "a body of length 0": a POST of
// nothing must say so.
func hasContentLength(req *head.Request) bool {
	_, has := req.Lookup(head.ContentLength)
	return has
}
