package judge

import "math"

// ceiling returns the logarithm of the e-value against "at least a share of
// sessions is bad", of n sessions with bad ones among them. It clears services that
// hardly ever fail, where no comparison has events to compare.
func ceiling(bad, n int64, share float64) float64 {
	var sum logSum
	x, expected := float64(bad), float64(n)*share
	for k := 1; k <= 12; k++ {
		lost := -x * float64(k) / 2 * math.Ln2
		sum.add(lost + expected*(1-math.Exp2(-float64(k)/2)))
	}
	if bad == 0 {
		sum.add(expected)
	}
	return sum.log() - math.Log(13)
}

// priorSessions is how firmly the check of shares believes in a share near the
// weight: as if it had seen so many sessions.
const priorSessions = 1000

// sessionShare returns the logarithm of the Bayes factor of "sessions were split
// by another share" over "by the weight w": with x sessions of n the candidate's.
func sessionShare(x, n int64, w float64) float64 {
	if n == 0 || !(w > 0 && w < 1) {
		return 0
	}
	c, b := float64(x), float64(n-x)
	return logBeta(priorSessions*w+c, priorSessions*(1-w)+b) - logBeta(priorSessions*w, priorSessions*(1-w)) -
		c*math.Log(w) - b*math.Log1p(-w)
}

// logBeta returns the logarithm of the beta function.
func logBeta(a, b float64) float64 {
	ga, _ := math.Lgamma(a)
	gb, _ := math.Lgamma(b)
	gab, _ := math.Lgamma(a + b)
	return ga + gb - gab
}
