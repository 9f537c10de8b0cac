package limit

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const second = int64(time.Second)

// twin is a token bucket as a textbook has it.
type twin struct {
	rate, burst, tokens float64
	at                  int64
}

// take also reports how many tokens there are, for a test to shun the edge
// where one way of counting rounds to another side than the other.
func (b *twin) take(now int64) (ok bool, tokens float64) {
	b.tokens = math.Min(b.burst, b.tokens+float64(now-b.at)/float64(second)*b.rate)
	b.at = now
	tokens = b.tokens
	if b.tokens < 1 {
		return false, tokens
	}
	b.tokens--
	return true, tokens
}

func TestABucketIsATokenBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{PerSecond: rapid.Float64Range(0.1, 1e6).Draw(t, "rate"), Burst: rapid.IntRange(1, 1000).Draw(t, "burst")}
		now := rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "start")
		b, slow := NewBucket(r), &twin{rate: r.PerSecond, burst: float64(r.Burst), tokens: float64(r.Burst), at: now}
		c, client := NewClients(r), netip.MustParseAddr("192.0.2.1")
		for range rapid.IntRange(1, 200).Draw(t, "events") {
			now += int64(rapid.Float64Range(0, 3).Draw(t, "gap") / r.PerSecond * float64(second))
			tokens := slow.tokens + float64(now-slow.at)/float64(second)*slow.rate
			if math.Abs(math.Min(tokens, slow.burst)-1) < 0.01 {
				now += int64(0.05 / r.PerSecond * float64(second))
			}
			want, tokens := slow.take(now)
			wait := b.Take(now)
			if (wait == 0) != want {
				t.Fatalf("with %v tokens: waits %v", tokens, wait)
			}
			if other := c.Take(client, now); other != wait {
				t.Fatalf("as a client waits %v, alone %v", other, wait)
			}
			if want {
				continue
			}
			due := (1 - tokens) / r.PerSecond * float64(second)
			if math.Abs(float64(wait)-due) > 0.01*due+2000 {
				t.Fatalf("with %v tokens: waits %v, want %v", tokens, wait, time.Duration(due))
			}
		}
	})
}

func TestRatesAtTheirEdges(t *testing.T) {
	if NewBucket(Rate{}).Take(1) != 0 || NewClients(Rate{Burst: 5}).Take(netip.MustParseAddr("::1"), 1) != 0 {
		t.Error("no rate is a limit")
	}
	if NewClients(Rate{PerSecond: 1}).Take(netip.Addr{}, 1) != 0 {
		t.Error("nobody is limited")
	}
	for _, c := range []struct {
		rate Rate
		pass int
		wait time.Duration
	}{
		{Rate{PerSecond: 10}, 10, time.Second / 10},
		{Rate{PerSecond: 0.5}, 1, 2 * time.Second},
		{Rate{PerSecond: 1, Burst: 3}, 3, time.Second},
		{Rate{PerSecond: 1e-12, Burst: 1 << 40}, 1, time.Duration(longest)},
	} {
		b := NewBucket(c.rate)
		for i := range c.pass {
			if wait := b.Take(second); wait != 0 {
				t.Errorf("%v: event %d waits %v", c.rate, i, wait)
			}
		}
		if wait := b.Take(second); wait != c.wait {
			t.Errorf("%v: event %d waits %v, want %v", c.rate, c.pass, wait, c.wait)
		}
	}
	if b := NewBucket(Rate{PerSecond: 1e18, Burst: 1}); b.Take(5) != 0 || b.Take(6) != 0 {
		t.Error("a rate beyond the clock limits")
	}
}

func TestBucketConcurrently(t *testing.T) {
	b, c := NewBucket(Rate{PerSecond: 1, Burst: 1000}), NewClients(Rate{PerSecond: 1, Burst: 1000})
	client := netip.MustParseAddr("2001:db8::1")
	var wg sync.WaitGroup
	var passed, passedClient [4]int
	for g := range passed {
		wg.Go(func() {
			for range 500 {
				if b.Take(second) == 0 {
					passed[g]++
				}
				if c.Take(client, second) == 0 {
					passedClient[g]++
				}
			}
		})
	}
	wg.Wait()
	sum := func(n [4]int) int { return n[0] + n[1] + n[2] + n[3] }
	if sum(passed) != 1000 || sum(passedClient) != 1000 {
		t.Errorf("%d and %d of 1000 passed", sum(passed), sum(passedClient))
	}
}

func TestOwner(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := Owner(netip.MustParseAddr(in)); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if Owner(netip.Addr{}).IsValid() {
		t.Error("nobody is somebody")
	}
}

// TestAFullTable forgives whoever owes least: a flood of new clients does not
// let one that is being refused start anew.
func TestAFullTable(t *testing.T) {
	c := NewClients(Rate{PerSecond: 1, Burst: 10})
	greedy := netip.MustParseAddr("192.0.2.1")
	for range 10 {
		c.Take(greedy, second)
	}
	for i := range 3 * MaxClients {
		client := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if wait := c.Take(client, second); wait != 0 {
			t.Fatalf("a new client waits %v", wait)
		}
		if i%1000 == 0 && c.Take(greedy, second) == 0 {
			t.Fatalf("the greedy client was forgiven after %d others", i)
		}
	}
	if c.Take(greedy, 3*second) != 0 {
		t.Error("the greedy client waits after its time")
	}
}

func TestHolders(t *testing.T) {
	var h Holders
	a, b := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	if !h.Take(a, 2) || !h.Take(b, 2) || h.Take(a, 2) {
		t.Error("two of one /64, and no third")
	}
	if !h.Take(netip.MustParseAddr("2001:db8:0:1::1"), 2) {
		t.Error("another /64 is refused")
	}
	h.Give(b)
	if !h.Take(a, 2) || h.Take(b, 2) || !h.Take(b, 0) {
		t.Error("counts wrong after one was given back")
	}
	for range 3 {
		h.Give(a)
	}
	h.Give(netip.MustParseAddr("2001:db8:0:1::1"))
	for i := range h.shards {
		if n := len(h.shards[i].held); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	b, c, client := NewBucket(Rate{PerSecond: 10}), NewClients(Rate{PerSecond: 10}), netip.MustParseAddr("2001:db8::1")
	now := second
	if n := testing.AllocsPerRun(1000, func() {
		now += 1000
		b.Take(now)
		c.Take(client, now)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	now := second
	b.Run("Bucket", func(b *testing.B) {
		bucket := NewBucket(Rate{PerSecond: 1000})
		b.ReportAllocs()
		for b.Loop() {
			now += 100
			bucket.Take(now)
		}
	})
	for _, clients := range []int{1, 1000} {
		b.Run(fmt.Sprintf("Clients%d", clients), func(b *testing.B) {
			table := NewClients(Rate{PerSecond: 1000})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now += 100
				table.Take(netip.AddrFrom4([4]byte{10, 0, byte(i % clients >> 8), byte(i % clients)}), now)
			}
		})
	}
}
