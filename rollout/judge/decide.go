package judge

import (
	"cmp"
	"math"
	"slices"
)

// Input is what a decision depends on besides the evidence.
type Input struct {
	Share float64 // the candidate's share of new sessions now, from 0 to 1
	Next  float64 // the share that a promotion would give it; chooses the margin
	// HoldOver is whether the stage's minimum hold is over. Before that nothing is
	// promoted.
	HoldOver bool
	// Rates is how many events a second each metric has in both versions together,
	// for Shift how many sessions begin: what the minutes to a decision are made of.
	// 0: unknown, or none.
	Rates [Metrics]float64
	// Dispersion is for services without sessions: what the function Dispersion
	// says of their clients. Evidence is divided by it, since one client's requests
	// fail together; restarts do not count then. At most 1: sessions are counted.
	Dispersion float64
}

// Dispersion returns how much less the bad requests of some clients say than as
// many that fail independently would, at least 1: the sum of squares of the
// clients' counts, divided by their sum.
func Dispersion(counts []int) float64 {
	sum, squares := 0.0, 0.0
	for _, n := range counts {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	if !(squares > sum) {
		return 1
	}
	return squares / sum
}

// The codes of Verdict.Reason.
const (
	ReasonHarm       = "harm"              // rolls back
	ReasonSuspicious = "suspicious"        // holds: a tenth of the evidence that rolls back
	ReasonBroken     = "broken_experiment" // holds: sessions are not split by weight
	ReasonNoTraffic  = "no_traffic"        // holds: the candidate had no session in this epoch
	ReasonEvidence   = "evidence"          // promotes
	ReasonMinimum    = "minimum_hold"      // holds: all is refuted, and it is too early
	ReasonUndecided  = "undecided"         // holds
)

// Verdict is a decision with what it rests on. All numbers are finite.
type Verdict struct {
	Decision Decision `json:"decision"`
	Reason   string   `json:"reason"`
	// Blame is the metrics that roll back, or that hold up a promotion.
	Blame []Metric `json:"blame,omitempty"`
	// R is the e-value of harm over all metrics, at most the greatest float64; LogR is
	// its logarithm, and Bar that as a share of what rolls back.
	R       float64      `json:"r"`
	LogR    float64      `json:"log_r"`
	Bar     float64      `json:"bar"`
	Metrics []MetricView `json:"metrics"` // those with a vote
	// ExcessPerMinute is how many more bad sessions the candidate has a minute than
	// it would have as a baseline. Below 0: fewer.
	ExcessPerMinute float64 `json:"excess_per_minute"`
	// The minutes until a decision, if all goes on as it did; nil: not at this
	// traffic, or not in a week. AtNext is until a promotion had the candidate the
	// next share already.
	MinutesToRollBack      *float64 `json:"minutes_to_roll_back"`
	MinutesToPromote       *float64 `json:"minutes_to_promote"`
	MinutesToPromoteAtNext *float64 `json:"minutes_to_promote_at_next"`
	Ceiling                float64  `json:"ceiling"`       // log e-value against "above the ceiling"
	SessionShare           float64  `json:"session_share"` // log Bayes factor of a broken split, the greatest of all epochs
	Text                   string   `json:"text"`          // why, for an engineer to check
}

// MetricView is what is known of a metric.
type MetricView struct {
	Metric Metric  `json:"metric"`
	Vote   float64 `json:"vote"` // its share of R
	// Harm and Safe are the logarithms of the e-values against "no worse than
	// tolerated" and "worse than the margin". The ceiling is part of that for errors.
	Harm float64 `json:"harm"`
	Safe float64 `json:"safe"`
	Bar  float64 `json:"bar"` // Harm as a share of what rolls back
	// Ratio is the likeliest ratio of candidate to baseline, with a 95% interval from
	// Lo to Hi that holds at all times at once: of bad sessions, or of latencies for
	// shift, which has no interval (both 0). A Hi of 64 has no upper end.
	Ratio float64 `json:"ratio"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	// Candidate and Events are how many events were the candidate's and of either
	// version, Share what part of them would be its if both were equal. The events of
	// shift are sessions, and its Share is 0.
	Candidate int64   `json:"candidate"`
	Events    int64   `json:"events"`
	Share     float64 `json:"share"`
	Margin    float64 `json:"margin"` // the ratio that must be refuted for a promotion
}

const (
	// leastBad is how many sessions of the candidate must have been bad before it is
	// rolled back: two may be one user's.
	leastBad = 3
	// suspicion is the part of the evidence for a rollback that holds.
	suspicion = 0.1
	// broken is the Bayes factor from which a split counts as broken.
	broken = 1000
)

// Judge decides.
func (st *State) Judge(in Input) Verdict {
	in = in.orDefaults()
	v := st.views(in)
	var r logSum
	for _, m := range v.Metrics {
		r.add(math.Log(m.Vote) + m.Harm)
	}
	alarm := -math.Log(st.cfg.Alpha)
	v.LogR = r.log()
	v.R, v.Bar = expFinite(v.LogR), v.LogR/alarm
	_, v.SessionShare = st.worstSplit()
	unsafe := st.unsafe(v.Metrics)
	switch {
	case v.LogR >= alarm && st.badEnough(blamed(v.Metrics, alarm)):
		v.Decision, v.Reason, v.Blame = RollBack, ReasonHarm, blamed(v.Metrics, alarm)
	case v.LogR >= alarm+math.Log(suspicion):
		v.Reason, v.Blame = ReasonSuspicious, blamed(v.Metrics, alarm)
	case v.SessionShare >= math.Log(broken):
		v.Reason = ReasonBroken
	case st.noTraffic():
		v.Reason = ReasonNoTraffic
	case len(unsafe) > 0:
		v.Reason, v.Blame = ReasonUndecided, unsafe
	case !in.HoldOver:
		v.Reason = ReasonMinimum
	default:
		v.Decision, v.Reason = Promote, ReasonEvidence
	}
	st.forecast(&v, in)
	v.Text = st.text(v, in)
	return v
}

// orDefaults brings what can't be into range.
func (in Input) orDefaults() Input {
	if !(in.Dispersion > 1) {
		in.Dispersion = 1
	}
	in.Dispersion = min(in.Dispersion, 1e6)
	in.Share, in.Next = asShare(in.Share), asShare(in.Next)
	for i, r := range in.Rates {
		if !(r > 0 && r < 1e12) {
			in.Rates[i] = 0
		}
	}
	return in
}

func asShare(v float64) float64 {
	if !(v > 0) {
		return 0
	}
	return min(v, 1)
}

// views fills in what is known of each metric that has a vote, and the ceiling.
func (st *State) views(in Input) Verdict {
	var v Verdict
	if st.cfg.Ceiling > 0 {
		v.Ceiling = ceiling(st.bad, st.n, st.cfg.Ceiling) / in.Dispersion
	}
	for m := range Metric(Metrics) {
		if st.cfg.Votes[m] == 0 {
			continue
		}
		view := st.viewShift
		if m != Shift {
			view = st.viewLabels
		}
		mv := view(m, in)
		if m == Errors && st.cfg.Ceiling > 0 {
			mv.Safe = logAddExp(mv.Safe, v.Ceiling) - math.Ln2
		}
		mv.Vote, mv.Bar = st.cfg.vote(m), mv.Harm/-math.Log(st.cfg.Alpha)
		v.Metrics = append(v.Metrics, mv)
	}
	return v
}

func (st *State) viewLabels(m Metric, in Input) MetricView {
	l, g, margin := &st.labels[m], st.grids[m], st.cfg.margin(in.Next)
	best, lo, hi := l.estimate(g, in.Dispersion)
	view := MetricView{
		Metric: m, Candidate: l.Candidate, Events: l.Events, Share: in.Share, Margin: st.cfg.refuted(m, margin),
		Harm: l.harm(g, st.idle(), in.Dispersion), Safe: l.safe(g, margin, in.Dispersion),
		// The interval's ends lie between ratios of the grid: it is shown a step wider.
		Ratio: ratioAt(best), Lo: ratioAt(lo - 1), Hi: ratioAt(min(hi+1, reach)),
	}
	if l.Events == 0 {
		view.Ratio = 1
	} else {
		view.Share = l.Expected / float64(l.Events)
	}
	return view
}

func (st *State) viewShift(_ Metric, in Input) MetricView {
	margin := st.cfg.margin(in.Next)
	view := MetricView{
		Metric: Shift, Candidate: st.shift.Candidate, Events: st.shift.Sessions, Margin: st.cfg.refuted(Shift, margin),
		Harm: st.shift.harm(st.idle(), in.Dispersion), Safe: st.shift.safe(margin, st.idle(), in.Dispersion), Ratio: 1,
	}
	if by := st.shift.slower(); by > 0 {
		view.Ratio = math.Exp2(float64(bucketsOf(st.cfg.tolerated(Shift))+by) / bucketsPerOctave)
	}
	return view
}

// ratioAt returns the ratio at a number of steps; 0 at the grid's end, where the
// candidate has had no event and any ratio below is as likely.
func ratioAt(steps int) float64 {
	if steps <= -reach {
		return 0
	}
	return math.Exp2(float64(steps) / stepsPerOctave)
}

// blamed returns the metrics whose share of the evidence would roll back by itself,
// else the one with the greatest.
func blamed(views []MetricView, alarm float64) []Metric {
	share := func(v MetricView) float64 { return math.Log(v.Vote) + v.Harm }
	var all []Metric
	for _, v := range views {
		if share(v) >= alarm {
			all = append(all, v.Metric)
		}
	}
	if len(all) == 0 {
		worst := slices.MaxFunc(views, func(a, b MetricView) int { return cmp.Compare(share(a), share(b)) })
		all = []Metric{worst.Metric}
	}
	return all
}

// badEnough reports whether any of the metrics has enough sessions of the candidate.
func (st *State) badEnough(metrics []Metric) bool {
	return slices.ContainsFunc(metrics, func(m Metric) bool {
		if m == Shift {
			return st.shift.Candidate >= leastBad
		}
		return st.labels[m].Candidate >= leastBad
	})
}

// unsafe returns the metrics that do not yet refute their margin.
func (st *State) unsafe(views []MetricView) []Metric {
	var all []Metric
	for _, v := range views {
		if v.Safe < -math.Log(st.cfg.Beta) {
			all = append(all, v.Metric)
		}
	}
	return all
}

// worstSplit returns the epoch whose split is the likeliest to be broken, with the
// logarithm of its Bayes factor, at least 0. A split that was broken in one epoch
// has brought evidence that can't be told from the rest, so no later epoch heals it.
func (st *State) worstSplit() (worst epoch, factor float64) {
	for _, e := range st.epochs {
		if f := sessionShare(e.Candidate, e.All, e.Weight); f > factor {
			worst, factor = e, f
		}
	}
	return worst, factor
}

// noTraffic reports whether the candidate has had no session in the latest epoch,
// or ever if epochs are not counted.
func (st *State) noTraffic() bool {
	if n := len(st.epochs); n > 0 {
		return st.epochs[n-1].Candidate+st.epochs[n-1].Joined == 0
	}
	return st.n == 0
}
