package routing

import (
	"fmt"
	"sync"
	"testing"
)

func TestPinTableIsBounded(t *testing.T) {
	for _, capacity := range []int{1, 63, 1000, 10_000} {
		table := NewPinTable(capacity)
		for i := range 3 * capacity {
			table.put(table.key(0, fmt.Sprint(i)), storedPin{version: "v1", expires: now})
		}
		if n := table.Len(); n > capacity || n < capacity*9/10 {
			t.Errorf("capacity %d, %d pins", capacity, n)
		}
	}
}

func TestPinTableForgetsTheLeastRecentlyUsed(t *testing.T) {
	table := NewPinTable(3)
	key := func(s string) PinKey { return table.key(0, s) }
	for _, s := range []string{"a", "b", "c"} {
		table.put(key(s), storedPin{version: s, expires: now + 1})
	}
	table.get(key("a"), now)
	table.put(key("d"), storedPin{version: "d", expires: now + 1})
	for s, kept := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, ok := table.get(key(s), now); ok != kept {
			t.Errorf("%s kept: %v", s, ok)
		}
	}
	if _, ok := table.get(key("a"), now+1); ok || table.Len() != 2 {
		t.Errorf("a pin outlived its end; %d left", table.Len())
	}
}

func TestServicesMayShareATable(t *testing.T) {
	table := NewPinTable(100)
	if table.key(1, "a") == table.key(2, "a") {
		t.Error("keys are not told apart by service")
	}
}

func TestPinTableAtOnce(t *testing.T) {
	s := build(t, web(pinBy(PinHeader, "X-Session")))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				d := s.Decide(ask(fmt.Sprintf("X-Session: %d", i)))
				d.Remember(now)
			}
		})
	}
	wg.Wait()
	if n := s.Service("web").pins.Len(); n != 500 {
		t.Errorf("%d pins", n)
	}
}

func TestKeyedPinsWithoutATable(t *testing.T) {
	s := build(t, web(func(svc *ServiceConfig) { svc.Pin = PinConfig{By: PinHeader, Name: "X-Session"} }))
	d := s.Decide(ask("X-Session: a"))
	d.Remember(now)
	want(t, s.Decide(ask("X-Session: a")), d.Version.Name+" split make")
}

func BenchmarkPinTable(b *testing.B) {
	table := NewPinTable(1 << 16)
	for i := range 1 << 16 {
		table.put(table.key(0, fmt.Sprint(i)), storedPin{version: "v1", expires: now + 1})
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			table.get(table.key(0, "12345"), now)
		}
	})
}
