package judge

import "math"

const (
	// bucketsPerOctave is how finely latencies are counted: buckets of 2^(1/16).
	bucketsPerOctave = 16
	// shifts is how many alternatives there are: slower by 1, 2, 4 … 32 buckets.
	shifts = 6
	// maxBuckets bounds the histograms that are taken in.
	maxBuckets = 4096
	// mostOdds bounds what one latency says, so that no outlier decides.
	mostOdds = 32
)

// shift is the evidence on latency as a whole. The event is a session's first
// latency, which every session has; the bet is that the slower it is, the
// likelier it is the candidate's.
type shift struct {
	Candidate int64       `json:"candidate"` // sessions of the candidate
	Sessions  int64       `json:"sessions"`  // of either version
	Log       []float64   `json:"log"`       // gains of the bets on 1, 2, 4 … 32 buckets slower
	Base      []float64   `json:"base"`      // as in labels
	Safe      [][]float64 `json:"safe"`      // for each margin, gains of the bets on as much faster than it
	SafeBase  [][]float64 `json:"safe_base"` // as Base, for Safe
}

func newShift(margins int) shift {
	s := shift{Log: make([]float64, shifts), Base: firstStakes()}
	for range margins {
		s.Safe, s.SafeBase = append(s.Safe, make([]float64, shifts)), append(s.SafeBase, firstStakes())
	}
	return s
}

// firstStakes are what bets begin with.
func firstStakes() []float64 {
	b := make([]float64, shifts)
	for i := range b {
		b[i] = logOfHalf
	}
	return b
}

// restart lets the bets of both sides begin anew with a share q of the stake. Those
// on safety need it as those on harm do: they are made by a reference of the past,
// and a poor one, as there is after a start, costs a stake that nothing brings back.
func (f *shift) restart(logQ float64) {
	begin := func(base, gains []float64) {
		for i := range base {
			base[i] = logAddExp(base[i], logQ-gains[i])
		}
	}
	begin(f.Base, f.Log)
	for m := range f.Safe {
		begin(f.SafeBase[m], f.Safe[m])
	}
}

// harm is as that of labels, and safe likewise.
func (f *shift) harm(idle, dispersion float64) float64 {
	return shiftValue(f.Base, f.Log, idle, dispersion)
}

func (f *shift) safe(margin int, idle, dispersion float64) float64 {
	return shiftValue(f.SafeBase[margin], f.Safe[margin], idle, dispersion)
}

func shiftValue(base, gains []float64, idle, dispersion float64) float64 {
	var sum logSum
	for i, v := range gains {
		if dispersion > 1 {
			sum.add(logOfHalf + v/dispersion - math.Log(shifts))
		} else {
			sum.add(base[i] + v - math.Log(shifts))
		}
	}
	if dispersion > 1 {
		idle = 0.5
	}
	sum.add(math.Log(idle))
	return sum.log()
}

// slower returns the likeliest alternative in buckets, 0 if none is likelier than
// no shift.
func (f *shift) slower() int {
	best, most := 0, 0.0
	for i, v := range f.Log {
		if v > most {
			best, most = 1<<i, v
		}
	}
	return best
}

// latencies are histograms on their way into a shift, in memory that is used
// again.
type latencies struct {
	reference, odds, candidate, all []float64
}

func (w *latencies) fit(buckets int) {
	if len(w.odds) == buckets {
		return
	}
	w.reference, w.odds = make([]float64, buckets), make([]float64, buckets)
	w.candidate, w.all = make([]float64, buckets), make([]float64, buckets)
}

// bucketsOf returns a ratio of latencies in whole buckets.
func bucketsOf(ratio float64) int { return int(math.Round(bucketsPerOctave * math.Log2(ratio))) }

