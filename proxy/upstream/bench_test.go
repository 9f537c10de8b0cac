package upstream

import "testing"

// What every request pays when a pooled connection waits.
func BenchmarkAcquireRelease(b *testing.B) {
	c := start(b, quietly(serveTCP(b), serveTCP(b)), Deps{})
	warm(b, c, 2)
	b.ReportAllocs()
	for b.Loop() {
		conn, err := c.Acquire(Acquire{})
		if err != nil {
			b.Fatal(err)
		}
		conn.Release(Reusable)
	}
}

// The same with a look at the socket.
func BenchmarkAcquireReleaseChecked(b *testing.B) {
	c := start(b, quietly(serveTCP(b), serveTCP(b)), Deps{})
	warm(b, c, 2)
	b.ReportAllocs()
	for b.Loop() {
		conn, err := c.Acquire(Acquire{Check: true})
		if err != nil {
			b.Fatal(err)
		}
		conn.Release(Reusable)
	}
}

func BenchmarkAcquireReleaseParallel(b *testing.B) {
	c := start(b, quietly(serveTCP(b), serveTCP(b)), Deps{})
	warm(b, c, 64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			conn, err := c.Acquire(Acquire{})
			if err != nil {
				b.Error(err)
				return
			}
			conn.Release(Reusable)
		}
	})
}

// warm fills the pools of all endpoints.
func warm(tb testing.TB, c *Cluster, each int) {
	var conns []*Conn
	for range each * len(c.view.Load().all) * 4 {
		conns = append(conns, acquire(tb, c, Acquire{MustBeFresh: true}))
	}
	for _, conn := range conns {
		conn.Release(Reusable)
	}
}

func TestPooledConnectionCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := start(t, quietly(serveTCP(t), serveTCP(t)), Deps{})
	warm(t, c, 2)
	for _, opt := range []Acquire{{}, {Check: true}} {
		n := testing.AllocsPerRun(1000, func() {
			conn, err := c.Acquire(opt)
			if err != nil {
				t.Fatal(err)
			}
			conn.Release(Reusable)
		})
		if n != 0 {
			t.Errorf("%+v: %v allocations, want 0", opt, n)
		}
	}
}
