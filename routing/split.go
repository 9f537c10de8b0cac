package routing

import (
	"math"
	"math/bits"
)

// split is a set of versions with weights. Both ways of choosing give each
// version its weight's part of the whole.
type split struct {
	choices []choice // weights above 0, by version name
	total   uint64   // of all weights
}

// choice is one version of a split.
type choice struct {
	version *Version
	weight  uint64
	end     uint64 // of its half-open interval [end-weight, end) within [0, total)
}

// add appends a version; a weight of 0 adds nothing.
func (s *split) add(v *Version, weight int) {
	if weight <= 0 {
		return
	}
	s.total += uint64(weight)
	s.choices = append(s.choices, choice{v, uint64(weight), s.total})
}

// weightOf returns the weight of a version, 0 if it is not in the split.
func (s *split) weightOf(v *Version) uint64 {
	for i := range s.choices {
		if s.choices[i].version == v {
			return s.choices[i].weight
		}
	}
	return 0
}

// at returns the version whose interval a uniform draw falls into, or nil if
// the split is empty. The high half of draw × total is uniform in [0, total)
// up to a bias of total/2^64: below 2^-40 for ten versions of MaxWeight.
func (s *split) at(draw uint64) *Version {
	point, _ := bits.Mul64(draw, s.total)
	for i := range s.choices {
		if point < s.choices[i].end {
			return s.choices[i].version
		}
	}
	return nil
}

// rendezvous returns the version that a hashed key belongs to among those that
// are not dark at the moment now (dark: among all), or nil if there is none.
//
// It is the weighted rendezvous hash (Schindelhauer, Schomaker 2005): each
// version waits for the key for a time that is exponentially distributed with
// its weight as the rate, -ln(u)/w, and the shortest wait wins. A greater
// weight shortens that version's waits alone, so it only draws keys towards it.
func (s *split) rendezvous(key uint64, now int64, dark bool) *Version {
	var best *Version
	least := math.Inf(1)
	for i := range s.choices {
		c := &s.choices[i]
		if !dark && c.version.Mode(now) == Dark {
			continue
		}
		if wait := -math.Log(unit(mix(key^c.version.hash))) / float64(c.weight); wait < least {
			best, least = c.version, wait
		}
	}
	return best
}

// unit maps a hash into the open interval (0, 1).
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }
