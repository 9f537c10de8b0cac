package judge

import (
	"errors"
	"fmt"
	"math"
)

const (
	// restarts is how many minute marks let the bets on harm begin anew.
	restarts = 120
	// firstStake is the share of the stake that is bet from the beginning; the
	// restarts share the rest.
	firstStake = 0.5
	logOfHalf  = -math.Ln2
	// maxEpochs bounds the epochs whose sessions are remembered, the latest ones.
	maxEpochs = 32
)

// State is all evidence of one trial. New makes one; the zero value is of no use.
// Its JSON is one document of about 20 kB, by which it survives restarts.
type State struct {
	cfg    Config
	grids  [Metrics]*grid
	labels [Metrics]labels // but of Shift
	shift  shift
	minute int // marks so far
	bad, n int64
	epochs []epoch // ascending
	work   latencies
}

// epoch is the sessions assigned between two changes of weight.
type epoch struct {
	Epoch     uint64  `json:"epoch"`
	Candidate int64   `json:"candidate"`
	All       int64   `json:"all"`
	Weight    float64 `json:"weight"` // the candidate's, as a share
	// Joined is how many of the candidate's came from another service of its release
	// set, and were drawn there. They are in neither of the counts.
	Joined int64 `json:"joined,omitempty"`
}

// New returns a state without evidence. In place of a part of cfg that Validate
// refuses it takes the default.
func New(cfg Config) *State {
	st := &State{cfg: cfg.orDefaults()}
	for m := range Metric(Metrics) {
		if m != Shift {
			st.grids[m] = newGrid(st.cfg, m)
			st.labels[m] = newLabels(st.grids[m])
		}
	}
	st.shift = newShift(len(st.cfg.Margins))
	return st
}

// Config returns the configuration that st was made with. The caller must not
// change it.
func (st *State) Config() Config { return st.cfg }

// Events takes in e events of Errors, P95 or P99, x of them the candidate's, that
// happened while its share of exposure was s. An event is the first of its session.
// Where s is not between 0 and 1, there is nothing to compare, and nothing is
// taken in; nor is it for a count that can't be.
func (st *State) Events(m Metric, x, e int, s float64) {
	if m >= Metrics || m == Shift || x < 0 || e <= 0 || x > e || e > maxCount || !(s > 0 && s < 1) {
		return
	}
	st.labels[m].take(st.grids[m], x, e, s)
}

// Latencies takes in the first latencies of sessions, counted by bucket: the
// candidate's, and those of all sessions, the candidate's among them. Buckets are
// 2^(1/16) wide, as those of stats.Histogram; the first and the last may hold
// what lies beyond. ref is the baseline's latencies of the previous minutes, none
// of those counted here among them, and s the candidate's weight as a share when
// the sessions were assigned. All three have the same length, at most 4096. What
// can't be compared is not taken in, as in Events.
func (st *State) Latencies(candidate, all, ref []float64, s float64) {
	if !(s > 0 && s < 1) || len(ref) == 0 || len(ref) > maxBuckets || len(candidate) != len(ref) || len(all) != len(ref) {
		return
	}
	var sumC, sumAll, sumRef float64
	for b := range ref {
		if !(candidate[b] >= 0 && candidate[b] <= all[b] && all[b] <= maxCount && ref[b] >= 0 && ref[b] <= maxCount) {
			return
		}
		sumC, sumAll, sumRef = sumC+candidate[b], sumAll+all[b], sumRef+ref[b]
	}
	if sumAll == 0 || sumRef == 0 {
		return
	}
	st.shift.Candidate += int64(math.Round(sumC))
	st.shift.Sessions += int64(math.Round(sumAll))
	st.shift.take(&st.work, st.cfg, candidate, all, ref, s)
}

// maxCount bounds what a call may count: more has not happened. maxTotal bounds
// what a document may say of all calls, so that sums do not overflow.
const (
	maxCount = 1<<31 - 1
	maxTotal = 1 << 60
)

