package judge

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
)

// onlyErrors is the default configuration for errors alone.
func onlyErrors() Config {
	c := DefaultConfig()
	c.Votes = map[Metric]float64{Errors: 1}
	return c
}

var now = Input{Share: 0.05, Next: 0.25, HoldOver: true, Rates: [Metrics]float64{0.5, 20, 1, 0.2}}

func TestDecisions(t *testing.T) {
	traffic := func(st *State) { st.Sessions(1, 500, 10000, 0.05); st.Candidate(0, 500) }
	for _, c := range []struct {
		name     string
		cfg      Config
		seen     func(st *State)
		in       Input
		decision Decision
		reason   string
		blame    []Metric
		text     string // part of the account
	}{
		{"nothing yet", onlyErrors(), func(*State) {}, now, Hold, ReasonNoTraffic, nil, "no session"},
		{"no session in this epoch", onlyErrors(), func(st *State) { traffic(st); st.Sessions(2, 0, 10, 0.25) }, now, Hold, ReasonNoTraffic, nil, "no session"},
		{"who joined is traffic, and says nothing of the split", onlyErrors(),
			func(st *State) { st.Sessions(2, 0, 10, 0.25); st.Joined(2, 900, 0.25); st.Candidate(0, 900) },
			now, Hold, ReasonUndecided, []Metric{Errors}, "no bad sessions in either version"},
		{"five bad sessions of five the candidate's", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 5, 5, 0.05) },
			now, RollBack, ReasonHarm, []Metric{Errors}, "errors, 5 of 5 bad sessions the candidate's at 5% of the exposure"},
		{"two can't roll back", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 2, 2, 0.001) },
			now, Hold, ReasonSuspicious, []Metric{Errors}, "not before 3"},
		{"nor do a few", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 2, 2, 0.05) },
			now, Hold, ReasonSuspicious, []Metric{Errors}, "The evidence of harm is 23; 100 rolls back."},
		{"a split that is not by weight", onlyErrors(), func(st *State) { st.Sessions(3, 120, 1000, 0.05) }, now, Hold, ReasonBroken, nil, "Of 1000 sessions assigned in epoch 3, 120 went"},
		{"an early split that was not", onlyErrors(), func(st *State) { st.Sessions(3, 120, 1000, 0.05); st.Sessions(4, 250, 1000, 0.25) },
			now, Hold, ReasonBroken, nil, "in epoch 3"},
		{"too few events", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 1, 20, 0.05) },
			now, Hold, ReasonUndecided, []Metric{Errors}, "evidence against 3 times"},
		{"enough of them", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 3, 100, 0.05) },
			now, Promote, ReasonEvidence, nil, "Promote to 25%: every metric refutes its margin: errors, 3 of 100"},
		{"enough for a stage, not for the next", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 3, 100, 0.05) },
			Input{Share: 0.05, Next: 1, HoldOver: true}, Hold, ReasonUndecided, []Metric{Errors}, "No promotion in sight"},
		{"before the minimum hold", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 3, 100, 0.05) },
			Input{Share: 0.05, Next: 0.25}, Hold, ReasonMinimum, nil, "minimum hold is not over"},
		{"a service that never fails", onlyErrors(), func(st *State) { traffic(st); st.Candidate(0, 6000) }, now, Promote, ReasonEvidence, nil, "errors, no bad sessions in either version, evidence against"},
		{"with all sessions there is nobody to compare with", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 1, 20, 0.05) },
			Input{Share: 1, Next: 1, HoldOver: true}, Hold, ReasonUndecided, []Metric{Errors}, "nobody to compare them with: time, guards and the alarm decide. The evidence of harm is"},
		{"without a ceiling it waits", func() Config { c := onlyErrors(); c.Ceiling = 0; return c }(),
			func(st *State) { traffic(st); st.Candidate(0, 6000) }, now, Hold, ReasonUndecided, []Metric{Errors}, ""},
		{"every metric must be safe", DefaultConfig(), func(st *State) { traffic(st); st.Events(Errors, 3, 100, 0.05) },
			now, Hold, ReasonUndecided, []Metric{Shift, P95, P99}, "shift, latencies about"},
		{"a tail is blamed", DefaultConfig(), func(st *State) { traffic(st); st.Events(P99, 9, 9, 0.05) }, now, RollBack, ReasonHarm, []Metric{P99}, "p99, 9 of 9"},
		{"harm comes before a broken split", onlyErrors(), func(st *State) { st.Sessions(3, 120, 1000, 0.05); st.Events(Errors, 5, 5, 0.05) },
			now, RollBack, ReasonHarm, []Metric{Errors}, ""},
		{"clients that fail in bursts", onlyErrors(), func(st *State) { traffic(st); st.Events(Errors, 5, 5, 0.05) },
			Input{Share: 0.05, Next: 0.25, HoldOver: true, Dispersion: 5}, Hold, ReasonUndecided, []Metric{Errors}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := New(c.cfg)
			c.seen(st)
			v := st.Judge(c.in)
			if v.Decision != c.decision || v.Reason != c.reason || !slices.Equal(v.Blame, c.blame) {
				t.Errorf("got %v for %q, blaming %v; want %v for %q, blaming %v", v.Decision, v.Reason, v.Blame, c.decision, c.reason, c.blame)
			}
			if !strings.Contains(v.Text, c.text) {
				t.Errorf("%q does not say %q", v.Text, c.text)
			}
		})
	}
}

