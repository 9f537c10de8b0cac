package proxy

import (
	"sluice/proxy/head"
	"sluice/routing"
	"sluice/stats"
)

// reply answers the request itself, with a line of text. A HEAD is answered
// with the fields alone.
func (x *exchange) reply(status int, text string) {
	x.res.Reset()
	x.extra = append(x.extra[:0], head.Field{ID: head.CacheControl, Name: "Cache-Control", Value: "no-store"})
	if status == 503 {
		x.extra = append(x.extra, head.Field{Name: "Retry-After", Value: "1"})
	}
	x.sendOwn(status, text)
}

// redirectToClean sends a tester on to the URL without the override token,
// which has become a cookie: a token in a URL ends up in logs, bookmarks and
// Referer fields.
func (x *exchange) redirectToClean() {
	clean, token, _ := routing.CleanQuery(x.req.Query)
	location := x.req.Path
	if clean != "" {
		location += "?" + clean
	}
	// A path that begins with two slashes would lead to another host, and
	// browsers take a backslash for a slash (WHATWG URL, section 4.4).
	if len(location) > 1 && (location[1] == '/' || location[1] == '\\') {
		location = "/." + location
	}
	x.values = routing.AppendTokenCookie(x.values[:0], &x.dec, token, x.in.Now, x.peer.tls)
	x.res.Reset()
	x.extra = append(x.extra[:0],
		head.Field{Name: "Location", Value: location},
		head.Field{ID: head.SetCookie, Name: "Set-Cookie", Value: view(x.values)},
		head.Field{ID: head.CacheControl, Name: "Cache-Control", Value: "no-store"},
		head.Field{Name: "Referrer-Policy", Value: "no-referrer"})
	x.sendOwn(302, "The override is set.\n")
}

// sendOwn sends a response of the proxy's own with the fields in extra. The
// connection ends after it if the request's body is not here: reading on just
// to find the next request would let a client send for ever.
func (x *exchange) sendOwn(status int, text string) {
	if x.grpc {
		x.sendGRPC(status, text)
		return
	}
	x.outcome.Status = status
	if !x.down.bodyDone() {
		if _, whole := x.down.bodyWhole(); !whole {
			x.close = true
		}
	}
	x.extra = append(x.extra,
		head.Field{ID: head.ContentType, Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		head.Field{ID: head.Date, Name: "Date", Value: x.srv.date(x.start)})
	x.secureTransport()
	if x.peer.synthetic {
		x.tell()
	}
	x.res.Status = status
	x.res.Declared = int64(len(text))
	if x.req.Method != "HEAD" {
		x.res.Length = int64(len(text))
	}
	err := x.down.begin(&x.res, x.extra, x.close)
	if err == nil && x.res.Length > 0 {
		err = x.down.write([]byte(text))
	}
	if err == nil {
		err = x.down.finish(nil)
	}
	if err != nil {
		x.outcome.Flags |= stats.Aborted
		x.aborted, x.close = true, true
	}
	x.bytesOut = x.res.Length
}
