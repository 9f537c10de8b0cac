package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/stats"
)

// shadowed is a request that was chosen to be copied. It keeps the customer's
// answer, then the request, then the answers to the copies, until they are told.
// It is pooled.
type shadowed struct {
	srv      *Server
	shadow   *Shadow
	service  string
	from, to *Target // whose answer the customer gets; that is sent the copy
	shard    uint32
	maxBody  int64
	lent     atomic.Int64 // bytes taken of those that copies may hold
	givenUp  bool         // it is to be dropped once the exchange is over
	why      stats.Shadow // that is

	request   shadowRequest
	baseline  shadowAnswer
	candidate shadowCopy
	again     shadowCopy
	second    sync.WaitGroup // the second copy
	pair      ShadowPair
}

var shadowedPool = sync.Pool{New: func() any { return new(shadowed) }}

// acquireShadowed takes one from the pool for the request of an exchange.
func acquireShadowed(x *exchange, to *Target) *shadowed {
	sh := shadowedPool.Get().(*shadowed)
	sh.srv, sh.shadow, sh.service = x.srv, x.target.Shadow, x.dec.Service.Name
	sh.from, sh.to, sh.shard = x.target, to, x.peer.shard
	if sh.maxBody = sh.shadow.MaxBody; sh.maxBody == 0 {
		sh.maxBody = DefaultShadowBody
	}
	sh.baseline.Version, sh.candidate.answer.Version, sh.again.answer.Version = sh.from.name, to.name, sh.from.name
	return sh
}

// memory is how much one from the pool holds to begin with.
func (sh *shadowed) memory() int {
	return cap(sh.request.text) + cap(sh.request.body) + sh.baseline.memory() + sh.candidate.memory() + sh.again.memory()
}

// take takes memory of that which copies may hold.
func (sh *shadowed) take(n int64) bool {
	if !sh.srv.shadows.bytes.take(&sh.to.shadows.bytes, n) {
		return false
	}
	sh.lent.Add(n)
	return true
}

// giveBack gives some of it back.
func (sh *shadowed) giveBack(n int64) {
	sh.lent.Add(-n)
	sh.srv.shadows.bytes.giveBack(&sh.to.shadows.bytes, n)
}

// grown returns b with room for n bytes more, and false if there is no memory for
// that. Most, unless it is 0, is how long b can become.
func (sh *shadowed) grown(b []byte, n, most int) ([]byte, bool) {
	need := len(b) + n
	if need <= cap(b) {
		return b, true
	}
	size := max(need, min(2*cap(b), most))
	if !sh.take(int64(size - cap(b))) {
		return b, false
	}
	return append(make([]byte, 0, size), b...), true
}

// drop counts why the request is not copied, and gives all back.
func (sh *shadowed) drop(why stats.Shadow) {
	sh.to.Stats.Shadow(sh.shard, why)
	sh.release()
}

// release empties it and gives it back.
func (sh *shadowed) release() {
	sh.srv.shadows.bytes.giveBack(&sh.to.shadows.bytes, sh.lent.Swap(0))
	sh.srv, sh.shadow, sh.from, sh.to, sh.service, sh.pair = nil, nil, nil, nil, "", ShadowPair{}
	sh.givenUp, sh.why = false, 0
	sh.request = shadowRequest{text: keepable(sh.request.text), body: keepable(sh.request.body)}
	sh.baseline.reset()
	sh.candidate.reset()
	sh.again.reset()
	shadowedPool.Put(sh)
}

// abandon gives back what a request holds whose exchange met a fault of this
// program; who else knows it may go on. Nil holds nothing.
func (sh *shadowed) abandon() {
	if sh != nil {
		sh.to.Stats.Shadow(sh.shard, stats.ShadowBaseline)
		sh.srv.shadows.bytes.giveBack(&sh.to.shadows.bytes, sh.lent.Swap(0))
	}
}

// run sends the copies and tells of the answers, in a goroutine of its own.
func (sh *shadowed) run() {
	all, to, until := &sh.srv.shadows, sh.to, time.Now().Add(sh.timeout())
	if sh.shadow.Again {
		sh.second.Go(func() { sh.again.send(sh, sh.from, until) })
	}
	sh.candidate.send(sh, to, until)
	sh.second.Wait()
	sh.tell()
	sh.release()
	all.copies.giveBack(&to.shadows.copies, 1)
}

// timeout is how long the copies may take.
func (sh *shadowed) timeout() time.Duration {
	if sh.shadow.Timeout > 0 {
		return sh.shadow.Timeout
	}
	return DefaultShadowTimeout
}

// tell hands the answers on, if the candidate was asked.
func (sh *shadowed) tell() {
	defer sh.survive(nil)
	if sh.shadow.Tell == nil || !sh.candidate.asked() || sh.srv.shadows.stopped() {
		return
	}
	r := &sh.request
	sh.pair = ShadowPair{
		Service: sh.service, Method: r.method, Path: r.path,
		Baseline: sh.baseline.ShadowAnswer, Candidate: sh.candidate.answer.ShadowAnswer,
	}
	if sh.shadow.Again && sh.again.asked() {
		sh.pair.Again = &sh.again.answer.ShadowAnswer
	}
	sh.shadow.Tell(&sh.pair)
}

// survive keeps a fault of this program, met by a copy, from ending anything else.
func (sh *shadowed) survive(c *shadowCopy) {
	fault := recover()
	if fault == nil {
		return
	}
	sh.srv.log.Error("a copy of a request hit a fault of the proxy", zap.Any("fault", fault), zap.Stack("stack"))
	if c != nil {
		c.fate = c.failed("the proxy has a fault")
		c.letGo(sh)
	}
}
