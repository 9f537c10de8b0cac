package state

import (
	"fmt"
	"testing"
)

func manyServices(tb testing.TB, n int) State {
	services := make(map[string]DeclaredService, n)
	for i := range n {
		services[fmt.Sprintf("s%05d", i)] = web(map[string]int{"v1": 100, "v2": 0, "v3": 0})["web"]
	}
	s, _, err := Apply(State{}, Declare{Services: services}, Meta{By: "file", At: day})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func BenchmarkApplySetWeights(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			s := manyServices(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				cmd := SetWeights{Service: "s00000", Weights: map[string]int{"v1": 95 + i%2, "v2": 5}}
				next, _, err := Apply(s, cmd, Meta{By: "anna", At: day})
				if err != nil {
					b.Fatal(err)
				}
				s = next
			}
		})
	}
}
