package proxy

import (
	"strconv"
	"strings"
	"time"

	"sluice/proxy/head"
)

// admit answers what goes no further than the listener: what overload forbids, an
// ACME challenge, what is redirected to https, and what the listener's limits
// forbid.
func (x *exchange) admit() bool {
	l := x.peer.listener
	switch {
	case !x.synthetic && x.srv.overload.limit.Refuses(draw):
		x.shed()
	case l.Challenge != nil && x.answerChallenge(l):
	case l.RedirectHTTPS > 0 && !x.cameOverTLS():
		x.redirectToHTTPS(l.RedirectHTTPS)
	case l.clients != nil && !x.synthetic && !x.withinClientRate(l):
	case l.BodyBytes > 0 && x.req.Length > l.BodyBytes:
		x.countRefused(413)
		x.reply(413, "The request's body is longer than this server takes.\n")
	default:
		return true
	}
	return false
}

// challengePath begins the paths under which a certificate authority looks
// whether a host is ours (RFC 8555, section 8.3).
const challengePath = "/.well-known/acme-challenge/"

// answerChallenge answers a question of a certificate authority. It comes before
// the redirect: the authority asks over http.
func (x *exchange) answerChallenge(l *ListenerConfig) bool {
	if !strings.HasPrefix(x.req.Path, challengePath) {
		return false
	}
	answer, known := l.Challenge(hostOnly(x.req.Host), x.req.Path)
	if !known {
		return false // an application's own challenge, perhaps
	}
	x.res.Reset()
	x.extra = append(x.extra[:0], head.Field{ID: head.CacheControl, Name: "Cache-Control", Value: "no-store"})
	x.sendOwn(200, answer)
	return true
}

// cameOverTLS reports whether the client spoke TLS, to us or to a trusted proxy:
// a redirect of what such a proxy has unwrapped would go round for ever.
func (x *exchange) cameOverTLS() bool {
	if x.peer.tls || !x.peer.trusted {
		return x.peer.tls
	}
	proto, _ := x.req.Lookup(head.XForwardedProto)
	return head.EqualFold(proto, "https")
}

// redirectToHTTPS sends a client to the same URL over TLS, for good and with the
// same method (308). Host and target were judged by the codec: neither holds
// what could end the field or name another host than the client asked.
func (x *exchange) redirectToHTTPS(port int) {
	host := hostOnly(x.req.Host)
	if host == "" { // HTTP/1.0 alone may leave it out
		x.countRefused(400)
		x.reply(400, "This server is reached over https; the request names no host to go to.\n")
		return
	}
	v := append(x.values[:0], "https://"...)
	v = append(v, host...)
	if port != 443 {
		v = strconv.AppendInt(append(v, ':'), int64(port), 10)
	}
	if x.req.Target != "*" {
		v = append(v, x.req.Target...)
	}
	x.values = v
	x.res.Reset()
	x.extra = append(x.extra[:0], head.Field{Name: "Location", Value: view(v)})
	x.sendOwn(308, "This server is reached over https.\n")
}

// hostOnly returns a Host without its port.
func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

// withinClientRate holds the client to the listener's rate. A trusted proxy that
// names no client stands for many, and is not held to it.
func (x *exchange) withinClientRate(l *ListenerConfig) bool {
	if x.peer.trusted && x.in.Client == x.peer.addr.Addr() {
		return true
	}
	wait := l.clients.Take(x.in.Client, x.moment())
	if wait == 0 {
		return true
	}
	x.srv.stats.RateLimitedByListener(l.Name)
	x.replyTooMany(wait)
	return false
}

// withinServiceRates holds a request to the rates of the service that it is for.
func (x *exchange) withinServiceRates(r *Rates) bool {
	now := x.moment()
	wait := time.Duration(0)
	if !x.peer.trusted || x.in.Client != x.peer.addr.Addr() {
		wait = r.clients.Take(x.in.Client, now)
	}
	if wait == 0 {
		wait = r.all.Take(now)
	}
	if wait == 0 {
		return true
	}
	x.srv.stats.RateLimitedByService(x.dec.Service.Name)
	x.replyTooMany(wait)
	return false
}

// moment returns when the request began, by a clock that never goes back.
func (x *exchange) moment() int64 { return int64(x.start.Sub(x.srv.began)) }

// replyTooMany answers a request over a rate, and tells when the next may come
// (RFC 6585, section 4).
func (x *exchange) replyTooMany(wait time.Duration) {
	seconds := int64((wait + time.Second - 1) / time.Second)
	x.res.Reset()
	x.extra = append(x.extra[:0],
		head.Field{ID: head.CacheControl, Name: "Cache-Control", Value: "no-store"},
		head.Field{Name: "Retry-After", Value: strconv.FormatInt(seconds, 10)})
	x.sendOwn(429, "Too many requests.\n")
}
