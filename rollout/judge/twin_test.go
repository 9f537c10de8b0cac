package judge

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// event is a call of Events, or a minute mark where e is 0.
type event struct {
	x, e int
	s    float64
}

func events(t *rapid.T) []event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event {
		e := rapid.IntRange(0, 5).Draw(t, "e")
		return event{rapid.IntRange(0, e).Draw(t, "x"), e, rapid.Float64Range(0.001, 0.999).Draw(t, "s")}
	}), 0, 40).Draw(t, "events")
}

func tell(st *State, m Metric, all []event) {
	for _, ev := range all {
		if ev.e == 0 {
			st.Minute()
		} else {
			st.Events(m, ev.x, ev.e, ev.s)
		}
	}
}

// twin is a metric's evidence as one would write it down first: an array for each
// kind of bet, each with the whole formula.
type twin struct {
	tolerated, margin float64
	harm, safe        [reach + 1]float64
	around            [2*reach + 1]float64
	staked            float64
}

func newTwin(tolerated, margin float64) *twin {
	w := &twin{tolerated: tolerated, margin: margin, staked: 0.5}
	for k := range w.harm {
		w.harm[k] = math.Log(0.5)
	}
	return w
}

func (w *twin) take(ev event) {
	if ev.e == 0 {
		q := 0.5 / 120
		for k := range w.harm {
			w.harm[k] = math.Log(math.Exp(w.harm[k]) + q)
		}
		w.staked += q
		return
	}
	odds := func(ratio, base float64) float64 { return math.Log((1 + ev.s*(ratio-1)) / (1 + ev.s*(base-1))) }
	x, e := float64(ev.x), float64(ev.e)
	for k := 1; k <= reach; k++ {
		by := math.Pow(2, float64(k)/8)
		w.harm[k] += x*math.Log(by) - e*odds(w.tolerated*by, w.tolerated)
		w.safe[k] += -x*math.Log(by) - e*odds(w.margin/by, w.margin)
	}
	for i := range w.around {
		ratio := math.Pow(2, float64(i-reach)/8)
		w.around[i] += x*math.Log(ratio) - e*odds(ratio, 1)
	}
}

func (w *twin) values() (harm, safe float64) {
	total := 0.0
	for k := 1; k <= reach; k++ {
		total += 1 / math.Sqrt(float64(k))
	}
	for k := 1; k <= reach; k++ {
		harm += math.Exp(w.harm[k]) / math.Sqrt(float64(k)) / total
		safe += math.Exp(w.safe[k]) / math.Sqrt(float64(k)) / total
	}
	return harm + 1 - w.staked, safe
}

// interval returns the ratios that are not refuted, as the ends in steps.
func (w *twin) interval() (lo, hi int) {
	weight := func(k int) float64 { return 1 / math.Sqrt(math.Max(1, math.Abs(float64(k)))) }
	total, mix := 0.0, 0.0
	for i := range w.around {
		total += weight(i - reach)
	}
	for i, v := range w.around {
		mix += weight(i-reach) / total * math.Exp(v)
	}
	lo, hi = reach, -reach
	for i, v := range w.around {
		if mix/math.Exp(v) < 20 {
			lo, hi = min(lo, i-reach), max(hi, i-reach)
		}
	}
	return lo, hi
}

func TestEvidenceAgainstPlainArrays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tolerated := rapid.SampledFrom([]float64{1, 1.25, 2}).Draw(t, "tolerated")
		margins := []float64{1.5, 2, 3, 4}
		st := New(bare(tolerated, margins...))
		all := events(t)
		tell(st, Errors, all)
		for i, m := range margins {
			w := newTwin(tolerated, tolerated*m)
			for _, ev := range all {
				w.take(ev)
			}
			harm, safe := w.values()
			alike(t, "harm", harmOf(st), harm)
			alike(t, "safe", safeOf(st, i), safe)
			lo, hi := w.interval()
			if _, l, h := st.labels[Errors].estimate(st.grids[Errors], 1); l != lo || h != hi {
				t.Fatalf("the interval is [%d, %d], want [%d, %d]", l, h, lo, hi)
			}
		}
	})
}

func alike(t interface{ Fatalf(string, ...any) }, name string, got, want float64) {
	if !(math.Abs(got-want) <= 1e-9*math.Abs(want)) {
		t.Fatalf("%s = %.12g, want %.12g", name, got, want)
	}
}

func TestBatchesAreSumsOfEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batched, single := New(DefaultConfig()), New(DefaultConfig())
		all := events(t)
		tell(batched, P95, all)
		for _, ev := range all {
			if ev.e == 0 {
				single.Minute()
			}
			for i := range ev.e {
				single.Events(P95, min(max(ev.x-i, 0), 1), 1, ev.s)
			}
		}
		sameVerdicts(t, batched, single)
	})
}

