package proxy

import (
	"strings"
	"time"
	"unsafe"

	"sluice/proxy/head"
	"sluice/routing"
)

// prepareResponse makes the response's fields those that the client is to see:
// without those of the endpoint's connection, with the pin and what the
// service exposes.
func (x *exchange) prepareResponse() {
	x.dropResponseFields()
	x.extra = x.extra[:0]
	x.values = x.values[:0]
	if _, has := x.res.Lookup(head.Date); !has {
		x.extra = append(x.extra, head.Field{ID: head.Date, Name: "Date", Value: x.srv.date(x.start)})
	}
	if x.instead.nowhere {
		x.forbidStoring()
	}
	if x.dec.Pin == routing.PinMake && x.dec.Service.Pin.By == routing.PinCookie {
		x.setPin()
	}
	x.secureTransport()
	switch {
	case x.peer.synthetic:
		x.tell()
	case x.dec.Service.Expose:
		x.extra = append(x.extra,
			head.Field{Name: "Sluice-Version", Value: x.target.name},
			head.Field{Name: "Sluice-Reason", Value: x.reasonText()})
	}
}

// secureTransport tells the client to come over TLS from now on (RFC 6797),
// unless the response says something of its own about that. Over plain HTTP the
// field means nothing, and must not be sent (section 7.2).
func (x *exchange) secureTransport() {
	l := x.peer.listener
	if l.HSTS == "" || !x.peer.tls {
		return
	}
	if _, has := x.res.Get("strict-transport-security"); !has {
		x.extra = append(x.extra, head.Field{Name: "Strict-Transport-Security", Value: l.HSTS})
	}
}

// dropResponseFields empties the fields that end at this proxy: the codec
// writes no field without a name.
func (x *exchange) dropResponseFields() { x.named = dropConnectionFields(x.res.Fields, x.named) }

// dropConnectionFields empties the fields of a response that are for its
// connection alone. It returns named, which it uses, to be used again.
func dropConnectionFields(fields []head.Field, named []string) []string {
	named = appendNamed(named[:0], fields)
	for i := range fields {
		f := &fields[i]
		switch f.ID {
		case head.Connection, head.KeepAlive, head.ProxyConnection, head.TransferEncoding,
			head.ContentLength, head.Upgrade, head.TE:
			f.Name = ""
		case head.Other:
			if len(named) > 0 && isNamed(named, f.Name) {
				f.Name = ""
			}
		}
	}
	return named
}

// setPin adds the cookie that keeps the session on its version, unless a
// shared cache might hand the response, and with it the pin, to others (RFC
// 9111, section 7.3). The next response carries it then. Any other is marked
// private for the same reason.
func (x *exchange) setPin() {
	control, public := x.cacheControl()
	if public {
		return
	}
	begin := len(x.values)
	x.values = routing.AppendPinCookie(x.values, &x.dec, x.dec.Service, x.peer.tls)
	x.extra = append(x.extra, head.Field{ID: head.SetCookie, Name: "Set-Cookie", Value: view(x.values[begin:])})
	if control != nil && (hasDirective(control.Value, "private") || hasDirective(control.Value, "no-store")) {
		return
	}
	x.extra = append(x.extra, head.Field{ID: head.CacheControl, Name: "Cache-Control", Value: "private"})
}

// cacheControl returns the first Cache-Control field, nil if there is none, and
// whether any says that shared caches may keep the response.
func (x *exchange) cacheControl() (first *head.Field, public bool) {
	for i := range x.res.Fields {
		f := &x.res.Fields[i]
		if f.ID != head.CacheControl || f.Name == "" {
			continue
		}
		if first == nil {
			first = f
		}
		if hasDirective(f.Value, "public") || hasDirective(f.Value, "s-maxage") {
			public = true
		}
	}
	return first, public
}

// hasDirective reports whether a Cache-Control value has this directive, with
// or without an argument.
func hasDirective(value, directive string) bool {
	for rest, item := value, ""; rest != ""; {
		item, rest, _ = strings.Cut(rest, ",")
		name, _, _ := strings.Cut(item, "=")
		if head.EqualFold(strings.Trim(name, " \t"), directive) {
			return true
		}
	}
	return false
}

// view is a string over bytes that stay as they are while it is in use. The
// values of an exchange are written once, before the head that they are for.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// date returns the time as a Date field has it (RFC 9110, section 5.6.7). It
// is formatted once a second.
func (s *Server) date(now time.Time) string {
	second := now.Unix()
	if d := s.dateCache.Load(); d != nil && d.second == second {
		return d.text
	}
	d := &dateText{second: second, text: now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	s.dateCache.Store(d)
	return d.text
}

// dateText is a second and its Date field.
type dateText struct {
	second int64
	text   string
}
