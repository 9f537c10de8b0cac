package state

import (
	"maps"
	"slices"
)

// weightsAt returns weights that give the candidate a share, as Stage.Share, and
// leave the others their proportions of before. The share is exact as long as
// weights up to MaxWeight can write it.
func weightsAt(before map[string]int, candidate string, share int) map[string]int {
	others := weighted(before)
	delete(others, candidate)
	total := sum(others)
	if share >= wholeShare || total == 0 {
		return map[string]int{candidate: 100}
	}
	exact := map[string]int64{candidate: int64(share) * total}
	for name, w := range others {
		exact[name] = int64(wholeShare-share) * int64(w)
	}
	return readable(exact)
}

// readable brings weights to a sum of 100, else 10,000, where that loses nothing,
// and else as near to it as integers allow within MaxWeight.
func readable(exact map[string]int64) map[string]int {
	var divisor, total, most int64
	for _, w := range exact {
		divisor, total, most = gcd(divisor, w), total+w, max(most, w)
	}
	scale := func(w int64) int64 { return max(1, (w*MaxWeight+most/2)/most) }
	switch sum := total / divisor; {
	case 100%sum == 0:
		scale = func(w int64) int64 { return w / divisor * (100 / sum) }
	case wholeShare%sum == 0:
		scale = func(w int64) int64 { return w / divisor * (wholeShare / sum) }
	case most/divisor <= MaxWeight:
		scale = func(w int64) int64 { return w / divisor }
	}
	weights := make(map[string]int, len(exact))
	for name, w := range exact {
		weights[name] = int(scale(w))
	}
	return weights
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// baseline is the version against which a candidate is held: the live one with
// the most weight, the first by name among equals; "": none.
func (s *Service) baseline(candidate string) string {
	best := ""
	for _, name := range slices.Sorted(maps.Keys(s.Versions)) {
		if w := s.Versions[name].Weight; name != candidate && w > 0 && (best == "" || w > s.Versions[best].Weight) {
			best = name
		}
	}
	return best
}
