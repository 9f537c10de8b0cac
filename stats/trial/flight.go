package trial

import "sync/atomic"

// flight is the requests of an arm that are under way, so that one that hangs is
// seen before it ends: at most flightSlots, the others when they end.
type flight struct {
	slots [flightSlots]flightSlot
}

const (
	flightSlots  = 4096
	flightProbes = 8
)

// flightSlot is a request under way. word is 0 where there is none, or else, from
// bit 3 on, when the request began, and below what it was found to be meanwhile. A
// beginning of 0 is one that is being written.
type flightSlot struct {
	word atomic.Uint64
	unit atomic.Uint64
}

const (
	foundBits = metrics
	foundMask = 1<<foundBits - 1
	reserved  = 1 // being written
)

// claim notes a request; since is ns since the trial's birth. It returns its slot
// and one, 0 where none is free: of a connection's requests the first takes the
// same slot each time, which is in the core's cache.
func (f *flight) claim(connection uint32, unit uint64, since int64) uint32 {
	h := mix(uint64(connection))
	for probe := range uint64(flightProbes) {
		at := h % flightSlots
		slot := &f.slots[at]
		if slot.word.Load() == 0 && slot.word.CompareAndSwap(0, reserved) {
			slot.unit.Store(unit)
			slot.word.Store(uint64(max(since, 0)+1) << foundBits)
			return uint32(at) + 1
		}
		h = mix(h ^ unit + probe)
	}
	return 0
}

// release ends a request and returns what it was found to be meanwhile.
func (f *flight) release(slot uint32) flags {
	return flags(f.slots[slot-1].word.Swap(0) & foundMask)
}

// hanging calls found for each request that has been under way for longer than
// one of the limits, in ns by metric (0: none), once for each metric. now is as
// since.
func (f *flight) hanging(now int64, limits [metrics]int64, found func(m Metric, unit uint64, since int64)) {
	for i := range f.slots {
		slot := &f.slots[i]
		for {
			word := slot.word.Load()
			since := int64(word>>foundBits) - 1
			if since < 0 {
				break
			}
			over := beyond(now-since, limits) &^ flags(word&foundMask)
			if over == 0 {
				break
			}
			unit := slot.unit.Load()
			// The swap proves that the slot is still this request's.
			if !slot.word.CompareAndSwap(word, word|uint64(over)) {
				continue
			}
			for m := range metrics {
				if over&flagOf(Metric(m)) != 0 {
					found(Metric(m), unit, since)
				}
			}
			break
		}
	}
}

// beyond returns the metrics whose limit is passed.
func beyond(nanos int64, limits [metrics]int64) (over flags) {
	for m, limit := range limits {
		if limit > 0 && nanos >= limit {
			over |= flagOf(Metric(m))
		}
	}
	return over
}
