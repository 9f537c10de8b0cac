package trial

import (
	"sync"
	"sync/atomic"
)

// units remembers what the cohort's units, sessions or clients, have behind them.
// A lookup takes no lock; whoever marks a unit does. Memory grows in grow alone.
type units struct {
	n      atomic.Int64
	shards [unitShards]unitShard
}

const (
	unitShards = 64
	// A shard's table begins at leastUnits places and ends at mostUnits: in all, a
	// million units within 8 MB.
	leastUnits = 128
	mostUnits  = 1 << 14
)

// unitShard is an open-addressed table. A place holds a unit's hash, its lowest
// bits replaced by flags; 0: nobody.
type unitShard struct {
	mu    sync.Mutex // of those who change it
	used  int
	table atomic.Pointer[[]atomic.Uint64]
	_     [40]byte
}

// flags are what a unit has behind it.
type flags uint8

const (
	// seen says that a unit's first request has come: of those that no pin tells.
	seen     flags = 1 << metrics
	flagBits       = metrics + 1
	allFlags       = 1<<flagBits - 1
)

// flagOf is set when a unit has left the risk set of a metric.
func flagOf(m Metric) flags { return 1 << m }

func (u *units) init() {
	for i := range u.shards {
		table := make([]atomic.Uint64, leastUnits)
		u.shards[i].table.Store(&table)
	}
}

// locate returns the shard of a unit and its hash in there, which is not 0.
func (u *units) locate(unit uint64) (*unitShard, uint64) {
	h := mix(unit)
	return &u.shards[h>>(64-6)], max(h&^allFlags, allFlags+1)
}

// get returns what a unit has behind it.
func (u *units) get(unit uint64) flags {
	if u.n.Load() == 0 || unit == 0 {
		return 0
	}
	s, h := u.locate(unit)
	table := *s.table.Load()
	if _, entry := find(table, h); entry != 0 {
		return flags(entry & allFlags)
	}
	return 0
}

// find returns the place of a hash and what is there; 0: it is free. At least a
// quarter of a table is free.
func find(table []atomic.Uint64, h uint64) (place int, entry uint64) {
	for i := h >> flagBits; ; i++ {
		place = int(i) & (len(table) - 1)
		entry = table[place].Load()
		if entry == 0 || entry&^allFlags == h {
			return place, entry
		}
	}
}

// mark adds to what a unit has behind it, and returns what was there before. It
// reports false, with nothing done, where there is no room.
func (u *units) mark(unit uint64, f flags) (was flags, ok bool) {
	s, h := u.locate(unit)
	s.mu.Lock()
	defer s.mu.Unlock()
	table := *s.table.Load()
	place, entry := find(table, h)
	if entry == 0 {
		if s.used >= len(table)/4*3 {
			return 0, false
		}
		s.used++
		u.n.Add(1)
	}
	was = flags(entry & allFlags)
	table[place].Store(h | uint64(was|f))
	return was, true
}

// grow doubles the tables that are half full, so that marks find room.
func (u *units) grow() {
	for i := range u.shards {
		s := &u.shards[i]
		s.mu.Lock()
		size, used := len(*s.table.Load()), s.used
		s.mu.Unlock()
		if used > size/2 && size < mostUnits {
			s.replace(make([]atomic.Uint64, 2*size))
		}
	}
}

// replace moves a shard to an empty table. A lookup that still reads the one
// before knows what was known a moment ago.
func (s *unitShard) replace(table []atomic.Uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.table.Load()
	for i := range old {
		if entry := old[i].Load(); entry != 0 {
			place, _ := find(table, entry&^allFlags)
			table[place].Store(entry)
		}
	}
	s.table.Store(&table)
}

// mix is the finalizer of SplitMix64 (Steele et al. 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
