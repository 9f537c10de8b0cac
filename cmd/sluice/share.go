package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sluice/admin/api"
	"sluice/state"
)

// wholeShare is a share of 100%, in hundredths of a percent.
const wholeShare = 10_000

// parseShare reads a percentage with at most two decimals, such as 5% or 0.01%,
// and returns it in hundredths of a percent.
func parseShare(text string) (int, error) {
	bad := usage("%q is no share; write a percentage from 0%% to 100%% with at most two decimals, such as 5%% or 0.01%%", text)
	number, ok := strings.CutSuffix(text, "%")
	if !ok {
		return 0, bad
	}
	whole, decimals, _ := strings.Cut(number, ".")
	if len(decimals) > 2 || len(whole) > 3 || strings.HasSuffix(number, ".") {
		return 0, bad
	}
	// Unsigned, so that neither part may have a sign.
	share, err := strconv.ParseUint(whole+(decimals + "00")[:2], 10, 32)
	if err != nil || whole == "" || share > wholeShare {
		return 0, bad
	}
	return int(share), nil
}

// shifted returns weights that give a version exactly a share, in hundredths of
// a percent, of new sessions. The other weights keep their proportions: exactly
// where weights up to state.MaxWeight can say so, else to about a millionth. No
// version that had a weight loses it but at a share of 100%.
//
// It returns a problem for a version that there is not, and where no other
// version has weight to take the rest.
func shifted(weights map[string]int, version string, share int) (map[string]int, error) {
	if _, known := weights[version]; !known {
		return nil, &api.Problem{Status: http.StatusNotFound, Version: version, Detail: fmt.Sprintf("there is no version %q", version),
			Remedy: "known versions: " + strings.Join(slices.Sorted(maps.Keys(weights)), ", ")}
	}
	next := make(map[string]int, len(weights))
	others, sum := map[string]int{}, 0
	for name, w := range weights {
		next[name] = 0
		if name != version && w > 0 {
			others[name], sum = w, sum+w
		}
	}
	switch {
	case share == wholeShare:
		next[version] = 100
		return next, nil
	case sum == 0:
		return nil, &api.Problem{Status: http.StatusConflict, Version: version, Field: "weights",
			Detail: "no other version has weight to take the rest",
			Remedy: fmt.Sprintf("give %s 100%%, or set all weights with sluice weights", version)}
	}
	// Lowest terms keep many shifts in a row from growing the numbers.
	reduce(others)
	sum = total(others)
	for name, w := range others {
		next[name] = w * (wholeShare - share)
	}
	next[version] = share * sum
	reduce(next)
	roundSum(next)
	if slices.Max(slices.Collect(maps.Values(next))) > state.MaxWeight {
		return approximate(next, others, version, share)
	}
	return next, nil
}

// reduce brings weights to lowest terms.
func reduce(weights map[string]int) {
	divisor := 0
	for _, w := range weights {
		for w != 0 { // Euclid's algorithm; what divides 0 and n is n
			divisor, w = w, divisor%w
		}
	}
	for name, w := range weights {
		if divisor > 1 {
			weights[name] = w / divisor
		}
	}
}

func total(weights map[string]int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	return sum
}

// roundSum scales weights up so that they add up to 100 or, failing that, to
// the next power of ten that is a multiple: then they read as percentages.
func roundSum(weights map[string]int) {
	sum := total(weights)
	for round := 100; round <= state.MaxWeight; round *= 10 {
		if round%sum == 0 {
			for name := range weights {
				weights[name] *= round / sum
			}
			return
		}
	}
}

// approximate fills next with weights of the sum state.MaxWeight: exactly the
// share for the version, and for the others the rest, by largest remainder,
// after 1 for each so that none goes dark.
func approximate(next, others map[string]int, version string, share int) (map[string]int, error) {
	next[version] = state.MaxWeight / wholeShare * share
	rest := state.MaxWeight - next[version] - len(others)
	if rest < 0 {
		return nil, &api.Problem{Status: http.StatusConflict, Version: version, Field: "weights",
			Detail: fmt.Sprintf("%d other versions have weight, too many to share what is left", len(others)),
			Remedy: fmt.Sprintf("give %s 100%%, or set all weights with sluice weights", version)}
	}
	sum, left := total(others), rest
	for name, w := range others {
		next[name] = 1 + rest*w/sum
		left -= rest * w / sum
	}
	byRemainder := slices.SortedFunc(maps.Keys(others), func(a, b string) int {
		return cmp.Or(cmp.Compare(rest*others[b]%sum, rest*others[a]%sum), strings.Compare(a, b))
	})
	for _, name := range byRemainder[:left] {
		next[name]++
	}
	return next, nil
}