// Candidate adds to the candidate's totals: n sessions that have begun, and bad
// ones that turned bad, which may have been added before. The ceiling and the
// check for traffic are about these.
func (st *State) Candidate(bad, n int) {
	if bad < 0 || n < 0 || n > maxCount || int64(bad)-int64(n) > st.n-st.bad {
		return
	}
	st.bad += int64(bad)
	st.n += int64(n)
}

// Sessions adds to the sessions that were assigned in an epoch: the candidate's and
// all of them, while its weight was w as a share.
func (st *State) Sessions(at uint64, candidate, all int, w float64) {
	if candidate < 0 || all < candidate || all > maxCount || !(w >= 0 && w <= 1) {
		return
	}
	st.addEpoch(epoch{Epoch: at, Candidate: int64(candidate), All: int64(all), Weight: w})
}

// Joined adds sessions of the candidate in an epoch in which its weight was w, that
// were drawn to it in another service of its release set. They are traffic, and no
// evidence on the split: how many come on from one service to another is the
// versions' doing.
func (st *State) Joined(at uint64, candidate int, w float64) {
	if candidate < 0 || candidate > maxCount || !(w >= 0 && w <= 1) {
		return
	}
	st.addEpoch(epoch{Epoch: at, Weight: w, Joined: int64(candidate)})
}

func (st *State) addEpoch(add epoch) {
	i := len(st.epochs)
	for i > 0 && st.epochs[i-1].Epoch >= add.Epoch {
		i--
	}
	if i < len(st.epochs) && st.epochs[i].Epoch == add.Epoch {
		st.epochs[i].Candidate += add.Candidate
		st.epochs[i].All += add.All
		st.epochs[i].Joined += add.Joined
		return
	}
	st.epochs = append(st.epochs, epoch{})
	copy(st.epochs[i+1:], st.epochs[i:])
	st.epochs[i] = add
	if len(st.epochs) > maxEpochs {
		st.epochs = st.epochs[1:]
	}
}

// Minute says that a minute has passed. At each of the first 120 marks the bets on
// harm begin anew with a part of the stake, so that a regression that comes late is
// seen as fast as one that was there from the beginning. For a trial of more than two
// hours the marks may lie further apart; how far must not depend on what was seen.
//
// Where several instances count, this belongs to the one State that sums them.
func (st *State) Minute() {
	if st.minute >= restarts {
		return
	}
	st.minute++
	logQ := math.Log((1 - firstStake) / restarts)
	for m := range Metric(Metrics) {
		if m != Shift {
			st.labels[m].restart(st.grids[m], logQ)
		}
	}
	st.shift.restart(logQ)
}

// idle returns the share of the stake that is not yet bet.
func (st *State) idle() float64 {
	return (1 - firstStake) * float64(restarts-st.minute) / restarts
}

// Add sums up what another instance has counted since its last report: a State
// that it made by New and that has seen no Minute. An error means that st is
// unchanged, since the other one has minutes of its own or another configuration.
func (st *State) Add(other *State) error {
	switch {
	case other == nil:
		return errors.New("there is nothing to add")
	case other.minute > 0:
		return fmt.Errorf("the state to add has %d restarts of its own; only the state that sums may have them", other.minute)
	case !st.cfg.equal(other.cfg):
		return errors.New("the state to add was gathered with another configuration")
	}
	for m := range st.labels {
		l, o := &st.labels[m], &other.labels[m]
		l.Candidate += o.Candidate
		l.Events += o.Events
		l.Expected += o.Expected
		addAll(l.Log, o.Log)
	}
	st.shift.Candidate += other.shift.Candidate
	st.shift.Sessions += other.shift.Sessions
	addAll(st.shift.Log, other.shift.Log)
	for i := range st.shift.Safe {
		addAll(st.shift.Safe[i], other.shift.Safe[i])
	}
	st.bad += other.bad
	st.n += other.n
	for _, e := range other.epochs {
		st.addEpoch(e)
	}
	return nil
}

func addAll(to, from []float64) {
	for i, v := range from {
		to[i] += v
	}
}
