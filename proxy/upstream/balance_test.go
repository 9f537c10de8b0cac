package upstream

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// fakes returns n endpoints that are never dialled.
func fakes(n int) []*Endpoint {
	all := make([]*Endpoint, n)
	for i := range all {
		address := fmt.Sprintf("10.0.0.%d:80", i+1)
		all[i] = &Endpoint{Address: address, hash: xxhash.Sum64String(address), weight: 1}
	}
	return all
}

// chooser returns a cluster that only chooses, among some endpoints.
func chooser(balance Balance, slowStart time.Duration, now time.Time, usable []*Endpoint) (*Cluster, *view) {
	r := rand.New(rand.NewPCG(1, 2))
	c := &Cluster{rand: r.Uint64, now: func() time.Time { return now }}
	v := &view{cfg: Config{Balance: balance, SlowStart: slowStart}, usable: usable}
	v.uneven = newUneven(usable, slowStart, now)
	return c, v
}

func TestRoundRobinTakesTurns(t *testing.T) {
	all := fakes(3)
	c, v := chooser(RoundRobin, 0, time.Time{}, all)
	for i := range 9 {
		if got := c.choose(v, &Acquire{}); got != all[i%3] {
			t.Fatalf("request %d goes to %s", i, got.Address)
		}
	}
	for range 9 {
		if c.choose(v, &Acquire{Avoid: all[1]}) == all[1] {
			t.Fatal("the endpoint to avoid was chosen")
		}
	}
}

// Every way to balance, even or not, heeds Avoid and always finds somebody.
func TestChooseAvoids(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		all := fakes(rapid.IntRange(2, 6).Draw(t, "endpoints"))
		for _, e := range all {
			e.weight = rapid.SampledFrom([]float64{0.01, 1, 1, 3}).Draw(t, "weight")
			e.active.Store(rapid.Int64Range(0, 5).Draw(t, "active"))
			if rapid.Bool().Draw(t, "warms") {
				e.warmFrom = now.Add(-time.Duration(rapid.Int64Range(-5, 40).Draw(t, "age")) * time.Second)
			}
		}
		c, v := chooser(rapid.SampledFrom([]Balance{"", LeastRequest, RoundRobin, Hash}).Draw(t, "balance"), 30*time.Second, now, all)
		c.busy.Store(rapid.Int64Range(0, 20).Draw(t, "busy"))
		opt := Acquire{Avoid: rapid.SampledFrom(all).Draw(t, "avoid"), Key: rapid.Uint64().Draw(t, "key"), HasKey: rapid.Bool().Draw(t, "keyed")}
		for range 20 {
			if e := c.choose(v, &opt); e == nil || e == opt.Avoid {
				t.Fatalf("chose %v", e)
			}
		}
	})
}

// twinByKey ranks all endpoints by their hash and walks down to the first that
// has room.
func twinByKey(all []*Endpoint, key uint64, busy int64) *Endpoint {
	ranked := slices.Clone(all)
	slices.SortFunc(ranked, func(a, b *Endpoint) int {
		if mix(key^a.hash) > mix(key^b.hash) {
			return -1
		}
		return 1
	})
	most := max(1, int64(math.Ceil(1.25*float64(busy)/float64(len(all)))))
	for _, e := range ranked {
		if e.active.Load()+1 <= most {
			return e
		}
	}
	return ranked[0]
}

func TestHashAgreesWithTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := fakes(rapid.IntRange(2, 8).Draw(t, "endpoints"))
		c, v := chooser(Hash, 0, time.Time{}, all)
		held := map[*Endpoint]int64{}
		for range rapid.IntRange(1, 100).Draw(t, "requests") {
			key := rapid.Uint64Range(0, 5).Draw(t, "key") * 0x9e3779b97f4a7c15
			c.busy.Add(1)
			want := twinByKey(all, key, c.busy.Load())
			got := c.choose(v, &Acquire{Key: key, HasKey: true})
			if got != want {
				t.Fatalf("key %x: chose %s, want %s", key, got.Address, want.Address)
			}
			got.active.Add(1)
			if held[got]++; float64(held[got]) > math.Ceil(1.25*float64(c.busy.Load())/float64(len(all))) {
				t.Fatalf("%s holds %d of %d requests", got.Address, held[got], c.busy.Load())
			}
			if e := rapid.SampledFrom(all).Draw(t, "ends"); e.active.Load() > 0 {
				e.active.Add(-1)
				held[e]--
				c.busy.Add(-1)
			}
		}
	})
}

// When one of ten leaves, its keys move and no others; they spread alike.
func TestHashMovesFewKeys(t *testing.T) {
	const keys = 100_000
	all := fakes(10)
	c, v := chooser(Hash, 0, time.Time{}, all)
	gone := all[3]
	fewer, fv := chooser(Hash, 0, time.Time{}, slices.Delete(slices.Clone(all), 3, 4))
	before, moved := map[*Endpoint]int{}, map[*Endpoint]int{}
	for k := range uint64(keys) {
		opt := Acquire{Key: mix(k), HasKey: true}
		a, b := c.choose(v, &opt), fewer.choose(fv, &opt)
		before[a]++
		if a != b && a != gone {
			t.Fatalf("key %d moved from %s, which stayed", k, a.Address)
		}
		if a != b {
			moved[b]++
		}
	}
	for _, e := range all {
		// Five standard deviations of a binomial count.
		if n := before[e]; math.Abs(float64(n)-keys/10) > 5*math.Sqrt(keys*0.1*0.9) {
			t.Errorf("%s has %d of %d keys", e.Address, n, keys)
		}
		if n, want := moved[e], float64(before[gone])/9; e != gone && math.Abs(float64(n)-want) > 5*math.Sqrt(want) {
			t.Errorf("%s got %d of the %d keys that moved", e.Address, n, before[gone])
		}
	}
}