// What an account says is what the numbers say.
func TestAccount(t *testing.T) {
	st := New(onlyErrors())
	st.Sessions(1, 500, 10000, 0.05)
	st.Events(Errors, 30, 300, 0.05)
	v := st.Judge(now)
	const want = "Hold, suspicious: errors, 30 of 300 bad sessions the candidate's at 5% of the exposure, 2.18 times the baseline's rate (95%: 1 to 4). The evidence of harm is 39.6; 100 rolls back."
	if v.Text != want {
		t.Errorf("got  %s\nwant %s", v.Text, want)
	}
	if math.Abs(v.R-39.5529947) > 1e-6 || v.MinutesToRollBack == nil || math.Abs(*v.MinutesToRollBack-1.4) > 0.1 {
		t.Errorf("got %v in %v min", v.R, *v.MinutesToRollBack)
	}
	theta := shareAt(v.Metrics[0].Ratio, 0.05)
	if want := 60 * 0.5 * (theta - theta/v.Metrics[0].Ratio); math.Abs(v.ExcessPerMinute-want) > 1e-9 {
		t.Errorf("%v excess a minute, want %v", v.ExcessPerMinute, want)
	}
}

func TestForecasts(t *testing.T) {
	st := New(onlyErrors())
	st.Sessions(1, 500, 10000, 0.05)
	st.Events(Errors, 1, 20, 0.05)
	v := st.Judge(Input{Share: 0.05, Next: 0.25, Rates: [Metrics]float64{Errors: 0.5}})
	if v.MinutesToRollBack != nil {
		t.Errorf("a candidate that is no worse rolls back in %v min", *v.MinutesToRollBack)
	}
	missing := math.Log(20) + 1 - v.Metrics[0].Safe
	if want := missing / (0.5 * divergence(0.05, shareAt(3, 0.05))) / 60; v.MinutesToPromote == nil || math.Abs(*v.MinutesToPromote-want) > 0.01*want {
		t.Errorf("promotes in %v min, want %v", *v.MinutesToPromote, want)
	}
	if v.MinutesToPromoteAtNext == nil || *v.MinutesToPromoteAtNext >= *v.MinutesToPromote {
		t.Error("more traffic does not decide sooner")
	}
	if v = st.Judge(Input{Share: 0.05, Next: 0.25}); v.MinutesToPromote != nil || !strings.Contains(v.Text, "No promotion in sight") {
		t.Errorf("without traffic: %q", v.Text)
	}
}

// Whatever is told, the answer is finite and can be written down.
func TestNothingBreaksTheJudge(t *testing.T) {
	st := New(Config{Alpha: math.NaN(), Margins: []Margin{{2, -1, 0}}, Votes: map[Metric]float64{9: 1}})
	if err := st.Config().Validate(); err != nil {
		t.Fatal(err)
	}
	numbers := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, 1e-300, 0.5, 1, 2, math.MaxFloat64}
	counts := []int{math.MinInt, -1, 0, 1, 1 << 30, math.MaxInt}
	for _, f := range numbers {
		for _, x := range counts {
			for _, e := range counts {
				st.Events(Metric(x&7), x, e, f)
				st.Candidate(x, e)
				st.Sessions(uint64(e), x, e, f)
			}
			st.Latencies([]float64{f, 1}, []float64{1, f}, []float64{float64(x), 1}, 0.5)
		}
		st.Latencies(nil, []float64{1}, []float64{1, 2}, f)
		for _, g := range numbers {
			in := Input{Share: f, Next: g, HoldOver: true, Dispersion: g, Rates: [Metrics]float64{f, g, f, g}}
			if _, err := json.Marshal(st.Judge(in)); err != nil {
				t.Fatalf("%+v: %v", in, err)
			}
		}
	}
	for range 200 {
		st.Events(Errors, 1_000_000, 1_000_000, 0.01)
		st.Minute()
	}
	v := st.Judge(now)
	if _, err := json.Marshal(v); err != nil || v.R != math.MaxFloat64 || v.Decision != RollBack {
		t.Errorf("%v: %+v", err, v)
	}
	text, err := json.Marshal(st)
	if err != nil || json.Unmarshal(text, New(DefaultConfig())) != nil {
		t.Errorf("a document of %d bytes can't be read: %v", len(text), err)
	}
}

