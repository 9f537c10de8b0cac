package upstream

import (
	"sync"
	"testing"
	"time"
)

// TestFailingIsToldOnceInAWhile: of the last endpoint, which is never ejected.
func TestFailingIsToldOnceInAWhile(t *testing.T) {
	var cl clock
	var mu sync.Mutex
	var told []bool
	cfg := quietly()
	cfg.Endpoints = []string{"127.0.0.1:1"}
	cfg.Outlier.Consecutive = 2
	c := start(t, cfg, Deps{Now: cl.now, OnEvent: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == Failing && e.Endpoint == "127.0.0.1:1" {
			told = append(told, e.Repeated)
		}
	}})
	e := c.view.Load().all[0]
	for _, after := range []time.Duration{0, 0, 0, time.Second, sayAgainAfter, 0} {
		cl.advance(after)
		c.failed(e)
	}
	if len(told) != 3 || told[0] || !told[1] || told[2] {
		t.Errorf("told, repeated: %v", told)
	}
}
