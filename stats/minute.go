package stats

import "sync/atomic"

// minute counts requests of about the last minute, in a ring of periods. It
// needs no timer: who counts first in a new period takes over the oldest slot.
type minute struct {
	// Each slot holds a period's number in the upper half and its count below.
	// A period's count cannot reach 2^32: that would be a billion a second.
	slots [minuteSlots]atomic.Uint64
}

const (
	minuteSlots = 16
	slotNanos   = 4e9
	// minuteSpan is how many periods a reader sums, the current one included:
	// 56 to 60 s. One fewer than slots, so that a writer a moment ahead of the
	// reader takes nothing away.
	minuteSpan = minuteSlots - 1
)

// add counts one request at a moment in unix nanoseconds.
func (m *minute) add(now int64) {
	period := uint64(uint32(now / slotNanos))
	slot := &m.slots[period%minuteSlots]
	for {
		old := slot.Load()
		if old>>32 == period {
			// Another may have taken the slot over since the load; then one
			// request counts in the wrong period, a minute later.
			slot.Add(1)
			return
		}
		if slot.CompareAndSwap(old, period<<32|1) {
			return
		}
	}
}

// sum returns how many requests were counted in the minute before now.
func (m *minute) sum(now int64) uint64 {
	period := uint32(now / slotNanos)
	var n uint64
	for i := range m.slots {
		slot := m.slots[i].Load()
		// In unsigned arithmetic a period ahead of now is far in the past.
		// Ahead by one is a writer whose clock is fresher than the reader's.
		if age := period + 1 - uint32(slot>>32); age <= minuteSpan {
			n += slot & (1<<32 - 1)
		}
	}
	return n
}
