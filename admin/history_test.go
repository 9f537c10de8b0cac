package admin

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"sluice/admin/api"
	"sluice/state"
)

func TestHistory(t *testing.T) {
	s := newServer(t, Options{})
	ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":9,"v2":1},"reason":"try"}`)
	ask(s, "POST", "/v1/services/web/rollback", "")
	h := want[api.History](t, ask(s, "GET", "/v1/services/web/history", ""), 200)
	if len(h.Flips) < 2 || h.Flips[0].Kind != "rollback" || h.Flips[1].Why != "try" || h.Flips[1].Pins != "drain:30m0s" || h.Flips[0].Pins != "move" {
		t.Errorf("%+v", h)
	}
}

func TestAuditPagesHoldEveryEventOnce(t *testing.T) {
	s := newServer(t, Options{})
	for i := range 7 {
		want[api.Change](t, ask(s, "PUT", "/v1/services/web/weights", fmt.Sprintf(`{"weights":{"v1":%d,"v2":1}}`, i+1)), 200)
	}
	all := want[api.Audit](t, ask(s, "GET", "/v1/audit", ""), 200)
	if len(all.Events) < 9 || all.Next != 0 { // the start declared two services
		t.Fatalf("%+v", all)
	}
	for _, limit := range []int{1, 2, 3, 8, 9} {
		n, before := 0, uint64(0)
		for page := 0; page == 0 || before != 0; page++ {
			a := want[api.Audit](t, ask(s, "GET", fmt.Sprintf("/v1/audit?limit=%d&before=%d", limit, before), ""), 200)
			for _, e := range a.Events {
				if n >= len(all.Events) || e.Revision != all.Events[n].Revision || e.Service != all.Events[n].Service {
					t.Fatalf("limit %d: event %d is of revision %d", limit, n, e.Revision)
				}
				n++
			}
			before = a.Next
		}
		if n != len(all.Events) {
			t.Errorf("limit %d: %d events of %d", limit, n, len(all.Events))
		}
	}
	if api := want[api.Audit](t, ask(s, "GET", "/v1/audit?service=api", ""), 200); len(api.Events) != 1 {
		t.Errorf("%+v", api)
	}
	for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "before=-1"} {
		wantProblem(t, ask(s, "GET", "/v1/audit?"+bad, ""), 422)
	}
}

// A page is whole revisions, about limit events, and is followed by the rest.
func TestCutPage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []state.Event
		revision := uint64(1000)
		for range rapid.IntRange(0, 8).Draw(t, "revisions") {
			revision -= uint64(rapid.IntRange(1, 3).Draw(t, "gap"))
			for range rapid.IntRange(1, 6).Draw(t, "events") {
				events = append(events, state.Event{Revision: revision})
			}
		}
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		read := limit + rapid.IntRange(1, 30).Draw(t, "read")
		got := events[:min(read, len(events))]
		page, next, whole := cutPage(got, limit, read)
		if !whole {
			if len(got) < read || got[0].Revision != got[len(got)-1].Revision {
				t.Fatalf("%d events read, which do not all belong to one revision", len(got))
			}
			return
		}
		rest := events[len(page):]
		switch {
		case next == 0 && len(rest) > 0:
			t.Fatalf("%d events are left out", len(rest))
		case next != 0 && (len(page) == 0 || page[len(page)-1].Revision != next || len(rest) > 0 && rest[0].Revision >= next):
			t.Fatalf("next is %d after %d events", next, len(page))
		case len(page) > limit && page[0].Revision != page[len(page)-1].Revision:
			t.Fatalf("%d events of several revisions, limit %d", len(page), limit)
		}
	})
}
