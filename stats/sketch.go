package stats

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// sketch estimates how many distinct 64-bit hashes it has seen: HyperLogLog
// (Flajolet et al. 2007) with 2^11 registers, a standard error of 2.3%. It
// is safe for concurrent use.
type sketch struct {
	words [registers / perWord]atomic.Uint64 // 8 registers of a byte each
}

const (
	registerBits = 11
	registers    = 1 << registerBits
	perWord      = 8
	rankBits     = 64 - registerBits // the hash bits left to rank
)

// add takes in a hash. One that was seen before costs a load.
func (s *sketch) add(hash uint64) {
	register := hash >> rankBits
	// The bit set below the ranked ones bounds the rank at rankBits+1.
	rank := uint64(bits.LeadingZeros64(hash<<registerBits|1<<(registerBits-1))) + 1
	word, shift := &s.words[register/perWord], register%perWord*8
	for {
		old := word.Load()
		if old>>shift&0xff >= rank {
			return
		}
		if word.CompareAndSwap(old, old&^(0xff<<shift)|rank<<shift) {
			return
		}
	}
}

// union is the register-wise maximum of several sketches.
type union [registers]uint8

// merge takes in a sketch.
func (u *union) merge(s *sketch) {
	for i := range s.words {
		word := s.words[i].Load()
		if word == 0 {
			continue
		}
		for j := range perWord {
			r := &u[i*perWord+j]
			*r = max(*r, uint8(word>>(8*j)))
		}
	}
}

// estimate returns the number of distinct hashes by Ertl's improved raw
// estimator, unbiased from 0 up without tables or a switch of methods (Ertl
// 2017, "New cardinality estimation algorithms for HyperLogLog sketches",
// algorithm 6).
func (u *union) estimate() uint64 {
	var counts [rankBits + 2]float64
	for _, rank := range u {
		counts[rank]++
	}
	const m = float64(registers)
	z := m * tau(1-counts[rankBits+1]/m)
	for k := rankBits; k >= 1; k-- {
		z = 0.5 * (z + counts[k])
	}
	z += m * sigma(counts[0]/m)
	return uint64(math.Round(m * m / (2 * math.Ln2 * z)))
}

// sigma corrects for registers still empty; x is their share. All empty gives
// infinity, and so an estimate of 0.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	sum, y := x, 1.0
	for {
		x *= x
		before := sum
		sum += x * y
		y += y
		if sum == before {
			return sum
		}
	}
}

// tau corrects for registers that are full; x is the share of those that are
// not.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}
