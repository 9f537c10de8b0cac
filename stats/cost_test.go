package stats

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

func TestCountingAllocatesNothing(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	r := newRegistry(Options{})
	v := r.Version("web", "v1")
	o := Outcome{Status: 200, Nanos: 123_456, Session: 42, Now: start, BytesIn: 1, BytesOut: 200, Retries: 1, UpstreamError: Reset, Flags: Aborted}
	allocs := testing.AllocsPerRun(1000, func() {
		o.Session++
		v.Begin(3)
		v.PinMade(3)
		v.End(3, &o)
		r.NoRoute("edge")
		r.Refused(400)
		r.Version("web", "v1")
	})
	if allocs != 0 {
		t.Errorf("%v allocations a request, want 0", allocs)
	}
}

// 50,000 versions without traffic must cost little: here, less than 20 MB.
func TestIdleVersionsAreSmall(t *testing.T) {
	if raceOn {
		t.Skip("the race detector pads memory")
	}
	const n = 50_000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("v", i)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	r := newRegistry(Options{Shards: 64})
	before := heap()
	for i, name := range names {
		r.Version(names[i/5], name)
	}
	each := float64(heap()-before) / n
	runtime.KeepAlive(r)
	t.Logf("%.0f bytes for each idle version", each)
	if each > 400 {
		t.Errorf("%.0f bytes for each idle version, want at most 400", each)
	}
}

func benchmarkOutcome() Outcome {
	return Outcome{Status: 200, Reason: 1, Nanos: 123_456, Session: 42, Now: start, BytesIn: 10, BytesOut: 200}
}

func BenchmarkBeginEnd(b *testing.B) {
	v := newRegistry(Options{}).Version("web", "v1")
	b.ReportAllocs()
	for b.Loop() {
		o := benchmarkOutcome()
		v.Begin(1)
		v.End(1, &o)
	}
}

func BenchmarkBeginEndParallel(b *testing.B) {
	v := newRegistry(Options{}).Version("web", "v1")
	b.ReportAllocs()
	var mu sync.Mutex
	var connections uint32
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		connections++
		shard := connections
		mu.Unlock()
		for pb.Next() {
			o := benchmarkOutcome()
			v.Begin(shard)
			v.End(shard, &o)
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	r := newRegistry(Options{})
	for i := range 1000 {
		v := r.Version(fmt.Sprint("s", i/2), fmt.Sprint("v", i))
		o := benchmarkOutcome()
		v.Begin(1)
		v.End(1, &o)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Snapshot()
	}
}
