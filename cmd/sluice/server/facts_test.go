package server

import (
	"slices"
	"testing"

	"sluice/configs"
)

func TestNamedVersions(t *testing.T) {
	got := named(&configs.Service{Rules: []configs.Rule{{Version: "v1"}, {Split: &configs.Split{Weights: map[string]int{"v2": 1, "v3": 0}}}}})
	if slices.Sort(got); !slices.Equal(got, []string{"v1", "v2", "v3"}) {
		t.Errorf("%v", got)
	}
}
