package judge

import "math"

// All evidence is kept in natural logarithms: an e-value itself leaves the range
// of a float64 within an hour of a busy service.

// logSum is the logarithm of a growing sum of exponentials. The zero value is
// the empty sum.
type logSum struct {
	most float64 // the greatest term's logarithm
	sum  float64 // of the terms divided by the greatest; 0: no term yet
}

// add takes in a term by its logarithm; -Inf adds nothing.
func (l *logSum) add(v float64) {
	switch {
	case math.IsInf(v, -1):
	case l.sum == 0:
		l.most, l.sum = v, 1
	case v <= l.most:
		l.sum += math.Exp(v - l.most)
	default:
		l.sum = l.sum*math.Exp(l.most-v) + 1
		l.most = v
	}
}

// log returns the sum's logarithm, -Inf if it is empty.
func (l *logSum) log() float64 {
	if l.sum == 0 {
		return math.Inf(-1)
	}
	return l.most + math.Log(l.sum)
}

// logAddExp returns log(exp(a) + exp(b)).
func logAddExp(a, b float64) float64 {
	var l logSum
	l.add(a)
	l.add(b)
	return l.log()
}

// expFinite returns exp(v), or the greatest float64 if that is too great: JSON
// knows no infinity.
func expFinite(v float64) float64 { return min(math.Exp(v), math.MaxFloat64) }
