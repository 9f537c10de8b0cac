package main

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConfigurationLoads, with copies and without.
func TestConfigurationLoads(t *testing.T) {
	for _, r := range rows {
		text := configuration(r, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4")
		file, err := configs.Parse("sluice.yaml", []byte(text), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		if found := file.Unsupported(); len(found) > 0 {
			t.Errorf("%s: %v", r.name, found)
		}
	}
}

// TestALoadIsAnswered by an endpoint itself.
func TestALoadIsAnswered(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { serve(ln, time.Millisecond); close(ended) }()
	defer func() { ln.Close(); <-ended }()
	l := load{Address: ln.Addr().String(), Sluice: os.Getpid(), Rate: 500, Slice: 2 * settle, Pairs: 2}
	all, err := l.run(context.Background())
	if err != nil || len(all) != 4 {
		t.Fatalf("%d slices, %v", len(all), err)
	}
	s, err := summarise(all)
	if err != nil || s.answers == 0 || s.p50[0] < 1 || s.p99[1] < s.p50[1] || s.all.low > s.all.high || s.paired.low > s.paired.high {
		t.Errorf("%+v, %v", s, err)
	}
	if line := s.String("all"); strings.Count(line, "|") != strings.Count(strings.Split(columns, "\n")[0], "|") {
		t.Errorf("a line that is none of the table: %s", line)
	}
}

// TestSummary: of times that are known.
func TestSummary(t *testing.T) {
	var all []slice
	for i := range 20 {
		times := make([]int32, 100)
		for j := range times {
			times[j] = 1000
		}
		times[0], times[1] = 2000, 2000
		copied := i%2 == i/2%2
		if copied {
			times[0], times[1] = 3000, 3000
		}
		all = append(all, slice{Copied: copied, Took: times, CPU: 100 * time.Millisecond, Asked: 100})
	}
	s, err := summarise(all)
	half := change{0.5, 0.5, 0.5}
	if err != nil || s.p50 != [2]float64{1, 1} || s.p99 != [2]float64{2, 3} || s.all != half || s.paired != half || s.cpu != [2]float64{1000, 1000} || s.answers != 2000 {
		t.Errorf("%+v, %v", s, err)
	}
	all[3].Failed = 1
	if _, err := summarise(all); err == nil {
		t.Error("a failed request is overlooked")
	}
}

func TestCopiesAreRead(t *testing.T) {
	n, err := readCopies(strings.NewReader(`# TYPE sluice_shadow_requests_total counter
sluice_shadow_requests_total{outcome="answered",service="web",version="v1"} 2
sluice_shadow_requests_total{outcome="answered",service="web",version="v2"} 1e+06
sluice_shadow_requests_total{outcome="failed",service="web",version="v2"} 3
sluice_shadow_dropped_total{reason="busy",service="web",version="v2"} 4
sluice_shadow_other_total 5
`))
	if err != nil || n != (copies{1_000_002, 3, 4}) {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{}, {"-pairs", "1", "load.go"}, {"-slice", "1ms", "load.go"}, {"-cores", "3", "load.go"}, {"no such file"}} {
		if _, err := parseFlags(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	if o, err := parseFlags([]string{"load.go"}); err != nil || o.rate != 1000 {
		t.Errorf("%+v, %v", o, err)
	}
}
