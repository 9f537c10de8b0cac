package limit

import (
	"net/netip"
	"sync"
)

// holderShards spreads clients so that accepting on many cores at once does not
// serialise.
const holderShards = 16

// Holders counts what each client holds, such as connections. It is exact, and
// its memory is bounded by what is held. The zero value is empty; it is safe for
// concurrent use.
type Holders struct{ shards [holderShards]holders }

type holders struct {
	mu   sync.Mutex
	held map[netip.Addr]int // by Owner
}

// Take counts one more for a client unless it holds most already; 0 or less
// means no limit. Clients are told apart by Owner. Each Take that is true asks
// for a Give.
func (h *Holders) Take(client netip.Addr, most int) bool {
	owner := Owner(client)
	s := h.shard(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	if most > 0 && s.held[owner] >= most {
		return false
	}
	if s.held == nil {
		s.held = map[netip.Addr]int{}
	}
	s.held[owner]++
	return true
}

// Give counts one less for a client.
func (h *Holders) Give(client netip.Addr) {
	owner := Owner(client)
	s := h.shard(owner)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[owner]--; s.held[owner] <= 0 {
		delete(s.held, owner)
	}
}

// shard returns where a client is counted.
func (h *Holders) shard(owner netip.Addr) *holders {
	b := owner.As16()
	return &h.shards[(b[3]^b[5]^b[7]^b[14]^b[15])%holderShards]
}
