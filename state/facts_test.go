package state

import (
	"slices"
	"testing"
)

func TestTheKeeperAsksForFactsOfWhatMayRise(t *testing.T) {
	var asked [][]string
	k, err := NewKeeper(t.Context(), &flakyStore{}, KeeperOptions{Facts: func(services []string) *Facts {
		asked = append(asked, services)
		return &Facts{Known: map[string]map[string]int{"web": {"v2": 1}}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	do := func(cmd Command, meta Meta) error {
		meta.By = "anna"
		_, err := k.Do(t.Context(), cmd, meta)
		return err
	}
	if err := do(declare(map[string]int{"v1": 100, "v2": 0}), Meta{}); err != nil || len(asked) != 1 || asked[0] != nil {
		t.Fatalf("asked %v, error %v: the file may raise any share", asked, err)
	}
	if err := do(PutVersion{Service: "web", Version: "ci", Spec: spec("ci")}, Meta{}); err != nil || len(asked) != 1 {
		t.Fatalf("asked %v, error %v: a registration raises none", asked, err)
	}
	if err := do(flipTo("v2", 1), Meta{}); err == nil || !slices.Equal(asked[1], []string{"web"}) {
		t.Fatalf("asked %v, error %v", asked, err)
	}
	if err := do(flipTo("v2", 1), Meta{Facts: &Facts{}}); err != nil || len(asked) != 2 {
		t.Fatalf("asked %v, error %v: the caller's facts count", asked, err)
	}
}
