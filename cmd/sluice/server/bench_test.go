package server

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/state"
	"sluice/state/bolt"
	"sluice/state/memory"
	"sluice/stats"
)

// manyFile returns a file of n services with two versions and a route each.
func manyFile(tb testing.TB, n int) *configs.File {
	tb.Helper()
	text := []byte(preamble + "routes:\n")
	for i := range n {
		text = fmt.Appendf(text, "  - {hosts: [s%d.test], service: s%d}\n", i, i)
	}
	text = append(text, "services:\n"...)
	for i := range n {
		text = fmt.Appendf(text, "  s%d: {health: {disabled: true}, versions: {v1: {endpoints: [\"127.0.0.1:1\"], weight: 1}, v2: {endpoints: [\"127.0.0.1:2\"]}}}\n", i)
	}
	file, err := configs.Parse("many.yaml", text, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

// unserved returns a server with many services that listens nowhere.
func unserved(tb testing.TB, n int, store state.Store) *Server {
	tb.Helper()
	s := &Server{file: manyFile(tb, n), store: store, now: time.Now, log: zap.NewNop()}
	var err error
	if s.keeper, err = state.NewKeeper(tb.Context(), store, state.KeeperOptions{Now: s.now}); err != nil {
		tb.Fatal(err)
	}
	s.stats = stats.New(stats.Options{Reasons: routing.ReasonNames(), Describe: s.describe})
	s.fleet = newFleet(s.log, s.stats, func(upstream.Event) {})
	s.newMatrix()
	s.proxy = proxy.New(proxy.Options{Stats: s.stats})
	if _, err = s.keeper.Do(tb.Context(), declare(s.file), s.fileMeta()); err != nil {
		tb.Fatal(err)
	}
	s.keeper.OnChange(s.changed)
	if s.applyErr != nil {
		tb.Fatal(s.applyErr)
	}
	tb.Cleanup(s.fleet.close)
	return s
}

// BenchmarkApply is what a flip costs beyond its store, by the number of
// services: from the new state to the table in force.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			s := unserved(b, n, memory.New())
			states := []state.State{s.keeper.State(), s.keeper.State()}
			var err error
			states[1], _, err = state.Apply(states[0], state.SetWeights{Service: "s0", Weights: map[string]int{"v2": 1}}, s.fileMeta())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				s.changed(states[i%2], nil)
			}
			if s.applyErr != nil {
				b.Fatal(s.applyErr)
			}
		})
	}
}

// BenchmarkFlip is a flip from command to acknowledgement, without the API.
func BenchmarkFlip(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		for _, kind := range []string{"memory", "bolt"} {
			b.Run(fmt.Sprintf("%s/services=%d", kind, n), func(b *testing.B) {
				var store state.Store = memory.New()
				if kind == "bolt" {
					var err error
					if store, err = bolt.Open(b.TempDir() + "/sluice.db"); err != nil {
						b.Fatal(err)
					}
				}
				defer store.Close()
				s := unserved(b, n, store)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i++
					weights := map[string]int{fmt.Sprintf("v%d", i%2+1): 1}
					if _, err := s.keeper.Do(b.Context(), state.SetWeights{Service: "s0", Weights: weights}, s.fileMeta()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkReload is a whole new table of a file that was read anew.
func BenchmarkReload(b *testing.B) {
	s := unserved(b, 10_000, memory.New())
	files := []*configs.File{s.file, manyFile(b, 10_000)}
	st := s.keeper.State()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		s.mu.Lock()
		s.apply(sources{files[i%2], st})
		s.mu.Unlock()
	}
}
