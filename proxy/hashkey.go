package proxy

import (
	"github.com/cespare/xxhash/v2"

	"sluice/proxy/head"
	"sluice/routing"
)

// HashBy is the key of a request by which a cluster that balances by hash
// chooses its endpoint. The zero value is none.
type HashBy struct {
	Kind HashKind
	Name string // of the header field, in lower case, or of the cookie
}

// HashKind is where such a key stands.
type HashKind uint8

// The kinds.
const (
	HashNone   HashKind = iota
	HashClient          // the client's address
	HashHeader
	HashCookie
	HashPath // without the query
)

// hashKey returns the hash of the request's key, and whether it has one.
func (x *exchange) hashKey() (hash uint64, has bool) {
	by := &x.target.Settings.HashBy
	var key string
	switch by.Kind {
	case HashNone:
		return 0, false
	case HashClient:
		if !x.in.Client.IsValid() {
			return 0, false // over a Unix socket
		}
		address := x.in.Client.As16()
		return xxhash.Sum64(address[:]), true
	case HashHeader:
		key, has = x.req.Get(by.Name)
	case HashCookie:
		field, _ := x.req.Lookup(head.Cookie)
		key, has = routing.Cookie(field, by.Name)
	case HashPath:
		key, has = x.req.Path, true
	}
	return xxhash.Sum64String(key), has
}
