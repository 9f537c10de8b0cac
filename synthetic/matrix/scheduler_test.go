package matrix

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// begun is the begin of a run.
type begun struct {
	at   time.Duration
	what string
}

// bench is a scheduler whose runs are noted, and last as long as a test says.
type bench struct {
	*Scheduler
	began time.Time

	mu     sync.Mutex
	log    []begun
	now    int // running
	most   int
	lasts  map[string]time.Duration // by version
	fails  map[string]bool
	ended  []string // by their deadline, or because they are no more
	jitter atomic.Pointer[float64]
}

func newBench(concurrency int) *bench {
	b := &bench{began: time.Now(), lasts: map[string]time.Duration{}, fails: map[string]bool{}}
	b.Scheduler = NewScheduler(Options{Run: b.run, Rand: func() float64 { return *b.jitter.Load() }})
	b.setJitter(0.5)
	b.SetConcurrency(concurrency)
	return b
}

func (b *bench) setJitter(part float64) { b.jitter.Store(&part) }

func (b *bench) run(ctx context.Context, s Suite, cause Cause) bool {
	b.mu.Lock()
	b.log = append(b.log, begun{time.Since(b.began), fmt.Sprintf("%s %s", s.Version, cause)})
	b.now++
	b.most = max(b.most, b.now)
	lasts, fails := b.lasts[s.Version], b.fails[s.Version]
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.now--
		b.mu.Unlock()
	}()
	select {
	case <-time.After(lasts):
	case <-ctx.Done():
		b.mu.Lock()
		b.ended = append(b.ended, fmt.Sprintf("%s %v", s.Version, ctx.Err()))
		b.mu.Unlock()
		return false
	}
	return !fails
}

// after lets time pass and returns what was run meanwhile.
func (b *bench) after(d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	// Those of one moment begin in any order.
	slices.SortFunc(b.log, func(a, b begun) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.what, b.what)) })
	var texts []string
	for _, r := range b.log {
		texts = append(texts, fmt.Sprint(r.at, " ", r.what))
	}
	b.log = nil
	return strings.Join(texts, "; ")
}

func suite(version string, every time.Duration) Suite {
	return Suite{Place: Place{"web", version}, Every: every, Deadline: time.Minute}
}

func check(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A suite is run at once, and then again and again; 0 is never.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(4)
		b.Follow("web", []Suite{suite("v1", 30*time.Second), suite("off", 0)})
		b.Start()
		defer b.Stop()
		check(t, b.after(65*time.Second), "0s v1 registration; 30s v1 schedule; 1m0s v1 schedule")

		// A version that comes later is run when it comes, the others in their turn.
		b.Follow("web", []Suite{suite("v1", 30*time.Second), suite("v2", time.Minute)})
		check(t, b.after(60*time.Second), "1m5s v2 registration; 1m30s v1 schedule; 2m0s v1 schedule; 2m5s v2 schedule")

		// Another build is run at once; so is nothing else that is followed again.
		again := suite("v2", time.Minute)
		again.Build = "2"
		b.Follow("web", []Suite{suite("v1", 30*time.Second), again})
		check(t, b.after(time.Second), "2m5s v2 registration")

		// Another pace counts from now; what is gone is run no more.
		b.Follow("web", []Suite{suite("v1", 5*time.Second)})
		check(t, b.after(6*time.Second), "2m11s v1 schedule")
		b.Follow("web", nil)
		check(t, b.after(time.Hour), "")
		if len(b.suites) != 0 {
			t.Errorf("%v", b.suites)
		}
	})
}

// One run and the next are apart as said, give or take a tenth.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(4)
		b.Follow("web", []Suite{suite("v1", 100*time.Second)})
		b.setJitter(0)
		b.Start()
		defer b.Stop()
		check(t, b.after(time.Second), "0s v1 registration")
		b.setJitter(1)
		check(t, b.after(90*time.Second), "1m30s v1 schedule")
		check(t, b.after(110*time.Second), "3m20s v1 schedule")
	})
}

