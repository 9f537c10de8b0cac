package stats

import (
	"sync"
	"testing"

	"pgregory.net/rapid"
)

const second = int64(1e9)

func TestMinuteAgainstAllTimestamps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m minute
		now := rapid.Int64Range(0, 1e18).Draw(t, "start")
		var times []int64
		for _, step := range rapid.SliceOfN(rapid.Int64Range(0, 30*second), 1, 60).Draw(t, "steps") {
			now += step
			m.add(now)
			times = append(times, now)
			var sure, possible uint64
			for _, at := range times {
				if now-at < 56*second {
					sure++
				}
				if now-at < 60*second {
					possible++
				}
			}
			if got := m.sum(now); got < sure || got > possible {
				t.Fatalf("sum = %d, want %d to %d", got, sure, possible)
			}
		}
		if got := m.sum(now + 60*second); got != 0 {
			t.Fatalf("a minute later: %d, want 0", got)
		}
	})
}

func TestMinuteSurvivesAClockSetBack(t *testing.T) {
	var m minute
	m.add(1000 * second)
	for range 3 {
		m.add(500 * second)
	}
	if got := m.sum(500 * second); got != 3 {
		t.Errorf("sum = %d, want the 3 counted since", got)
	}
}

func TestMinuteCountsForAReaderBehind(t *testing.T) {
	var m minute
	m.add(1001 * second)
	if got := m.sum(999 * second); got != 1 {
		t.Errorf("sum = %d, want 1: the writer's clock is 2 s ahead", got)
	}
}

func TestMinuteIsConcurrent(t *testing.T) {
	var m minute
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				m.add(1000 * second)
			}
		})
	}
	wg.Wait()
	if got := m.sum(1000 * second); got != 4000 {
		t.Errorf("sum = %d, want 4000", got)
	}
}
