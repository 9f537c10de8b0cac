package state

import (
	"fmt"
	"maps"
	"slices"
)

// share is a version's part of its service's weights, weight/sum. Shares are
// compared by cross-multiplication: weights to MaxWeight and MaxVersions of
// them stay far below 2^63.
type share struct{ weight, sum int64 }

func shareOf(weights map[string]int, version string, sum int64) share {
	return share{int64(weights[version]), sum}
}

// less tells whether a is smaller than b. Where nothing has weight, every
// share is 0.
func (a share) less(b share) bool {
	switch {
	case b.sum == 0:
		return false
	case a.sum == 0:
		return b.weight > 0
	}
	return a.weight*b.sum < b.weight*a.sum
}

func sum(weights map[string]int) int64 {
	var n int64
	for _, w := range weights {
		n += int64(w)
	}
	return n
}

// raises tells whether some version's share is larger after than before. Where
// anything has weight before and after, that is whenever any share differs.
func raises(before, after map[string]int) bool {
	sumBefore, sumAfter := sum(before), sum(after)
	for version := range after {
		if shareOf(before, version, sumBefore).less(shareOf(after, version, sumAfter)) {
			return true
		}
	}
	return false
}

// sameShares tells whether two sets of weights split sessions alike.
func sameShares(a, b map[string]int) bool { return !raises(a, b) && !raises(b, a) }

// weighted returns the weights that are not 0; nil if none is.
func weighted(weights map[string]int) map[string]int {
	var some map[string]int
	for version, w := range weights {
		if w == 0 {
			continue
		}
		if some == nil {
			some = make(map[string]int)
		}
		some[version] = w
	}
	return some
}

// weightsChange returns the weights before and after an edit, of the versions
// that have some on either side: a service may know a thousand dark versions,
// and every flip and event keeps these maps. Either service may be nil.
func weightsChange(prev, next *Service) (before, after map[string]int) {
	before, after = map[string]int{}, map[string]int{}
	note := func(s, other *Service, ours, theirs map[string]int) {
		if s == nil {
			return
		}
		for name, v := range s.Versions {
			if v.Weight == 0 {
				continue
			}
			ours[name] = v.Weight
			if other != nil && other.Versions[name] != nil {
				theirs[name] = other.Versions[name].Weight
			}
		}
	}
	note(prev, next, before, after)
	note(next, prev, after, before)
	return before, after
}

// format writes weights for people: "v1=95 v2=5".
func format(weights map[string]int) string {
	if sum(weights) == 0 {
		return "no weight"
	}
	names := slices.Sorted(maps.Keys(weights))
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s=%d", name, weights[name]))
	}
	return join(parts, " ")
}

// checkWeights refuses weights out of range.
func checkWeights(service string, weights map[string]int) error {
	for _, version := range slices.Sorted(maps.Keys(weights)) {
		if w := weights[version]; w < 0 || w > MaxWeight {
			return &Refusal{
				Reason: ErrInvalid, Service: service, Version: version, Field: "weights." + version,
				Message: fmt.Sprintf("%d is no weight for version %q of service %q", w, version, service),
				Remedy:  fmt.Sprintf("weights go from 0 to %d", MaxWeight),
			}
		}
	}
	return nil
}
