package driver

import (
	"testing"

	"pgregory.net/rapid"

	"sluice/rollout/judge"
	"sluice/state"
)

func TestGuardsLeaveTheRestToTheJudge(t *testing.T) {
	cfg, defaults := judgeConfig(state.Guards{}), judge.DefaultConfig()
	if cfg.Alpha != defaults.Alpha || cfg.Ceiling != defaults.Ceiling || len(cfg.Margins) != len(defaults.Margins) || cfg.Tolerated[judge.P95] != defaults.Tolerated[judge.P95] {
		t.Errorf("%+v", cfg)
	}
}

func TestGuardsAreTranslated(t *testing.T) {
	cfg := judgeConfig(state.Guards{Alpha: 0.05, Ceiling: 0.002, Latency: 0.32, Margins: map[int]float64{2500: 2, 500: 3}})
	if cfg.Alpha != 0.05 || cfg.Ceiling != 0.002 || cfg.Tolerated[judge.Shift] != 1.32 {
		t.Errorf("%+v", cfg)
	}
	want := []judge.Margin{{UpTo: 0.05, Ratio: 3}, {UpTo: 0.25, Ratio: 2}, {UpTo: 1, Ratio: 1.5}}
	for i, m := range cfg.Margins {
		if m.UpTo != want[i].UpTo || m.Ratio != want[i].Ratio {
			t.Errorf("margin %d: %+v, want %+v", i, m, want[i])
		}
	}
	defaults := judge.DefaultConfig()
	if got, want := cfg.Margins[2].Latency, defaults.Margins[len(defaults.Margins)-1].Latency; got != want {
		t.Errorf("latencies' margin is %v of what is tolerated, not %v: the judge has that in it already", got, want)
	}
	if got := judgeConfig(state.Guards{Margins: map[int]float64{10_000: 1.1}}).Tolerated[judge.P99]; got >= 1.1 {
		t.Errorf("the tails are allowed %v where 1.1 must be refuted", got)
	}
	if got := judgeConfig(state.Guards{Latency: -1}).Tolerated[judge.Shift]; got != 1 {
		t.Errorf("latencies are allowed %v where nothing was", got)
	}
	for latency, want := range map[float64]float64{0: 1.1, -1: 1, 0.5: 1.5, 99: mostTolerated} {
		if got := Slower(state.Guards{Latency: latency}); got != want {
			t.Errorf("latency %v: %v times as slow, want %v", latency, got, want)
		}
	}
	for objectives, want := range map[float64]float64{0: 0.05, -1: 0, 0.2: 0.2} {
		if got := objective(state.Guards{Objective: objectives}); got != want {
			t.Errorf("objective %v: %v, want %v", objectives, got, want)
		}
	}
}

// TestTheJudgeTakesAnyGuards that a policy may have.
func TestTheJudgeTakesAnyGuards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := state.Guards{
			Alpha:   rapid.Float64Range(1e-6, 0.5).Draw(t, "alpha"),
			Ceiling: rapid.Float64Range(0, 1).Draw(t, "ceiling"),
			Latency: rapid.Float64Range(-1, 10).Draw(t, "latency"),
			Margins: rapid.MapOfN(rapid.IntRange(1, 10_000), rapid.Float64Range(1.0001, 100), 0, 12).Draw(t, "margins"),
		}
		if err := judgeConfig(g).Validate(); err != nil {
			t.Errorf("%+v: %v", g, err)
		}
	})
}