// A suite that still runs when its time comes is skipped, and ended by its
// deadline.
func TestSuiteThatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(4)
		b.lasts["slow"] = 25 * time.Second
		b.lasts["endless"] = time.Hour
		b.Follow("web", []Suite{suite("slow", 10*time.Second), suite("endless", 20*time.Second)})
		b.Start()
		defer b.Stop()
		check(t, b.after(45*time.Second), "0s endless registration; 0s slow registration; 30s slow schedule")
		if got := b.Skipped(); got[Place{"web", "slow"}] != 3 || got[Place{"web", "endless"}] != 2 {
			t.Errorf("%v", got)
		}
		b.after(30 * time.Second)
		if !slices.Equal(b.ended, []string{"endless context deadline exceeded"}) {
			t.Errorf("%v", b.ended)
		}
		// What is no more is ended at once.
		b.Follow("web", nil)
		b.after(0)
		if !slices.Contains(b.ended, "endless context canceled") {
			t.Errorf("%v", b.ended)
		}
	})
}

// No more run at the same time than may; what was never run comes first, and who
// waits for room too long has been skipped.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(2)
		var suites []Suite
		for i := range 6 {
			version := fmt.Sprintf("v%d", i)
			b.lasts[version] = 10 * time.Second
			suites = append(suites, suite(version, 15*time.Second))
		}
		b.Follow("web", suites)
		b.Start()
		defer b.Stop()
		check(t, b.after(29*time.Second), "0s v0 registration; 0s v1 registration; 10s v2 registration; 10s v3 registration; 20s v4 registration; 20s v5 registration")
		b.Follow("api", []Suite{{Place: Place{"api", "new"}, Every: time.Minute, Deadline: time.Minute}})
		check(t, b.after(2*time.Second), "30s new registration; 30s v0 schedule; 30s v1 schedule")
		if b.most != 2 {
			t.Errorf("%d at the same time", b.most)
		}
		b.SetConcurrency(6)
		b.after(10 * time.Minute)
		before := b.Skipped()
		b.after(10 * time.Minute)
		if after := b.Skipped(); fmt.Sprint(before) != fmt.Sprint(after) || b.most > 6 {
			t.Errorf("with room for all %v became %v, %d at the same time", before, after, b.most)
		}
		b.SetConcurrency(1)
		b.after(10 * time.Minute)
		if after := b.Skipped(); after[Place{"web", "v3"}] == before[Place{"web", "v3"}] {
			t.Errorf("%v became %v", before, after)
		}
	})
}

// What has not passed yet is run again soon; what has, at its pace, also when it
// fails later.
func TestUnprovenSuite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(4)
		b.fails["v2"] = true
		b.Follow("web", []Suite{suite("v2", time.Minute)})
		b.Start()
		defer b.Stop()
		check(t, b.after(25*time.Second), "0s v2 registration; 10s v2 schedule; 20s v2 schedule")
		b.mu.Lock()
		delete(b.fails, "v2")
		b.mu.Unlock()
		check(t, b.after(10*time.Second), "30s v2 schedule")
		b.mu.Lock()
		b.fails["v2"] = true
		b.mu.Unlock()
		check(t, b.after(2*time.Minute), "1m30s v2 schedule; 2m30s v2 schedule")
	})
}

// Stop ends what runs; without a Start it ends nothing.
func TestStop(t *testing.T) {
	NewScheduler(Options{}).Stop()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(4)
		b.lasts["v1"] = time.Hour
		b.Follow("web", []Suite{suite("v1", time.Hour)})
		b.Start()
		b.after(time.Second)
		b.Stop()
		if !slices.Equal(b.ended, []string{"v1 context canceled"}) {
			t.Errorf("%v", b.ended)
		}
		check(t, b.after(24*time.Hour), "")
	})
}
