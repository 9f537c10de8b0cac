package judge

import (
	"math/rand/v2"
	"testing"
)

func TestEvidenceAllocatesNothing(t *testing.T) {
	st := New(DefaultConfig())
	r := rand.New(rand.NewPCG(1, 2))
	ref, c := histogram(r, 5000, 200, 0), histogram(r, 20, 200, 0)
	for name, f := range map[string]func(){
		"Events":    func() { st.Events(Errors, 1, 3, 0.05) },
		"Latencies": func() { st.Latencies(c, c, ref, 0.05) },
		"Minute":    st.Minute,
		"Candidate": func() { st.Candidate(1, 20) },
		"Sessions":  func() { st.Sessions(7, 1, 20, 0.05) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	st := New(DefaultConfig())
	b.ReportAllocs()
	for b.Loop() {
		st.Events(Errors, 0, 1, 0.05)
	}
}

func BenchmarkLatencies(b *testing.B) {
	st := New(DefaultConfig())
	r := rand.New(rand.NewPCG(1, 2))
	ref, c, all := histogram(r, 5000, 200, 0), histogram(r, 20, 200, 0), histogram(r, 200, 200, 0)
	for i := range all {
		all[i] += c[i]
	}
	b.ReportAllocs()
	for b.Loop() {
		st.Latencies(c, all, ref, 0.05)
	}
}

func BenchmarkJudge(b *testing.B) {
	st := New(DefaultConfig())
	st.Sessions(1, 50, 1000, 0.05)
	st.Events(Errors, 5, 100, 0.05)
	st.Events(P95, 5, 100, 0.05)
	b.ReportAllocs()
	for b.Loop() {
		st.Judge(now)
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		New(DefaultConfig())
	}
}
