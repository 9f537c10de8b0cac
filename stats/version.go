package stats

import "sync/atomic"

// Version counts for one version of a service. All methods are safe for
// concurrent use and allocate only the first time that a shard, or a slice of
// the session window, is used. The shard argument is any number, stable for a
// connection; its low bits choose the counters.
type Version struct {
	registry      *Registry
	service, name string
	exposed       bool // has Prometheus series of its own
	// traffic is nil until something is counted, so that idle versions are
	// small.
	traffic   atomic.Pointer[traffic]
	synthetic atomic.Pointer[synthetic] // nil until a journey was counted
}

// traffic is what a version that is used keeps.
type traffic struct {
	shards   []atomic.Pointer[block] // a power of two
	sessions sessions
}

// Begin counts a request in flight. It is called once the version that will
// answer is known, and each call is followed by one of End with the same
// shard.
func (v *Version) Begin(shard uint32) { v.count(shard, begun, 1) }

// End counts a finished request. It does not keep o.
func (v *Version) End(shard uint32, o *Outcome) {
	r := v.registry
	now := o.Now
	if now == 0 {
		now = r.now()
	}
	t := v.use()
	t.block(shard, len(r.reasonNames)).record(o, int(r.reasonCells[o.Reason]), now)
	if o.Session != 0 {
		t.sessions.add(mix(o.Session^r.seed), r.period(now))
	}
}

// PinMade counts a pin made: a session begun on the version.
func (v *Version) PinMade(shard uint32) { v.count(shard, pinsMade, 1) }

// PinMoved counts a session that was pinned to the version and is split anew,
// away from it.
func (v *Version) PinMoved(shard uint32) { v.count(shard, pinsMoved, 1) }

// PinsVoided counts a pin to the version that was refused, because its epoch
// no longer holds or it cannot be read.
func (v *Version) PinsVoided(shard uint32) { v.count(shard, pinsVoided, 1) }

// FailedOver counts a request that the version should have answered and, for
// want of a healthy endpoint, did not.
func (v *Version) FailedOver(shard uint32) { v.count(shard, failedOver, 1) }

// TunnelOpened counts a connection upgraded to a tunnel, such as a WebSocket.
// A TunnelClosed with the same shard ends it.
func (v *Version) TunnelOpened(shard uint32) { v.count(shard, tunnelsOpened, 1) }

// TunnelClosed counts the end of a tunnel.
func (v *Version) TunnelClosed(shard uint32) { v.count(shard, tunnelsClosed, 1) }

// StreamClosed counts a tunnel, or a response that lasts, that was closed before
// its time: at a flip, or by a limit.
func (v *Version) StreamClosed(shard uint32) { v.count(shard, streamsClosed, 1) }

// Ejected counts n endpoints taken out for failing; n below 1 counts nothing.
func (v *Version) Ejected(n int) {
	if n > 0 {
		v.count(0, ejections, uint64(n))
	}
}

// Overloaded counts a request that was refused because all connections allowed to
// the version were in use.
func (v *Version) Overloaded(shard uint32) { v.count(shard, overloaded, 1) }

// Hedged counts a request that a second endpoint was asked for, since the first
// was slow.
func (v *Version) Hedged(shard uint32) { v.count(shard, hedges, 1) }

// HedgeWon counts one that the second endpoint then answered.
func (v *Version) HedgeWon(shard uint32) { v.count(shard, hedgesWon, 1) }

// LookupFailed counts a lookup of the version's endpoints in the DNS that failed
// or found none.
func (v *Version) LookupFailed() { v.count(0, lookupFailures, 1) }

// Latency adds the version's durations so far, of all finished requests, to h.
func (v *Version) Latency(h *Histogram) {
	s := newSums(len(v.registry.reasonNames))
	v.sum(s, v.registry.now())
	h.Merge(&s.latency)
}

func (v *Version) count(shard uint32, c counter, n uint64) {
	v.use().block(shard, len(v.registry.reasonNames)).counters[c].Add(n)
}

// use returns the version's counters, made at the first call.
func (v *Version) use() *traffic {
	if t := v.traffic.Load(); t != nil {
		return t
	}
	v.traffic.CompareAndSwap(nil, &traffic{shards: make([]atomic.Pointer[block], v.registry.shards)})
	return v.traffic.Load()
}

// block returns the counters of a shard, made at the first call.
func (t *traffic) block(shard uint32, reasons int) *block {
	place := &t.shards[int(shard)&(len(t.shards)-1)]
	if b := place.Load(); b != nil {
		return b
	}
	place.CompareAndSwap(nil, newBlock(reasons))
	return place.Load()
}

// sum adds all shards to s.
func (v *Version) sum(s *sums, now int64) {
	t := v.traffic.Load()
	if t == nil {
		return
	}
	for i := range t.shards {
		if b := t.shards[i].Load(); b != nil {
			s.add(b, now)
		}
	}
}

// live returns how many sessions were seen in the trailing window.
func (v *Version) live(now int64) uint64 {
	t := v.traffic.Load()
	if t == nil {
		return 0
	}
	var u union
	t.sessions.live(&u, v.registry.period(now))
	return u.estimate()
}
