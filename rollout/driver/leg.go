package driver

import (
	"time"

	"sluice/rollout/judge"
	"sluice/state"
	"sluice/stats/trial"
)

// leg is what is known of a rollout's part in one service.
type leg struct {
	candidate, baseline string
	judge               *judge.State
	began               time.Time // of the count
	marks               int       // minutes since then that the judge was told
	totals              totals

	// What follows begins anew with the process.
	rates      rates
	recent     recent
	inARow     int     // failures of the candidate
	dispersion float64 // of the bad requests of clients, where there are no sessions
}

// totals are sums over the whole trial.
type totals struct {
	CandidateSessions int64 `json:"candidate_sessions"`
	BaselineSessions  int64 `json:"baseline_sessions"`
	CandidateRequests int64 `json:"candidate_requests"`
	BaselineRequests  int64 `json:"baseline_requests"`
	CandidateBad      int64 `json:"candidate_bad"` // bad requests
	BaselineBad       int64 `json:"baseline_bad"`
	Lost              int64 `json:"lost,omitempty"` // events that did not fit into a count
}

func newLeg(of state.Leg, guards state.Guards, now time.Time) *leg {
	return &leg{
		candidate: of.Candidate, baseline: of.Baseline,
		judge: judge.New(judgeConfig(guards)), began: now.Round(0).UTC(),
	}
}

// take adds what was counted since the last time.
func (l *leg) take(inc trial.Increments, now time.Time) {
	var events [judge.Metrics]int
	for _, e := range inc.Events {
		m := metric(e.Metric)
		l.judge.Events(m, e.X, e.E, e.S)
		events[m] += e.E
	}
	for _, c := range inc.Sessions {
		if c.Joined {
			l.judge.Joined(c.Epoch, int(c.Candidate), c.W)
		} else {
			l.judge.Sessions(c.Epoch, int(c.Candidate), int(c.All), c.W)
		}
	}
	for _, h := range inc.Latencies {
		l.judge.Latencies(h.Candidate, h.All, h.Reference, h.Share)
	}
	l.judge.Candidate(int(inc.Candidate.BadSessions), int(inc.Candidate.Sessions))
	events[judge.Shift] = int(inc.Candidate.Sessions + inc.Baseline.Sessions)
	l.totals.add(inc)
	l.inARow, l.dispersion = inc.FailuresInARow, inc.Dispersion
	l.rates.add(events, now)
	l.recent.add(inc, now)
	l.mark(now)
}

func (t *totals) add(inc trial.Increments) {
	t.CandidateSessions += inc.Candidate.Sessions
	t.BaselineSessions += inc.Baseline.Sessions
	t.CandidateRequests += inc.Candidate.Requests
	t.BaselineRequests += inc.Baseline.Requests
	t.CandidateBad += inc.Candidate.Bad
	t.BaselineBad += inc.Baseline.Bad
	t.Lost += inc.Lost
}

// metric is a trial's metric as the judge's.
func metric(m trial.Metric) judge.Metric {
	switch m {
	case trial.P95:
		return judge.P95
	case trial.P99:
		return judge.P99
	}
	return judge.Errors
}

// maxMarks is how many minutes the judge wants to be told of.
const maxMarks = 120

// mark tells the judge of the minutes that have passed.
func (l *leg) mark(now time.Time) {
	due := min(int(now.Sub(l.began)/time.Minute), maxMarks)
	for ; l.marks < due; l.marks++ {
		l.judge.Minute()
	}
}

// evidence asks the judge. share and next are the candidate's parts of new
// sessions, now and after a promotion; held says that the stage's least time is
// over.
func (l *leg) evidence(service string, share, next float64, held bool, now time.Time) *state.Evidence {
	v := l.judge.Judge(judge.Input{
		Share: share, Next: next, HoldOver: held,
		Rates: l.rates.perSecond(now), Dispersion: l.dispersion,
	})
	e := &state.Evidence{
		Service: service, At: now.Round(0).UTC(), Decision: v.Decision.String(), Reason: v.Reason, Text: v.Text,
		LogR: v.LogR, Share: share,
		CandidateSessions: l.totals.CandidateSessions, BaselineSessions: l.totals.BaselineSessions,
		CandidateRequests: l.totals.CandidateRequests, BaselineRequests: l.totals.BaselineRequests,
		CandidateBad: l.totals.CandidateBad, BaselineBad: l.totals.BaselineBad,
		ExcessPerMinute: v.ExcessPerMinute, LogCeiling: v.Ceiling, LogSessionShare: v.SessionShare,
		MinutesToRollBack: v.MinutesToRollBack, MinutesToPromote: v.MinutesToPromote,
	}
	for _, m := range v.Metrics {
		e.Metrics = append(e.Metrics, state.MetricEvidence{
			Name: m.Metric.String(), LogHarm: m.Harm, LogSafe: m.Safe, Margin: m.Margin,
			Ratio: m.Ratio, Low: m.Lo, High: m.Hi, Events: m.Events, Candidate: m.Candidate, Bar: m.Bar,
		})
	}
	return e
}
