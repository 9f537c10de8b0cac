package server

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// After an acknowledged flip no new session goes to the old version, whatever
// is under way at the same time.
func TestNoNewSessionGoesToTheOldVersionAfterAFlip(t *testing.T) {
	const flips, clients = 300, 8
	s := run(t, web(t, 100, 0))
	versions := []string{"v1", "v2"}
	// turn is even between flips, when versions[turn/2%2] has all new sessions,
	// and odd while one is under way.
	var turn atomic.Int64
	checked := make(chan struct{}, 1) // a session of the present turn was checked
	var stop atomic.Bool
	var done sync.WaitGroup
	defer func() {
		stop.Store(true)
		done.Wait()
	}()
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
				if want := versions[before/2%2]; a.body != want {
					t.Errorf("a new session went to %s after flip %d to %s was acknowledged", a.body, before/2, want)
				}
				select {
				case checked <- struct{}{}:
				default:
				}
			}
		})
	}
	for i := range flips {
		turn.Add(1)
		s.flip("web", "", all(versions[(i+1)%2]))
		select { // what was checked before the flip doesn't count
		case <-checked:
		default:
		}
		turn.Add(1)
		select {
		case <-checked:
		case <-time.After(10 * time.Second):
			t.Fatalf("no session was checked after flip %d", i)
		}
	}
}
