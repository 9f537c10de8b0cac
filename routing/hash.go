package routing

import (
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// The hashes here are the same in every process: keyed splits and session ids
// must agree between instances and survive restarts.

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of x
// changes every bit of the result with a probability of about one half.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return x
}

// saltedHash hashes a key under a salt, itself a hash.
func saltedHash(salt uint64, key string) uint64 {
	return mix(xxhash.Sum64String(key) + salt)
}

// clientHash hashes what tells one browser from another without a cookie.
func clientHash(salt uint64, client netip.Addr, userAgent string) uint64 {
	ip := client.As16()
	return mix(mix(xxhash.Sum64(ip[:])+salt) + xxhash.Sum64String(userAgent))
}

// nonZero maps 0 to 1, since a session id of 0 means none.
func nonZero(id uint64) uint64 {
	if id == 0 {
		return 1
	}
	return id
}
