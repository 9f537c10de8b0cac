package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"sluice/proxy/upstream"
	"sluice/stats"
)

// shadows are the copies under way, and what bounds them. Each request that is
// copied has a goroutine: where all are taken, the next is dropped and not queued,
// for a queue would only hold memory until its copies came late.
type shadows struct {
	copies, bytes allowance

	mu     sync.Mutex
	asking map[*shadowCopy]struct{} // those that hold a connection
	over   bool                     // no more begin
	tasks  sync.WaitGroup
}

// shadowUse is what the copies to a version use. It outlives tables.
type shadowUse struct{ copies, bytes atomic.Int64 }

// allowance is a number that all versions share and one may use half of.
type allowance struct {
	most int64
	used atomic.Int64
}

// take takes n for a version, whose use is own, if there is so much.
func (a *allowance) take(own *atomic.Int64, n int64) bool {
	if all, mine := a.used.Add(n), own.Add(n); all <= a.most && mine <= a.half() {
		return true
	}
	a.giveBack(own, n)
	return false
}

// giveBack gives n back.
func (a *allowance) giveBack(own *atomic.Int64, n int64) {
	own.Add(-n)
	a.used.Add(-n)
}

// half is what one version may have; of 1 it is all.
func (a *allowance) half() int64 { return (a.most + 1) / 2 }

// init sets the limits.
func (s *shadows) init(limits ShadowLimits) {
	if s.copies.most = int64(limits.Copies); limits.Copies == 0 {
		s.copies.most = DefaultShadowCopies
	}
	if s.bytes.most = limits.Bytes; limits.Bytes == 0 {
		s.bytes.most = DefaultShadowBytes
	}
	s.asking = map[*shadowCopy]struct{}{}
}

// hasRoom reports whether a copy to the version could be sent now.
func (s *shadows) hasRoom(to *Target) bool {
	return s.copies.used.Load() < s.copies.most && to.shadows.copies.Load() < s.copies.half()
}

// start sends the copies of a request if they may be sent now, and does not wait.
func (s *shadows) start(sh *shadowed) {
	if !s.copies.take(&sh.to.shadows.copies, 1) {
		sh.drop(stats.ShadowBusy)
		return
	}
	s.mu.Lock()
	over := s.over
	if !over {
		s.tasks.Go(sh.run)
	}
	s.mu.Unlock()
	if over {
		to := sh.to
		sh.drop(stats.ShadowStopped)
		s.copies.giveBack(&to.shadows.copies, 1)
	}
}

// begin takes in that a copy has a connection; it reports false if the server
// stops.
func (s *shadows) begin(c *shadowCopy, up *upstream.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	c.up = up
	s.asking[c] = struct{}{}
	return true
}

// end takes the connection of a copy back; nil: it has none.
func (s *shadows) end(c *shadowCopy) *upstream.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.asking, c)
	up := c.up
	c.up = nil
	return up
}

// stop ends all copies: nobody waits for them.
func (s *shadows) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for c := range s.asking {
		c.up.Abort()
	}
}

// stopped reports whether stop was called.
func (s *shadows) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// shadowGrace bounds the wait for copies that were stopped. One that is being
// connected takes as long as that may; it is told to nobody any more.
const shadowGrace = time.Second

// await waits until copies that were stopped have ended.
func (s *shadows) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shadowGrace)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}
