package proxy

import (
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

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
	Sample float64     // share of the requests that AccessSampled logs, from 0 to 1
	Log    *zap.Logger // nil: the server's
}

// accessLog decides which requests are logged and logs them.
type accessLog struct {
	mode      AccessMode
	threshold uint64 // a draw below it is logged
	out       *zap.Logger
}

func newAccessLog(c AccessLog, fallback *zap.Logger) accessLog {
	a := accessLog{mode: c.Mode, out: c.Log}
	if a.out == nil {
		a.out = fallback
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
	service, version, endpoint := "", "", ""
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
	fields := []zap.Field{
		zap.String("method", x.req.Method),
		zap.String("host", x.req.Host),
		zap.String("path", x.req.Path), // not the query: it may hold secrets
		zap.String("proto", x.req.Proto.String()),
		zap.Int("status", x.outcome.Status),
		zap.Duration("took", time.Duration(x.outcome.Nanos)+x.instead.apart),
		zap.Stringer("client", x.in.Client),
		zap.String("service", service),
		zap.String("version", version),
		zap.String("reason", x.reasonText()),
		zap.String("endpoint", endpoint),
		zap.Uint8("retries", x.outcome.Retries),
		zap.Int64("bytes_in", x.bytesIn),
		zap.Int64("bytes_out", x.bytesOut),
	}
	if x.cutOff() {
		fields = append(fields, zap.Bool("cut_off", true))
	}
	switch x.instead.reason {
	case routing.Shield:
		fields = append(fields, zap.String("shielded_from", x.dec.Version.Name), zap.Int("shielded_status", x.instead.status))
	case routing.AssetFallback:
		fields = append(fields, zap.String("fallback_from", x.dec.Version.Name))
	}
	if x.failure.err != nil {
		fields = append(fields, zap.NamedError("failure", x.failure.err))
	}
	a.out.Info("request", fields...)
}

// logRefused writes a request that could not be read.
func (a *accessLog) logRefused(p *peer, status int, err error) {
	if !a.wants(true) {
		return
	}
	a.out.Info("request refused", zap.Int("status", status), zap.Stringer("client", p.addr.Addr()), zap.Error(err))
}
