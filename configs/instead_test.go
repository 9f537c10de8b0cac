package configs

import (
	"slices"
	"strings"
	"testing"
)

func TestShieldForms(t *testing.T) {
	for text, want := range map[string]struct {
		on       bool
		statuses []int
	}{
		"": {}, "shield: false": {}, "shield: true": {on: true}, "shield: {}": {on: true},
		"shield: {statuses: [500, 501]}": {true, []int{500, 501}},
	} {
		s := mustParse(t, leastFile+"    "+text+"\n").Services["web"].Shield
		var statuses []int
		if s != nil {
			statuses = s.Statuses
		}
		if s.On() != want.on || !slices.Equal(statuses, want.statuses) {
			t.Errorf("%q: got %+v", text, s)
		}
	}
	if msg := mustFail(t, "x", []byte(leastFile+"    shield:\n")); !strings.Contains(msg, "nothing is given") {
		t.Error(msg)
	}
}
