package judge

import (
	"math"
	"testing"
)

// The vectors were computed with 40 digits by other means.

// bare is a configuration with which the vectors' bets are made: nothing is
// tolerated, and the margins are those that they refute.
func bare(tolerated float64, margins ...float64) Config {
	c := DefaultConfig()
	c.Tolerated = map[Metric]float64{Errors: tolerated}
	c.Margins = nil
	for i, m := range margins {
		c.Margins = append(c.Margins, Margin{float64(i+1) / float64(len(margins)), m, 2})
	}
	return c
}

// unmixed is the e-value of harm without restarts, all of it staked.
func unmixed(st *State, dispersion float64) float64 {
	var sum logSum
	l, g := &st.labels[Errors], st.grids[Errors]
	for k := 1; k <= reach; k++ {
		sum.add(g.stakes[k] + l.harmGain(g, k)/dispersion)
	}
	return math.Exp(sum.log())
}

func harmOf(st *State) float64 {
	return math.Exp(st.labels[Errors].harm(st.grids[Errors], st.idle(), 1))
}

func safeOf(st *State, margin int) float64 {
	return math.Exp(st.labels[Errors].safe(st.grids[Errors], margin, 1))
}

// near fails the test unless got has want's nine digits.
func near(t *testing.T, name string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 5e-9*math.Abs(want)) {
		t.Errorf("%s = %.12g, want %.12g", name, got, want)
	}
}

func interval(t *testing.T, st *State, best, lo, hi int) {
	t.Helper()
	b, l, h := st.labels[Errors].estimate(st.grids[Errors], 1)
	if best != 1000 && b != best || l != lo || h != hi {
		t.Errorf("estimate %d in [%d, %d], want %d in [%d, %d]", b, l, h, best, lo, hi)
	}
}

func TestStakes(t *testing.T) {
	g := newGrid(bare(1, 2), Errors)
	for _, c := range []struct {
		k    int
		want float64
	}{{1, 0.0802047}, {reach, 0.0115766}} {
		if got := math.Exp(g.stakes[c.k]); math.Abs(got-c.want) > 5e-8 {
			t.Errorf("the stake on %d steps is %.9f, want %v", c.k, got, c.want)
		}
	}
}

func TestVectorCandidateAlone(t *testing.T) {
	st := New(bare(1, 2))
	for i, want := range [][3]float64{
		{5.115879449, 3.057939724, 0.3793701472},
		{45.06427726, 23.03213863, 0.2396218947},
		{503.1244072, 252.0622036, 0.176939736},
	} {
		st.Events(Errors, 1, 1, 0.05)
		near(t, "E0", unmixed(st, 1), want[0])
		near(t, "harm", harmOf(st), want[1])
		near(t, "safe", safeOf(st, 0), want[2])
		if i == 0 {
			l := &st.labels[Errors]
			near(t, "the bet on 8 steps", l.Base[7]+l.harmGain(st.grids[Errors], 8), -0.04879016417)
		}
	}
}

func TestVectorBaselineAlone(t *testing.T) {
	for _, c := range []struct {
		e                int
		e0, harm, safe   float64
		lo, hi, interval int
	}{
		{1, 0.7833747659, 0.8916873829, 1.065329458, 0, 0, 0},
		{50, 0.1614640986, 0.5807320493, 51.8485607, -48, 6, 1},
		{100, 0.09343528964, 0.5467176448, 4990.487024, -48, -1, 1},
	} {
		st := New(bare(1, 2))
		st.Events(Errors, 0, c.e, 0.05)
		near(t, "E0", unmixed(st, 1), c.e0)
		near(t, "harm", harmOf(st), c.harm)
		near(t, "safe", safeOf(st, 0), c.safe)
		if c.interval == 1 {
			interval(t, st, 1000, c.lo, c.hi)
		}
	}
}

func TestVectorRestart(t *testing.T) {
	st := New(bare(1, 2))
	st.Events(Errors, 0, 1, 0.05)
	st.Events(Errors, 1, 2, 0.05)
	st.Minute()
	st.Events(Errors, 1, 1, 0.25)
	st.Events(Errors, 0, 3, 0.25)
	st.Events(Errors, 2, 2, 0.25)
	near(t, "E0", unmixed(st, 1), 2.695079822)
	near(t, "harm", harmOf(st), 1.848788936)
	near(t, "safe", safeOf(st, 0), 0.2425306933)
	near(t, "pi", 1-st.idle(), 0.5041666667)
	interval(t, st, 16, -10, 42)
}

func TestVectorMany(t *testing.T) {
	st := New(bare(1, 2))
	st.Events(Errors, 30, 300, 0.05)
	near(t, "E0", unmixed(st, 1), 78.1059894)
	near(t, "harm", harmOf(st), 39.5529947)
	near(t, "safe", safeOf(st, 0), 0.1183876656)
	near(t, "tempered E0", unmixed(st, 2.5), 3.133649937)
	near(t, "tempered harm", math.Exp(st.labels[Errors].harm(st.grids[Errors], st.idle(), 2.5)), (3.133649937+1)/2)
	interval(t, st, 9, 1, 15)
}

