package compare

import "math"

// alpha is the chance, over the whole life of a comparison and all its fields,
// that two versions that answer alike are said to differ anywhere.
const alpha = 0.01

// tolerated is the share of a field's one-sided differences that may fall on the
// candidate without being clear: 3 for every 2 of the baseline's own.
const tolerated = 0.6

// shares are what the test bets on that the share is in truth.
var shares = [...]float64{0.7, 0.8, 0.9, 0.97, 1}

// evidence returns the logarithm of the e-value against "the candidate differs from
// the baseline hardly more than the baseline from itself", where a field differed
// x times between the versions alone and y times within the baseline alone.
//
// If both versions answer alike, the candidate's answer and the baseline's second
// one can be exchanged: of the requests where just one of the two differs from
// the first answer, either is as likely to be the one, at any rate of noise and
// however that rate changes with time, path and load. That is McNemar's test. It
// is run as a bet, a mixture of likelihood ratios, since it is looked at after each request: by
// Ville's inequality a bet gains a factor of 1/a, ever, with a chance of at most a.
func evidence(x, y int64) float64 {
	var logs [len(shares)]float64
	most := math.Inf(-1)
	for i, p := range shares {
		l := float64(x) * math.Log(p/tolerated)
		if y > 0 {
			l += float64(y) * math.Log((1-p)/(1-tolerated))
		}
		logs[i] = l
		most = max(most, l)
	}
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - most)
	}
	return most + math.Log(sum/float64(len(shares)))
}

// limit returns the logarithm of the evidence that the kth field needs to be called
// different. The shares of alpha, 1/k(k+1), add up to one over all fields, so that a
// service of few noisy fields needs little: 13 one-sided differences for its first, 27 for its fiftieth.
func limit(k int) float64 { return math.Log(float64(k)*float64(k+1)) - math.Log(alpha) }

// suspect is the logarithm of the evidence from which a field that is not yet
// called different keeps a verdict from passing.
var suspect = math.Log(20)