// take bets on the labels of a batch of sessions. cfg's ratios move the
// candidate's latencies down: what is tolerated for the side of harm, each margin for
// the other, which is the mirror of the first.
func (f *shift) take(w *latencies, cfg Config, candidate, all, ref []float64, s float64) {
	w.fit(len(ref))
	smooth(w.reference, ref)
	lowest := quantile(ref, 0.01)
	w.move(candidate, all, bucketsOf(cfg.tolerated(Shift)))
	for i := range f.Log {
		slowerOdds(w.odds, w.reference, 1<<i, lowest)
		f.Log[i] += gain(w.odds, w.candidate, w.all, s)
	}
	reverse(w.reference)
	highest := len(ref) - 1 - quantile(ref, 0.99)
	for m := range cfg.Margins {
		w.move(candidate, all, bucketsOf(cfg.refuted(Shift, m)))
		reverse(w.candidate)
		reverse(w.all)
		for i := range f.Log {
			slowerOdds(w.odds, w.reference, 1<<i, highest)
			f.Safe[m][i] += gain(w.odds, w.candidate, w.all, s)
		}
	}
}

// move copies the histograms with the candidate's latencies moved down; the
// lowest bucket takes what falls below it.
func (w *latencies) move(candidate, all []float64, buckets int) {
	clear(w.candidate)
	for b, n := range candidate {
		w.candidate[max(b-buckets, 0)] += n
	}
	for b, n := range all {
		w.all[b] = n - candidate[b] + w.candidate[b]
	}
}

// gain returns what a bet gains by the labels of a batch: odds are how much
// likelier a session of each bucket is the candidate's.
func gain(odds, candidate, all []float64, s float64) float64 {
	sum := 0.0
	for b, n := range all {
		if n > 0 {
			sum += candidate[b]*math.Log(odds[b]) - n*math.Log1p(s*(odds[b]-1))
		}
	}
	return sum
}

// slowerOdds fills in how much likelier each bucket would be if latencies were
// slower than the reference by some buckets. The highest bucket takes what goes
// beyond it. The odds never fall, so that the bet also holds against a candidate
// that is faster by any amount at any place. They begin to rise at the bucket
// lowest: below it the reference has next to nothing, and next to nothing divided
// by nothing would be the least odds for all others.
func slowerOdds(odds, reference []float64, by, lowest int) {
	top, least := len(reference)-1, 1.0/mostOdds
	for b := lowest; b <= top; b++ {
		moved := 0.0
		if b >= by {
			moved = reference[b-by]
		}
		if b == top {
			for i := max(0, b-by+1); i <= top; i++ {
				moved += reference[i]
			}
		}
		least = max(least, min((moved+0.5)/(reference[b]+0.5), mostOdds))
		odds[b] = least
	}
	for b := range lowest {
		odds[b] = odds[lowest]
	}
}

// smooth fills in the reference as means over some buckets to each side: odds are
// made of neighbouring counts, and where those are few, chance would be taken for
// shape. The width is Silverman's for a histogram of its spread and count; it is 0
// where the counts are many. Any odds that are fixed in advance keep the e-value
// valid; better ones make it grow faster.
func smooth(to, ref []float64) {
	total := 0.0
	for _, n := range ref {
		total += n
	}
	width := quantile(ref, 0.99) - quantile(ref, 0.01) + 1
	side := int(0.4 * float64(width) * math.Pow(total, -0.2))
	sum, from, until := 0.0, 0, 0 // of ref[from:until]
	for b := range to {
		for ; until < len(ref) && until <= b+side; until++ {
			sum += ref[until]
		}
		for ; from < b-side; from++ {
			sum -= ref[from]
		}
		to[b] = max(sum, 0) / float64(until-from)
	}
}

// quantile returns the first bucket up to which a share of the counts lies.
func quantile(ref []float64, share float64) int {
	total := 0.0
	for _, n := range ref {
		total += n
	}
	sum := 0.0
	for b, n := range ref {
		if sum += n; sum > 0 && sum >= share*total {
			return b
		}
	}
	return len(ref) - 1
}

func reverse(v []float64) {
	for i, j := 0, len(v)-1; i < j; i, j = i+1, j-1 {
		v[i], v[j] = v[j], v[i]
	}
}