func TestVectorAlike(t *testing.T) {
	st := New(bare(1, 2, 1.5))
	st.Events(Errors, 250, 1000, 0.25)
	near(t, "E0", unmixed(st, 1), 0.04247696595)
	near(t, "harm", harmOf(st), 0.521238483)
	near(t, "safe at 2", safeOf(st, 0), 2.701481148e20)
	near(t, "safe at 1.5", safeOf(st, 1), 1068345.837)
	interval(t, st, 1000, -2, 2)
}

func TestVectorTolerated(t *testing.T) {
	st := New(bare(1.25, 2))
	st.Events(Errors, 40, 100, 0.25)
	near(t, "E0", unmixed(st, 1), 2.765852582)
	near(t, "harm", harmOf(st), 1.882926291)
}

// expect returns the mean of an e-value over the number of the candidate's events.
func expect(e int, probability func(x int) float64, value func(x int) float64) float64 {
	sum := 0.0
	for x := 0; x <= e; x++ {
		sum += probability(x) * value(x)
	}
	return sum
}

func choose(n, k int) float64 {
	c := 1.0
	for i := range k {
		c = c * float64(n-i) / float64(i+1)
	}
	return c
}

func binomial(n, x int, p float64) float64 {
	return choose(n, x) * math.Pow(p, float64(x)) * math.Pow(1-p, float64(n-x))
}

func TestVectorExpectations(t *testing.T) {
	taken := func(x, e int) *State {
		st := New(bare(1, 2))
		st.Events(Errors, x, e, 0.05)
		return st
	}
	near(t, "E0 of an event", expect(1, func(x int) float64 { return binomial(1, x, 0.05) },
		func(x int) float64 { return unmixed(taken(x, 1), 1) }), 1)
	near(t, "E0 of three without return", expect(3, func(x int) float64 { return choose(5, x) * choose(95, 3-x) / choose(100, 3) },
		func(x int) float64 { return unmixed(taken(x, 3), 1) }), 0.946780143606)
	near(t, "safe at 2", expect(3, func(x int) float64 { return binomial(3, x, shareAt(2, 0.05)) },
		func(x int) float64 { return safeOf(taken(x, 3), 0) }), 1)
}

func TestVectorCeiling(t *testing.T) {
	for _, c := range []struct {
		x, n int64
		want float64
	}{{0, 3000, 13.45701851}, {0, 6000, 213.6280604}, {1, 8000, 74.40625913}, {3, 10000, 9.694061287}, {10, 10000, 0.0577677676}} {
		near(t, "ceiling", math.Exp(ceiling(c.x, c.n, 0.001)), c.want)
	}
}

func TestVectorShift(t *testing.T) {
	ref := []float64{10, 40, 30, 15, 5}
	reference, odds := make([]float64, 5), make([]float64, 5)
	smooth(reference, ref)
	gains := 0.0
	for _, c := range []struct {
		by   int
		odds []float64
		gain float64
	}{
		{1, []float64{0.047619048, 0.25925926, 1.3278689, 1.9677419, 3.7272727}, 3.652272952},
		{2, []float64{0.047619048, 0.047619048, 0.3442623, 2.6129032, 9.1818182}, 2.536760301},
	} {
		slowerOdds(odds, reference, c.by, quantile(ref, 0.01))
		for b := range odds {
			if math.Abs(odds[b]-c.odds[b]) > 5e-8*c.odds[b] {
				t.Errorf("odds by %d at %d are %v, want %v", c.by, b, odds[b], c.odds[b])
			}
		}
		g := gain(odds, []float64{0, 1, 2, 3, 2}, []float64{10, 41, 32, 18, 7}, 0.1)
		near(t, "gain", g, c.gain)
		gains += math.Exp(g) / 2
	}
	near(t, "mix", gains, 25.60043785)
}

func TestVectorDispersion(t *testing.T) {
	near(t, "phi", Dispersion([]int{1, 1, 3, 5}), 3.6)
}

func TestVectorVotes(t *testing.T) {
	c := DefaultConfig()
	c.Votes = map[Metric]float64{Errors: 0.4, Shift: 0.2, P95: 0.2, P99: 0.2}
	var sum logSum
	for m, e := range []float64{60, 90, 300, 5} {
		sum.add(math.Log(c.vote(Metric(m))) + math.Log(e))
	}
	near(t, "R", math.Exp(sum.log()), 103)
}

func TestVectorDivergence(t *testing.T) {
	for _, c := range []struct{ s, ratio, want float64 }{
		{0.05, 2, 0.014132805}, {0.05, 1.5, 0.0044193572}, {0.25, 2, 0.049856756}, {0.25, 1.5, 0.016416759},
	} {
		if got := divergence(c.s, shareAt(c.ratio, c.s)); math.Abs(got-c.want) > 1e-7*c.want {
			t.Errorf("divergence at %v, ratio %v: %.10g, want %.10g", c.s, c.ratio, got, c.want)
		}
	}
}

func TestVectorSessionShare(t *testing.T) {
	near(t, "log Bayes factor", sessionShare(80, 1000, 0.05), 3.874627854)
}