// A candidate without an event has no lower end, at any share.
func TestNoEventOfTheCandidate(t *testing.T) {
	st := New(onlyErrors())
	st.Sessions(1, 500, 10000, 0.05)
	st.Events(Errors, 0, 50, 0.05)
	for _, share := range []float64{0, 0.05, 0.999999, 1} {
		v := st.Judge(Input{Share: share, Next: 1, Rates: now.Rates})
		if m := v.Metrics[0]; m.Ratio != 0 || m.Lo != 0 || m.Hi < 1.8 || m.Hi > 1.9 {
			t.Errorf("%v times, from %v to %v", m.Ratio, m.Lo, m.Hi)
		}
		if _, err := json.Marshal(v); err != nil || v.ExcessPerMinute > 0 {
			t.Errorf("at a share of %v: an excess of %v, %v", share, v.ExcessPerMinute, err)
		}
	}
}

// A regression that begins after an hour without one is seen nearly as fast.
func TestLateRegression(t *testing.T) {
	needed := func(minutes int) int {
		st := New(onlyErrors())
		st.Sessions(1, 500, 10000, 0.05)
		for range minutes {
			st.Events(Errors, 1, 20, 0.05)
			st.Minute()
		}
		for n := 1; n < 1000; n++ {
			st.Events(Errors, 1, 4, 0.05)
			if st.Judge(now).Decision == RollBack {
				return n
			}
		}
		return 1000
	}
	if early, late := needed(0), needed(60); late > early+8 {
		t.Errorf("%d bad sessions at the beginning, %d after an hour", early, late)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"alpha is 0; it must be above 0 and at most 0.5":                                          func(c *Config) { c.Alpha = 0 },
		"beta is NaN; it must be above 0 and at most 0.5":                                         func(c *Config) { c.Beta = math.NaN() },
		"ceiling is 0.6; it must be from 0 to 0.5":                                                func(c *Config) { c.Ceiling = 0.6 },
		"the vote of p95 is -1; votes must be from 0 to 1000000":                                  func(c *Config) { c.Votes = map[Metric]float64{P95: -1} },
		"the vote of metric(7) is 1; votes must be from 0 to 1000000":                             func(c *Config) { c.Votes = map[Metric]float64{7: 1} },
		"no metric has a vote; at least one must":                                                 func(c *Config) { c.Votes = nil },
		"tolerated of errors is 0.5; it must be a ratio from 1 to 16":                             func(c *Config) { c.Tolerated = map[Metric]float64{Errors: 0.5} },
		"there are 0 margins; from 1 to 16 are possible":                                          func(c *Config) { c.Margins = nil },
		"margins[1].up_to is 0.05; it must be above 0.05 and at most 1":                           func(c *Config) { c.Margins[1].UpTo = 0.05 },
		"margins[0].ratio is 1; it must be above 1 and at most 100":                               func(c *Config) { c.Margins[0].Ratio = 1 },
		"margins[0].latency is 17; it must be above 1 and at most 16":                             func(c *Config) { c.Margins[0].Latency = 17 },
		"the last of margins holds up to 0.5; it must hold up to 1":                               func(c *Config) { c.Margins = c.Margins[:3] },
		"alpha is 2; it must be above 0 and at most 0.5\nno metric has a vote; at least one must": func(c *Config) { c.Alpha, c.Votes = 2, nil },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestMarginsByShare(t *testing.T) {
	c := DefaultConfig()
	for share, want := range map[float64]float64{0.01: 4, 0.05: 4, 0.06: 3, 0.25: 3, 0.5: 2, 0.51: 1.5, 1: 1.5, 2: 1.5} {
		if got := c.Margin(share); got != want {
			t.Errorf("the margin at %v is %v, want %v", share, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for m := range Metric(Metrics) {
		var read Metric
		if text, err := m.MarshalText(); err != nil || read.UnmarshalText(text) != nil || read != m || m.String() != string(text) {
			t.Errorf("%v is read as %v", m, read)
		}
	}
	for _, d := range []Decision{Hold, RollBack, Promote} {
		var read Decision
		if text, err := d.MarshalText(); err != nil || read.UnmarshalText(text) != nil || read != d || d.String() != string(text) {
			t.Errorf("%v is read as %v", d, read)
		}
	}
	if _, err := Metric(9).MarshalText(); err == nil {
		t.Error("metric 9 has a name")
	}
	if _, err := Decision(9).MarshalText(); err == nil {
		t.Error("decision 9 has a name")
	}
	if err := new(Metric).UnmarshalText([]byte("p50")); err == nil {
		t.Error("p50 is a metric")
	}
	if err := new(Decision).UnmarshalText([]byte("go")); err == nil {
		t.Error("go is a decision")
	}
}

func TestEpochsAreBounded(t *testing.T) {
	st := New(DefaultConfig())
	for e := range uint64(100) {
		st.Sessions(e, 1, 10, 0.1)
		st.Sessions(e, 1, 10, 0.1)
	}
	st.Sessions(70, 1, 10, 0.1)
	if len(st.epochs) != maxEpochs || st.epochs[0].Epoch != 68 || st.epochs[2].All != 30 {
		t.Errorf("%+v", st.epochs)
	}
}
