package proxy

import (
	"testing"

	"sluice/proxy/upstream"
	"sluice/routing"
)

// A table made of another shares what did not change, and a version that keeps
// its endpoints keeps the count of its retries, so that flips do not refill the
// budget.
func TestTableWithSharesTheRest(t *testing.T) {
	service := func(name string, slots ...int) routing.ServiceConfig {
		svc := routing.ServiceConfig{Name: name}
		for i, slot := range slots {
			svc.Versions = append(svc.Versions, routing.VersionConfig{Name: string(rune('a' + i)), Slot: slot, Weight: 1})
		}
		return svc
	}
	snapshot, err := routing.Build(routing.Config{Services: []routing.ServiceConfig{service("web", 0, 1), service("api", 2)}})
	if err != nil {
		t.Fatal(err)
	}
	clusters := make([]*upstream.Cluster, 4)
	for i := range clusters {
		if clusters[i], err = upstream.New(upstream.Config{}, upstream.Deps{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(clusters[i].Close)
	}
	old := NewTable(snapshot, []Target{{Cluster: clusters[0]}, {Cluster: clusters[1]}, {Cluster: clusters[2]}})
	next, err := snapshot.With(2, service("web", 0, 3))
	if err != nil {
		t.Fatal(err)
	}
	table := old.With(next, []string{"web"}, map[int]Target{
		0: {Cluster: clusters[0], Shape: "12"}, 3: {Cluster: clusters[3]},
	})
	switch {
	case table.Routing != next || len(table.Targets) != 4:
		t.Fatalf("%d targets", len(table.Targets))
	case table.Targets[0].retries != old.Targets[0].retries || table.Targets[2].retries != old.Targets[2].retries:
		t.Error("the retries under way were forgotten")
	case string(table.Targets[0].constant) != "Sluice-Version: a\r\nSluice-Shape: 12\r\n":
		t.Errorf("got %q", table.Targets[0].constant)
	case table.Targets[1] != nil || table.Targets[3].retries == nil || table.Targets[3].Settings.Retries != 1:
		t.Error("the slots that changed are not as given")
	case old.Targets[0].Shape != "" || old.Targets[1] == nil:
		t.Error("the old table changed")
	}
}