// Shares hold in every way to balance, to five standard deviations.
func TestUnevenShares(t *testing.T) {
	const requests = 60_000
	now := time.Unix(1000, 0)
	all := fakes(3)
	all[1].weight = 2
	all[2].warmFrom = now.Add(-10 * time.Second) // a third of the way: 0.1 + 0.9/3 = 0.4
	want := []float64{1 / 3.4, 2 / 3.4, 0.4 / 3.4}
	for _, b := range []Balance{LeastRequest, RoundRobin, Hash} {
		c, v := chooser(b, 30*time.Second, now, all)
		got := map[*Endpoint]int{}
		for k := range uint64(requests) {
			got[c.choose(v, &Acquire{Key: mix(k), HasKey: true})]++
		}
		for i, e := range all {
			if math.Abs(float64(got[e])-want[i]*requests) > 5*math.Sqrt(requests*want[i]) {
				t.Errorf("%s: endpoint %d got %d of %d, want %.0f", b, i, got[e], requests, want[i]*requests)
			}
		}
	}
}

// A share that rises takes keys from others and moves none between them.
func TestWarmingTakesKeysOnly(t *testing.T) {
	now := time.Unix(1000, 0)
	all := fakes(4)
	all[0].warmFrom = now
	early, ev := chooser(Hash, time.Minute, now, all)
	late, lv := chooser(Hash, time.Minute, now.Add(50*time.Second), all)
	warm, wv := chooser(Hash, time.Minute, now.Add(time.Minute), all)
	if wv.uneven != nil {
		t.Fatal("endpoints that are all warm are taken for uneven")
	}
	for k := range uint64(10_000) {
		opt := Acquire{Key: mix(k), HasKey: true}
		a, b, w := early.choose(ev, &opt), late.choose(lv, &opt), warm.choose(wv, &opt)
		if a != b && b != all[0] || b != w && w != all[0] {
			t.Fatalf("key %d went from %s to %s to %s", k, a.Address, b.Address, w.Address)
		}
	}
}

func TestSlowStart(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	var cl clock
	cfg := quietly(a)
	cfg.SlowStart = 30 * time.Second
	cfg.IdleTimeout = 40 * time.Millisecond // also how often the clock is looked at
	c := start(t, cfg, Deps{Now: cl.now})
	if c.view.Load().uneven != nil {
		t.Fatal("the first endpoint has a slow start")
	}
	cfg.Endpoints = []string{a.address, b.address}
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	share := func() float64 {
		u := c.view.Load().uneven
		if u == nil {
			return 1
		}
		return u.share(1, cl.now())
	}
	for _, step := range []struct {
		after time.Duration
		want  float64
	}{{0, 0.1}, {10 * time.Second, 0.4}, {10 * time.Second, 0.7}} {
		cl.advance(step.after)
		if got := share(); math.Abs(got-step.want) > 1e-9 {
			t.Errorf("share is %v, want %v", got, step.want)
		}
	}
	cl.advance(10 * time.Second)
	await(t, "the end of the slow start", func() bool { return c.view.Load().uneven == nil })

	e := c.view.Load().all[1]
	for range DefaultConsecutive {
		c.failed(e)
	}
	cl.advance(DefaultEjectionBase)
	await(t, "the return", func() bool { return len(c.view.Load().usable) == 2 })
	if got := share(); got != leastWarm {
		t.Errorf("back from ejection, the share is %v", got)
	}
}

func TestBoundIsACeiling(t *testing.T) {
	for _, tt := range []struct {
		busy int64
		n    float64
		want int64
	}{{0, 2, 1}, {1, 4, 1}, {4, 4, 2}, {8, 2, 5}, {16, 4, 5}, {17, 4, 6}} {
		if got := bound(tt.busy, 1/tt.n); got != tt.want {
			t.Errorf("bound(%d, 1/%v) = %d, want %d", tt.busy, tt.n, got, tt.want)
		}
	}
}

func TestUnitStaysWithin(t *testing.T) {
	for _, r := range []uint64{0, 1, math.MaxUint64} {
		if u := unit(r); u <= 0 || u >= 1 {
			t.Errorf("unit(%x) = %v", r, u)
		}
	}
}

func TestChoosingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	now := time.Unix(1000, 0)
	for _, b := range []Balance{LeastRequest, RoundRobin, Hash} {
		for _, warm := range []time.Time{{}, now} {
			all := fakes(5)
			all[0].warmFrom = warm
			c, v := chooser(b, time.Minute, now, all)
			opt := Acquire{Key: 7, HasKey: true}
			if n := testing.AllocsPerRun(100, func() { c.choose(v, &opt) }); n != 0 {
				t.Errorf("%s, slow start %v: %v allocations", b, !warm.IsZero(), n)
			}
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, balance := range []Balance{LeastRequest, RoundRobin, Hash} {
		for _, n := range []int{2, 10, 100} {
			c, v := chooser(balance, 0, time.Time{}, fakes(n))
			b.Run(fmt.Sprintf("%s/%d", balance, n), func(b *testing.B) {
				b.ReportAllocs()
				for k := range uint64(b.N) {
					c.choose(v, &Acquire{Key: mix(k), HasKey: true})
				}
			})
		}
	}
}
