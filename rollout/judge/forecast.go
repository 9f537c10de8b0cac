package judge

import "math"

// longest is how many minutes ahead a forecast says anything: a week.
const longest = 7 * 24 * 60

// never is a forecast beyond all limits.
var never = math.Inf(1)

// forecast fills in what happens if everything goes on as it did: the excess of
// bad sessions, and when there will be a decision.
func (st *State) forecast(v *Verdict, in Input) {
	rollBack, promote, atNext := never, 0.0, 0.0
	for _, m := range v.Metrics {
		rollBack = min(rollBack, st.toRollBack(m, v.LogR, in))
		promote = max(promote, st.toPromote(m, v.Ceiling, in.Share, in))
		atNext = max(atNext, st.toPromote(m, v.Ceiling, in.Next, in))
		if m.Metric == Errors && in.Share < 1 {
			more := in.Share * (m.Ratio - 1)
			v.ExcessPerMinute = 60 * in.Rates[Errors] * more / (1 + more)
		}
	}
	v.MinutesToRollBack, v.MinutesToPromote, v.MinutesToPromoteAtNext = inAWeek(rollBack), inAWeek(promote), inAWeek(atNext)
}

// inAWeek returns minutes, or nil if they are too many.
func inAWeek(minutes float64) *float64 {
	if !(minutes <= longest) {
		return nil
	}
	return &minutes
}

// shareAt returns the candidate's share of events at a ratio of rates and a share
// of exposure.
func shareAt(ratio, share float64) float64 {
	if ratio == 0 {
		return 0
	}
	return ratio * share / (1 + share*(ratio-1))
}

// divergence returns what one event adds to the evidence against q when the
// candidate's share of events is p: the Kullback-Leibler divergence of two coins.
func divergence(p, q float64) float64 {
	if p < 0 || p > 1 || q <= 0 || q >= 1 {
		return 0
	}
	sum := 0.0
	if p > 0 {
		sum += p * math.Log(p/q)
	}
	if p < 1 {
		sum += (1 - p) * math.Log((1-p)/(1-q))
	}
	return max(sum, 0)
}

// after returns the minutes until evidence has grown by so much at a rate for each
// second.
func after(missing, perSecond float64) float64 {
	switch {
	case missing <= 0:
		return 0
	case !(perSecond > 0):
		return never
	}
	return missing / perSecond / 60
}

// toRollBack returns the minutes until a metric rolls back.
func (st *State) toRollBack(m MetricView, logR float64, in Input) float64 {
	missing := -math.Log(st.cfg.Alpha) - logR
	tolerated := st.cfg.tolerated(m.Metric)
	switch {
	case missing <= 0:
		return 0
	case m.Ratio <= tolerated:
		return never
	case m.Metric == Shift:
		return after(missing, in.Rates[Shift]*st.perSession(st.shift.Log))
	}
	return after(missing, in.Rates[m.Metric]*divergence(shareAt(m.Ratio, in.Share), shareAt(tolerated, in.Share)))
}

// toPromote returns the minutes until a metric refutes its margin, had the
// candidate a certain share.
func (st *State) toPromote(m MetricView, ceiling, share float64, in Input) float64 {
	missing := -math.Log(st.cfg.Beta) - m.Safe
	if missing <= 0 {
		return 0
	}
	missing++ // what the mixture of bets costs, about
	if m.Metric == Shift {
		return after(missing, in.Rates[Shift]*st.perSession(st.shift.Safe[st.cfg.margin(in.Next)]))
	}
	minutes := never
	if m.Ratio < m.Margin {
		minutes = after(missing, in.Rates[m.Metric]*divergence(shareAt(m.Ratio, share), shareAt(m.Margin, share)))
	}
	if m.Metric == Errors && st.cfg.Ceiling > 0 {
		sessions := in.Rates[Shift] * share
		minutes = min(minutes, after(math.Ln2-math.Log(st.cfg.Beta)-ceiling+1, sessions*st.belowCeiling()))
	}
	return minutes
}

// perSession returns what a session has added to the best of some bets so far.
func (st *State) perSession(gains []float64) float64 {
	most := 0.0
	for _, v := range gains {
		most = max(most, v)
	}
	return most / max(1, float64(st.shift.Sessions))
}

// belowCeiling returns what a session of the candidate adds to the evidence that
// it stays below the ceiling.
func (st *State) belowCeiling() float64 {
	if st.bad == 0 {
		return st.cfg.Ceiling
	}
	bad, best := float64(st.bad)/float64(st.n), 0.0
	for k := 1.0; k <= 12; k++ {
		best = max(best, st.cfg.Ceiling*(1-math.Exp2(-k/2))-bad*k/2*math.Ln2)
	}
	return best
}
