package server

import (
	"sync"
	"sync/atomic"
	"testing"
)

// After an acknowledged flip no new session goes to the old version, whatever
// is under way at the same time.
func TestNoNewSessionGoesToTheOldVersionAfterAFlip(t *testing.T) {
	const flips, clients = 300, 8
	s := run(t, web(t, 100, 0))
	versions := []string{"v1", "v2"}
	// turn is even between flips, when versions[turn/2%2] has all new sessions,
	// and odd while one is under way.
	var turn, checked atomic.Int64
	var stop atomic.Bool
	var done sync.WaitGroup
	for range clients {
		c := stranger(t)
		done.Go(func() {
			for !stop.Load() {
				before := turn.Load()
				a, err := c.try(s.url("", "/"))
				if err != nil || a.status != 200 {
					t.Errorf("got %d %q, %v", a.status, a.body, err)
					return
				}
				if before%2 != 0 || turn.Load() != before {
					continue
				}
				checked.Add(1)
				if want := versions[before/2%2]; a.body != want {
					t.Errorf("a new session went to %s after flip %d to %s was acknowledged", a.body, before/2, want)
				}
			}
		})
	}
	for i := range flips {
		turn.Add(1)
		s.flip("web", "", all(versions[(i+1)%2]))
		settled := checked.Load()
		turn.Add(1)
		if i%30 == 0 { // give every client a chance now and then
			await(t, "some checked sessions", func() bool { return checked.Load() > settled+clients || t.Failed() })
		}
	}
	stop.Store(true)
	done.Wait()
	if checked.Load() < flips {
		t.Errorf("only %d sessions were checked", checked.Load())
	}
}
