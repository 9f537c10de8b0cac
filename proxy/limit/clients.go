package limit

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// MaxClients is how many clients a Clients remembers at once, about; the memory
// for them is 2 MiB, taken as they come.
const MaxClients = sets * ways

const (
	sets = 1 << 14
	ways = 7 // with the lock, a set fills two cache lines
)

// Clients holds each client to a rate of its own. Memory is bounded: the table
// is a cache of sets, and in a full set a new client takes the place of the one
// that has the least to wait, whose debt is forgiven. A client that rests is
// worth no place: its bucket is full, as a new one's. It is safe for concurrent
// use and allocates nothing.
type Clients struct {
	pace pace
	seed maphash.Seed // so that nobody can aim at a set
	sets []set
}

// set is the few clients whose addresses hash to one place.
type set struct {
	mu    sync.Mutex
	key   [ways]uint64 // hash of the client; 0: nobody
	clock [ways]int64
}

// NewClients returns a table for a rate, nil if it is the zero rate.
func NewClients(r Rate) *Clients {
	if r.PerSecond <= 0 {
		return nil
	}
	return &Clients{pace: r.pace(), seed: maphash.MakeSeed(), sets: make([]set, sets)}
}

// Take reports how long an event of a client at now, in nanoseconds, has to
// wait; 0: it may happen, and was counted. Clients are told apart by Owner. A
// nil table lets everything pass, and so does an invalid address.
func (c *Clients) Take(client netip.Addr, now int64) time.Duration {
	if c == nil || !client.IsValid() {
		return 0
	}
	key := c.hash(client)
	s := &c.sets[key%sets]
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.place(key)
	after, wait := c.pace.next(s.clock[i], now)
	s.clock[i] = after
	return time.Duration(wait)
}

// hash identifies a client. That two in reach of each other share all 64 bits
// is not to be expected.
func (c *Clients) hash(client netip.Addr) uint64 {
	b := Owner(client).As16()
	return max(maphash.Bytes(c.seed, b[:]), 1)
}

// place returns where a client's bucket is, an empty one if it is new.
func (s *set) place(key uint64) int {
	least := 0
	for i := range s.key {
		if s.key[i] == key {
			return i
		}
		if s.clock[i] < s.clock[least] {
			least = i
		}
	}
	s.key[least], s.clock[least] = key, 0
	return least
}

// ownBits is how much of an IPv6 address names its owner: a host has a whole
// /64 to choose addresses from (RFC 4291, section 2.5.4), and would be a new
// client with each.
const ownBits = 64

// Owner returns what stands for all addresses of a client: an IPv4 address
// itself, of an IPv6 address its /64.
func Owner(a netip.Addr) netip.Addr {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, _ := a.Prefix(ownBits) // fails for IPv4 alone
		return p.Addr()
	}
	return a
}
