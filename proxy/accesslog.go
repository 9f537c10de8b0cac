package proxy

import (
	"math/rand/v2"
	"time"

	"sluice/proxy/accesslog"
	"sluice/proxy/head"
	"sluice/routing"
)

// AccessMode says which requests are logged.
type AccessMode uint8

// The modes. The zero value logs errors.
const (
	AccessErrors  AccessMode = iota // answers of 500 and above, refusals, and what was cut off
	AccessOff                       // none
	AccessSampled                   // errors, and a share of the rest
	AccessAll                       // every request
)

// AccessLog is what is logged of requests, and where.
type AccessLog struct {
	Mode   AccessMode
	Sample float64 // share of the requests that AccessSampled logs, from 0 to 1
	Layout accesslog.Layout
	// Write takes a line, which is its own until it returns. It must not wait,
	// for a request does. Nil: nothing is logged.
	Write func(line []byte)
}

// accessLog decides which requests are logged and logs them.
type accessLog struct {
	mode      AccessMode
	threshold uint64 // a draw below it is logged
	layout    accesslog.Layout
	write     func([]byte)
}

func newAccessLog(c AccessLog) accessLog {
	a := accessLog{mode: c.Mode, layout: c.Layout.WithDefaults(), write: c.Write}
	if c.Write == nil {
		a.mode = AccessOff
	}
	if c.Mode == AccessSampled {
		a.threshold = uint64(min(max(c.Sample, 0), 1) * (1 << 53))
	}
	return a
}

// wants reports whether a request with this outcome is logged.
func (a *accessLog) wants(failed bool) bool {
	switch a.mode {
	case AccessOff:
		return false
	case AccessAll:
		return true
	case AccessSampled:
		return failed || rand.Uint64()>>11 < a.threshold
	}
	return failed
}

// log writes an exchange that has ended.
func (a *accessLog) log(x *exchange) {
	failed := x.outcome.Status >= 500 || x.cutOff() || x.instead.reason == routing.Shield
	if x.shedding && a.mode != AccessAll {
		return // they are counted; a line for each would add to the load
	}
	if !a.wants(failed) {
		return
	}
	e := accesslog.Entry{
		At: x.start, Total: time.Duration(x.outcome.Nanos) + x.instead.apart, Connect: x.times.connect,
		Listener: x.peer.listener.Name, Client: x.in.Client, TLS: x.peer.tlsText(),
		Method: x.req.Method, Host: x.req.Host, Path: x.req.Path, Query: x.req.Query, Proto: x.req.Proto.String(),
		Status: x.outcome.Status, BytesIn: x.bytesIn, BytesOut: x.bytesOut, CutOff: x.cutOff(),
		Reason: x.reasonText(), Retries: int(x.outcome.Retries), Failure: x.failure.err, TraceID: x.traceID(), RequestID: x.requestID(),
	}
	e.Service, e.Version, e.Endpoint = x.whoAnswered()
	if x.target != nil {
		e.Tags = x.target.tags
	}
	e.Wait, e.Body = x.times.split(e.Total)
	if e.Query != "" {
		e.Query, _, _ = routing.CleanQuery(e.Query)
	}
	e.UserAgent, e.HasAgent = x.req.Lookup(head.UserAgent)
	e.Referer, e.HasReferer = x.req.Get("referer")
	if x.synthetic {
		e.Synthetic, _ = x.req.Get(syntheticField)
	}
	switch x.instead.reason {
	case routing.Shield:
		e.ShieldedFrom, e.ShieldedStatus = x.dec.Version.Name, x.instead.status
	case routing.AssetFallback:
		e.FallbackFrom = x.dec.Version.Name
	}
	x.head = a.layout.Append(x.head[:0], &e)
	a.write(x.head)
}

// whoAnswered returns the names of the service, the version and the endpoint
// that were asked last; "" for what the request never got to.
func (x *exchange) whoAnswered() (service, version, endpoint string) {
	if x.dec.Service != nil {
		service = x.dec.Service.Name
	}
	if x.dec.Version != nil {
		version = x.dec.Version.Name
	}
	if x.target != nil {
		version = x.target.name
	}
	if x.lastEndpoint != nil {
		endpoint = x.lastEndpoint.Address
	}
	return service, version, endpoint
}

// logRefused writes a request that could not be read.
func (a *accessLog) logRefused(p *peer, status int, err error) {
	if !a.wants(true) {
		return
	}
	a.write(a.layout.Append(nil, &accesslog.Entry{
		At: time.Now(), Listener: p.listener.Name, Client: p.addr.Addr(), TLS: p.tlsText(), Status: status, Failure: err,
	}))
}
