package judge

import (
	"fmt"
	"math"
	"strings"
)

// text says in a sentence or two what was decided, and on what.
func (st *State) text(v Verdict, in Input) string {
	limit := 1 / st.cfg.Alpha
	harm := fmt.Sprintf("The evidence of harm is %s; %s rolls back.", number(v.LogR), plain(limit))
	switch v.Reason {
	case ReasonHarm:
		return "Roll back: " + st.describe(v) + ". " + harm
	case ReasonSuspicious:
		if v.LogR >= math.Log(limit) {
			return fmt.Sprintf("Hold, suspicious: %s. %s But not before %d sessions of the candidate were bad.", st.describe(v), harm, leastBad)
		}
		return "Hold, suspicious: " + st.describe(v) + ". " + harm
	case ReasonBroken:
		e, _ := st.worstSplit()
		return fmt.Sprintf("Hold: the split is broken. Of %d sessions assigned in epoch %d, %d went to the candidate, where its weight of %s makes about %.0f.",
			e.All, e.Epoch, e.Candidate, percent(e.Weight), float64(e.All)*e.Weight)
	case ReasonNoTraffic:
		return "Hold: the candidate has had no session at this weight."
	case ReasonUndecided:
		if in.Share >= 1 {
			return "Hold: all new sessions are the candidate's, and there is nobody to compare them with: time, guards and the alarm decide. " + harm
		}
		return "Hold: not yet refuted: " + st.describe(v) + ". " + wait(v, in) + " " + harm
	case ReasonMinimum:
		return "Hold: all margins are refuted, and the stage's minimum hold is not over. " + harm
	}
	return fmt.Sprintf("Promote to %s: every metric refutes its margin: %s. %s", percent(in.Next), st.describe(v), harm)
}

// describe returns a clause for each metric that is blamed, or for all if none is.
func (st *State) describe(v Verdict) string {
	var all []string
	for _, m := range v.Metrics {
		blamed := len(v.Blame) == 0
		for _, b := range v.Blame {
			blamed = blamed || b == m.Metric
		}
		if blamed {
			all = append(all, m.describe(v.Reason, 1/st.cfg.Beta))
		}
	}
	return strings.Join(all, "; ")
}

func (m MetricView) describe(reason string, limit float64) string {
	against := ""
	if reason == ReasonUndecided || reason == ReasonEvidence {
		against = fmt.Sprintf(", evidence against %s times %s of %s", plain(m.Margin), number(m.Safe), plain(limit))
	}
	if m.Metric == Shift {
		return fmt.Sprintf("shift, latencies about %s times the baseline's in %d sessions of the candidate%s", plain(m.Ratio), m.Candidate, against)
	}
	events := "bad sessions"
	if m.Metric != Errors {
		events = "slow sessions"
	}
	if m.Events == 0 {
		return fmt.Sprintf("%v, no %s in either version%s", m.Metric, events, against)
	}
	return fmt.Sprintf("%v, %d of %d %s the candidate's at %s of the exposure, %s times the baseline's rate (95%%: %s to %s)%s",
		m.Metric, m.Candidate, m.Events, events, percent(m.Share), plain(m.Ratio), plain(m.Lo), plain(m.Hi), against)
}

// wait says when a promotion is to be expected.
func wait(v Verdict, in Input) string {
	switch {
	case v.MinutesToPromote != nil:
		return fmt.Sprintf("About %s min to a promotion.", plain(math.Ceil(*v.MinutesToPromote)))
	case v.MinutesToPromoteAtNext != nil && in.Next > in.Share:
		return fmt.Sprintf("No promotion in sight at this traffic; at %s it would take about %s min.", percent(in.Next), plain(math.Ceil(*v.MinutesToPromoteAtNext)))
	}
	return "No promotion in sight at this traffic."
}

// number returns what a logarithm is of, also where no float64 could hold it.
func number(log float64) string {
	if log > 300 {
		return fmt.Sprintf("10^%.0f", log/math.Ln10)
	}
	return plain(math.Exp(log))
}

// plain returns a number with three digits.
func plain(v float64) string {
	if v >= 1000 && v < 1e6 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func percent(share float64) string { return fmt.Sprintf("%.3g%%", 100*share) }
