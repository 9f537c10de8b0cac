package proxy

import (
	"math/rand/v2"
	"slices"
	"time"

	"sluice/stats"
)

// How a request is chosen to be copied, and what its exchange keeps for the
// copies while it serves the customer. Whatever goes wrong here, the customer's
// request goes on as if nothing had been kept.

// isCopy reports whether the request is a copy that another Sluice has made: who
// is not trusted can't say so.
func (x *exchange) isCopy() bool {
	if !x.peer.trusted {
		return false
	}
	_, is := x.req.Get("sluice-shadow")
	return is
}

// chooseShadow begins to keep what copies need, if the request is to be copied.
func (x *exchange) chooseShadow() {
	s := x.target.Shadow
	if !s.takes(x) || s.To < 0 || s.To >= len(x.table.Targets) {
		return
	}
	to := x.table.Targets[s.To]
	if to == nil || to == x.target {
		return
	}
	sh := acquireShadowed(x, to)
	switch all := &x.srv.shadows; {
	case x.srv.overload.limit.Refusing():
		sh.drop(stats.ShadowOverload)
	case !all.hasRoom(to):
		sh.drop(stats.ShadowBusy)
	case !sh.take(int64(sh.memory())):
		sh.drop(stats.ShadowMemory)
	case x.req.Length > sh.maxBody:
		sh.drop(stats.ShadowRequest)
	default:
		x.shadowed = sh
		x.times.taken = true
	}
}

// takes reports whether the request is one of those to copy. It draws anew: by
// the draw of the split, only some of the sessions would ever be chosen.
func (s *Shadow) takes(x *exchange) bool {
	methods := s.Methods
	if methods == nil {
		methods = DefaultShadowMethods
	}
	const whole = 1 << 53 // what a float64 holds exactly
	switch {
	case !(float64(rand.Uint64N(whole)) < s.Share*whole):
		return false
	case !slices.Contains(methods, x.req.Method), x.upgrading(), x.grpc, x.isCopy():
		return false
	}
	return s.Match == nil || s.Match.Matches(&x.in)
}

// shadowHead keeps the head of the customer's answer, if it is one to compare:
// the version's own, and one that ends.
func (x *exchange) shadowHead() {
	sh := x.shadowed
	switch {
	case x.target != sh.from, x.instead.nowhere, isEventStream(&x.res):
		x.dropShadow(stats.ShadowBaseline)
	case !sh.baseline.keepHead(sh, &x.res):
		x.dropShadow(stats.ShadowMemory)
	}
}

// shadowBody keeps some of the body of the customer's answer. One that takes
// longer than a copy may is not waited for.
func (x *exchange) shadowBody(data []byte) {
	switch sh := x.shadowed; {
	case sh.givenUp:
	case time.Since(x.start) > sh.timeout():
		x.dropShadow(stats.ShadowBaseline)
	case !sh.baseline.keepBody(sh, data):
		x.dropShadow(stats.ShadowMemory)
	}
}

// shadowsBody reports whether the answer's body is kept, and can't be spliced.
func (x *exchange) shadowsBody() bool {
	sh := x.shadowed
	return sh != nil && !sh.givenUp && !sh.baseline.Cut
}

// dropShadow gives up what was kept, at once or, where a pump may still be at it,
// when the exchange is over: an answer may last for hours.
func (x *exchange) dropShadow(why stats.Shadow) {
	sh := x.shadowed
	if x.pump.running() {
		sh.givenUp, sh.why = true, why
		return
	}
	x.shadowed = nil
	sh.drop(why)
}

// shadowRequestBody keeps some of the request's body, for there is no other chance
// to: the goroutine that reads it calls this, be it the pump's.
func (x *exchange) shadowRequestBody(data []byte, err error) {
	if sh := x.shadowed; sh != nil {
		sh.request.keepBody(sh, data, err)
	}
}

// shadowsRequestBody reports whether the request's body is kept, and can't be
// spliced.
func (x *exchange) shadowsRequestBody() bool {
	return x.shadowed != nil && x.shadowed.request.lost == 0
}

// sendShadow has the copies sent, the customer's exchange being over.
func (x *exchange) sendShadow() {
	sh := x.shadowed
	why := sh.why
	switch {
	case sh.givenUp:
	case !sh.baseline.kept || x.cutOff():
		why = stats.ShadowBaseline
	default:
		why = x.keepRequest(sh)
	}
	x.shadowed = nil
	if why != 0 {
		sh.drop(why)
		return
	}
	sh.baseline.Took = x.times.head - x.times.begun
	x.srv.shadows.start(sh)
}
