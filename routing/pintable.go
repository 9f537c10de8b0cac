package routing

import (
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// PinKey is the hash of an application's session key, by which a PinTable
// remembers its pin. It is seeded per table, so that no client can craft keys
// that meet, and means nothing outside the process.
type PinKey struct{ hi, lo uint64 }

// PinTable remembers the pins of the application's own session keys: at most
// as many as its capacity, the least recently used making way. It is safe for
// concurrent use, and its shards keep cores out of each other's way.
type PinTable struct {
	seeds  [2]maphash.Seed
	shards []pinShard // a power of two
}

type pinShard struct {
	mu   sync.Mutex
	pins *simplelru.LRU[PinKey, storedPin]
	_    [48]byte // keeps two shards' locks off one cache line
}

// storedPin is what a pin cookie holds, and when it ends.
type storedPin struct {
	version string
	epoch   uint64
	session uint64
	expires int64 // Unix time in ns
}

// DefaultPinCapacity is the capacity of a PinTable in keys. A full table takes
// some 200 MB.
const DefaultPinCapacity = 1_000_000

const (
	maxPinShards = 64
	minShardPins = 64 // a smaller shard would evict long before its table is full
)

// NewPinTable returns an empty table for capacity keys; below 1:
// DefaultPinCapacity. Memory is taken as keys come.
func NewPinTable(capacity int) *PinTable {
	if capacity < 1 {
		capacity = DefaultPinCapacity
	}
	shards := 1
	for shards < maxPinShards && capacity/(shards*2) >= minShardPins {
		shards *= 2
	}
	t := &PinTable{
		seeds:  [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		shards: make([]pinShard, shards),
	}
	for i := range t.shards {
		// NewLRU fails for sizes below 1 alone.
		t.shards[i].pins, _ = simplelru.NewLRU[PinKey, storedPin](capacity/shards, nil)
	}
	return t
}

// Len returns how many keys the table remembers now.
func (t *PinTable) Len() int {
	n := 0
	for i := range t.shards {
		shard := &t.shards[i]
		shard.mu.Lock()
		n += shard.pins.Len()
		shard.mu.Unlock()
	}
	return n
}

// key hashes an application's key for a service, given by the hash of its
// name, so that services may share a table.
func (t *PinTable) key(service uint64, key string) PinKey {
	return PinKey{
		hi: maphash.String(t.seeds[0], key) ^ service,
		lo: maphash.String(t.seeds[1], key) ^ mix(service),
	}
}

// get returns the pin of a key, if there is one that has not ended.
func (t *PinTable) get(key PinKey, now int64) (storedPin, bool) {
	shard := t.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	pin, ok := shard.pins.Get(key)
	if ok && now >= pin.expires {
		shard.pins.Remove(key)
		return storedPin{}, false
	}
	return pin, ok
}

// put remembers the pin of a key.
func (t *PinTable) put(key PinKey, pin storedPin) {
	shard := t.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.pins.Add(key, pin)
}

func (t *PinTable) shard(key PinKey) *pinShard {
	return &t.shards[key.hi&uint64(len(t.shards)-1)]
}

// Remember stores the pin that the decision made for an application's key;
// now is Unix time in ns. Other decisions leave nothing to remember.
func (d *Decision) Remember(now int64) {
	if d.Pin != PinMake || d.Service.Pin.By == PinCookie || d.Service.pins == nil {
		return
	}
	d.Service.pins.put(d.Key, storedPin{
		version: d.Version.Name,
		epoch:   d.Epoch,
		session: d.Session,
		expires: now + int64(d.Service.Pin.TTL),
	})
}
