package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// direct lets clients ask an endpoint without a proxy until it has answered
// that often.
func direct(t *testing.T, o *origin, requests int64) *seen {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	saw := new(seen)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() { browse(ctx, o.addr(), "s001.test", saw) })
	}
	v := baseline
	if o.version == versions[candidate] {
		v = candidate
	}
	err := poll(ctx, 20*time.Second, func() (bool, error) { return saw.requests[v].Load() >= requests, nil })
	stop()
	clients.Wait()
	o.close()
	if err != nil {
		t.Fatal(err)
	}
	return saw
}

func TestClientsSeeWhatEndpointsDo(t *testing.T) {
	o, err := startOrigin(versions[candidate], 0.5, 100*time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	saw := direct(t, o, 2000)
	n, bad := saw.requests[candidate].Load(), saw.bad[candidate].Load()
	if part := float64(bad) / float64(n); part < 0.4 || part > 0.6 {
		t.Errorf("%d of %d requests failed", bad, n)
	}
	if saw.requests[baseline].Load() != 0 || saw.mixed.Load() != 0 || saw.unanswered.Load() != 0 || saw.sessions.Load() < n/mostRequests {
		t.Errorf("%d on the other version, %d mixed, %d unanswered, %d sessions", saw.requests[baseline].Load(), saw.mixed.Load(), saw.unanswered.Load(), saw.sessions.Load())
	}
}

func TestPlanHasBothKinds(t *testing.T) {
	all := plan(options{rounds: 30, kills: 2})
	counts, names := map[[2]any]int{}, map[string]bool{}
	for _, tr := range all {
		counts[[2]any{tr.times, tr.kill}]++
		names[tr.service] = true
	}
	if len(all) != 64 || len(names) != 64 || counts[[2]any{1.0, false}] != 30 || counts[[2]any{2.0, false}] != 30 || counts[[2]any{2.0, true}] != 2 {
		t.Errorf("%d trials, %d names, %v", len(all), len(names), counts)
	}
}

func TestBrokenPromisesAreFound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		times float64
		phase string
		mixed int64
		want  string // "": kept
	}{
		{"a good one promoted", 1, "promoted", 0, ""},
		{"a good one rolled back", 1, "rolled_back", 0, "is rolled_back (judge: it is worse)"},
		{"a good one held", 1, "shifting", 0, "is shifting"},
		{"sessions mixed", 1, "promoted", 3, "3 sessions met both versions"},
		{"a bad one promoted", 2, "promoted", 0, "2 times as bad is promoted"},
		{"a bad one held", 2, "shifting", 0, ""},
		{"a bad one rolled back", 2, "rolled_back", 7, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := &trial{base: 0.01, times: tc.times, end: rollout{Phase: tc.phase, Moves: []move{{By: "judge", Why: "it is worse"}}}}
			tr.saw.mixed.Store(tc.mixed)
			tr.saw.requests[candidate].Store(1000)
			tr.saw.bad[candidate].Store(25)
			tr.settle()
			if got := tr.promise; (got == nil) != (tc.want == "") || got != nil && !strings.Contains(got.Error(), tc.want) {
				t.Errorf("%v, want %q", got, tc.want)
			}
			if tr.excess != 15 {
				t.Errorf("excess %v", tr.excess)
			}
		})
	}
}

func TestControlTellsRefusals(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, "shape: refused", http.StatusConflict)
			return
		}
		_ = json.NewEncoder(w).Encode(rollout{ID: "r7", Phase: "promoted"})
	}))
	defer admin.Close()
	c := newControl(admin.Listener.Addr().String())
	defer c.client.CloseIdleConnections()
	if _, err := c.start(t.Context(), "s001", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "409 Conflict: shape: refused") {
		t.Errorf("refused: %v", err)
	}
	if r, err := c.get(t.Context(), "r7"); err != nil || !r.over() || r.ID != "r7" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPollHasALimit(t *testing.T) {
	err := poll(t.Context(), 10*time.Millisecond, func() (bool, error) { return false, nil })
	if !errors.Is(err, errTooLong) {
		t.Error(err)
	}
}
