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

// BenchmarkApplyNeeded flips a service to and from a version that lacks what others
// may require: all of them are looked at.
func BenchmarkApplyNeeded(b *testing.B) {
	s := manyServices(b, 10_000)
	needed := needing()
	for name, svc := range s.Services {
		needed[name] = DeclaredService{Versions: map[string]DeclaredVersion{}}
		for version, v := range svc.Versions {
			needed[name].Versions[version] = DeclaredVersion{Spec: v.Spec, Weight: v.Weight}
		}
	}
	s, _, err := Apply(s, Declare{Services: needed}, Meta{By: "file", At: day})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		cmd := SetWeights{Service: "api", Weights: map[string]int{"v7": 95 + i%2, "v9": 5}}
		next, _, err := Apply(s, cmd, Meta{By: "anna", At: day})
		if err != nil {
			b.Fatal(err)
		}
		s = next
	}
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