// feed tells a state of everything there is to tell, but for minutes.
func feed(t *rapid.T, st *State, name string) {
	for range rapid.IntRange(0, 10).Draw(t, name) {
		s := rapid.Float64Range(0.01, 0.99).Draw(t, "s")
		e := rapid.IntRange(0, 50).Draw(t, "e")
		x := rapid.IntRange(0, e).Draw(t, "x")
		switch m := Metric(rapid.IntRange(0, 5).Draw(t, "kind")); m {
		case Shift:
			c, all, ref := histograms(t)
			st.Latencies(c, all, ref, s)
		case Errors, P95, P99:
			st.Events(m, x, e, s)
		case 4:
			st.Candidate(x, e)
		default:
			st.Sessions(uint64(e%4), x, e, 0.25)
		}
	}
}

func histograms(t *rapid.T) (candidate, all, ref []float64) {
	const buckets = 60
	candidate, all, ref = make([]float64, buckets), make([]float64, buckets), make([]float64, buckets)
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "histograms"), 1))
	for b := range ref {
		ref[b] = float64(r.IntN(31))
		candidate[b] = float64(r.IntN(3))
		all[b] = candidate[b] + float64(r.IntN(4))
	}
	return candidate, all, ref
}

func sameVerdicts(t *rapid.T, a, b *State) {
	in := Input{Share: 0.05, Next: 0.25, HoldOver: true, Rates: [Metrics]float64{1, 20, 1, 0.2}}
	va, vb := a.Judge(in), b.Judge(in)
	if va.Decision != vb.Decision || va.Reason != vb.Reason {
		t.Fatalf("%v for %q and %v for %q", va.Decision, va.Reason, vb.Decision, vb.Reason)
	}
	for i := range va.Metrics {
		ma, mb := va.Metrics[i], vb.Metrics[i]
		if math.Abs(ma.Harm-mb.Harm) > 1e-9*(1+math.Abs(ma.Harm)) || math.Abs(ma.Safe-mb.Safe) > 1e-9*(1+math.Abs(ma.Safe)) {
			t.Fatalf("%+v and %+v", ma, mb)
		}
	}
}

func TestInstancesAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, sum := New(DefaultConfig()), New(DefaultConfig())
		for range rapid.IntRange(0, 4).Draw(t, "reports") {
			part := New(DefaultConfig())
			feed(t, part, "calls")
			for _, st := range []*State{one, sum} {
				if err := st.Add(part); err != nil {
					t.Fatal(err)
				}
				st.Minute()
			}
		}
		sameVerdicts(t, one, sum)
		before, _ := json.Marshal(sum)
		bad := New(DefaultConfig())
		bad.Minute()
		if err := sum.Add(bad); err == nil {
			t.Fatal("a state with restarts of its own was added")
		}
		if err := sum.Add(New(bare(1, 2))); err == nil {
			t.Fatal("a state with another configuration was added")
		}
		if err := sum.Add(nil); err == nil {
			t.Fatal("nothing was added")
		}
		if after, _ := json.Marshal(sum); string(after) != string(before) {
			t.Fatal("a refused state left something behind")
		}
	})
}

// What instances counted apart is what one would have counted.
func TestPartsAddUpToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, sum := New(DefaultConfig()), New(DefaultConfig())
		parts := [3]*State{}
		report := func() {
			for i, p := range parts {
				if p != nil {
					if err := sum.Add(p); err != nil {
						t.Fatal(err)
					}
				}
				parts[i] = New(DefaultConfig())
			}
		}
		report()
		for i, ev := range events(t) {
			if ev.e == 0 {
				report()
				sum.Minute()
				whole.Minute()
				continue
			}
			m := []Metric{Errors, P95, P99}[i%3]
			whole.Events(m, ev.x, ev.e, ev.s)
			parts[rapid.IntRange(0, 2).Draw(t, "instance")].Events(m, ev.x, ev.e, ev.s)
		}
		report()
		sameVerdicts(t, whole, sum)
	})
}

func TestStateSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := New(DefaultConfig())
		feed(t, st, "before")
		st.Minute()
		feed(t, st, "after")
		first, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		read := New(bare(1, 2))
		if err := json.Unmarshal(first, read); err != nil {
			t.Fatal(err)
		}
		if second, _ := json.Marshal(read); string(first) != string(second) {
			t.Fatalf("%s\nbecame\n%s", first, second)
		}
		sameVerdicts(t, st, read)
	})
}
