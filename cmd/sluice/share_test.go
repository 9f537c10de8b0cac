package main

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"sluice/admin/api"
	"sluice/state"
)

func TestParseShare(t *testing.T) {
	for text, want := range map[string]int{
		"0%": 0, "5%": 500, "05%": 500, "0.01%": 1, "0.1%": 10, "12.5%": 1250, "99.99%": 9999, "100%": 10000, "100.00%": 10000,
	} {
		if got, err := parseShare(text); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "%", "5", "0.05", "-5%", "+5%", "5.%", ".5%", "5.005%", "100.01%", "101%", "1000%", "5 %", " 5%", "1e1%", "5.-1%", "0x5%", "1_0%", "5%%", "١%",
	} {
		if got, err := parseShare(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

func TestShifted(t *testing.T) {
	for _, c := range []struct {
		before  map[string]int
		version string
		share   int
		want    map[string]int
	}{
		{map[string]int{"v1": 100, "v2": 0}, "v2", 500, map[string]int{"v1": 95, "v2": 5}},
		{map[string]int{"v1": 1, "v2": 0}, "v2", 1, map[string]int{"v1": 9999, "v2": 1}},
		{map[string]int{"v1": 95, "v2": 5}, "v2", 10000, map[string]int{"v1": 0, "v2": 100}},
		{map[string]int{"v1": 95, "v2": 5}, "v2", 0, map[string]int{"v1": 100, "v2": 0}},
		{map[string]int{"v1": 95, "v2": 5}, "v1", 5000, map[string]int{"v1": 50, "v2": 50}},
		{map[string]int{"v1": 60, "v2": 30, "v3": 10}, "v3", 4000, map[string]int{"v1": 40, "v2": 20, "v3": 40}},
		{map[string]int{"v1": 33, "v2": 67, "v3": 0}, "v3", 500, map[string]int{"v1": 3135, "v2": 6365, "v3": 500}},
		{map[string]int{"v1": 1, "v2": 1, "v3": 1, "v4": 0}, "v4", 0, map[string]int{"v1": 1, "v2": 1, "v3": 1, "v4": 0}},
		{map[string]int{"v1": 0, "v2": 0}, "v2", 10000, map[string]int{"v1": 0, "v2": 100}},
		// 333:667 beside 0.07% takes larger weights than there are.
		{map[string]int{"v1": 333, "v2": 667, "v3": 0}, "v3", 7, map[string]int{"v1": 332767, "v2": 666533, "v3": 700}},
	} {
		got, err := shifted(c.before, c.version, c.share)
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%v, %s to %d: %v, %v; want %v", c.before, c.version, c.share, got, err, c.want)
		}
	}
}

func TestShiftedRefuses(t *testing.T) {
	many := map[string]int{"new": 0}
	for i := range 300 {
		many[fmt.Sprint("v", i)] = 1 + 7919*i%state.MaxWeight
	}
	for name, c := range map[string]struct {
		before  map[string]int
		version string
		share   int
		status  int
	}{
		"no such version":             {map[string]int{"v1": 100}, "v2", 500, 404},
		"nobody takes the rest":       {map[string]int{"v1": 100, "v2": 0}, "v1", 500, 409},
		"nobody takes any":            {map[string]int{"v1": 100, "v2": 0}, "v1", 0, 409},
		"too many for what is left":   {many, "new", 9999, 409},
		"a version of an empty state": {nil, "v1", 10000, 404},
	} {
		var p *api.Problem
		if got, err := shifted(c.before, c.version, c.share); !errors.As(err, &p) || p.Status != c.status || p.Remedy == "" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestShiftedIsExact holds the arithmetic to its promises.
func TestShiftedIsExact(t *testing.T) {
	weight := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, state.MaxWeight))
	rapid.Check(t, func(t *rapid.T) {
		before := map[string]int{"new": weight.Draw(t, "new")}
		others := 0
		for i := range rapid.IntRange(1, 12).Draw(t, "versions") {
			w := weight.Draw(t, "weight")
			before[fmt.Sprint("v", i)] = w
			others += w
		}
		share := rapid.OneOf(rapid.IntRange(0, wholeShare), rapid.SampledFrom([]int{1, 9999})).Draw(t, "share")
		after, err := shifted(before, "new", share)
		if err != nil {
			if others > 0 || share == wholeShare {
				t.Fatal(err)
			}
			return
		}
		sum := total(after)
		if len(after) != len(before) || after["new"]*wholeShare != share*sum {
			t.Fatalf("%d of %d is not the share: %v", after["new"], sum, after)
		}
		// In thousandths of a percent of the sum, or two whole weights where
		// that is more: each gets 1 before the rest is rounded.
		slack := max(2.0, float64(sum)/100_000) + float64(len(before))
		if sum < state.MaxWeight {
			slack = 0.001 // exact but for the arithmetic of this test
		}
		for name, w := range before {
			if name == "new" || share == wholeShare {
				continue
			}
			want := float64(w) / float64(others) * float64(sum-after["new"])
			if diff := float64(after[name]) - want; diff > slack || diff < -slack {
				t.Fatalf("%s: %d, want %f of %v", name, after[name], want, after)
			}
			if (w > 0) != (after[name] > 0) || after[name] > state.MaxWeight {
				t.Fatalf("%s went from %d to %d", name, w, after[name])
			}
		}
	})
}
