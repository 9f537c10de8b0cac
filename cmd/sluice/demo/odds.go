package demo

import "math"

// oneInAMillion is how improbable a count of sessions must be to be taken for a
// fault and not for chance.
const oneInAMillion = 1e-6

// plausible reports whether k of n independent sessions may have been drawn by a
// share from 0 to 1: whether neither that many or more nor that many or fewer
// is less probable than one in a million (the tails of the binomial
// distribution). Shares of 0 and 1 leave nothing to chance.
func plausible(n, k int, share float64) bool {
	switch {
	case k < 0 || k > n:
		return false
	case share <= 0:
		return k == 0
	case share >= 1:
		return k == n
	}
	return binomial(n, 0, k, share) >= oneInAMillion && binomial(n, k, n, share) >= oneInAMillion
}

// binomial returns the probability of from to to hits in n draws of probability
// p, which is neither 0 nor 1.
func binomial(n, from, to int, p float64) float64 {
	sum := 0.0
	for k := from; k <= to; k++ {
		sum += math.Exp(logFactorial(n) - logFactorial(k) - logFactorial(n-k) +
			float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	return sum
}

func logFactorial(n int) float64 {
	l, _ := math.Lgamma(float64(n) + 1)
	return l
}
