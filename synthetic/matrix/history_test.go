package matrix

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/synthetic/journey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// failed is a run that failed at its second step and exchanged n bytes.
func failed(at time.Time, n int) Run {
	return Run{Began: at, Asked: 1, Failed: 1, Failure: "status 500", Steps: []Step{{Name: "login"},
		{Name: "cart", Failure: "status 500", Request: strings.Repeat("q", n/2), Response: strings.Repeat("r", n-n/2)}}}
}

// twin is a history by its words: it keeps every run there ever was, and finds
// anew what is to be seen of them.
type twin struct {
	limits Limits
	runs   map[Key][]Run
}

func (w *twin) shown(key Key) (all []Run) {
	runs := slices.Clone(w.runs[key])
	slices.Reverse(runs) // of those that began at the same time the last one is the newest
	slices.SortStableFunc(runs, func(a, b Run) int { return b.Began.Compare(a.Began) })
	failures := 0
	for i, r := range runs {
		if !r.Passed() {
			failures++
		}
		keeps := !r.Passed() && failures <= w.limits.Failures
		if i < w.limits.Runs || keeps {
			if !keeps {
				r.forget()
			}
			all = append(all, r)
		}
	}
	return all
}

// Whatever comes in whatever order: a cell shows its last runs and its last
// failures, and these with what was exchanged.
func TestHistoryIsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Runs: rapid.IntRange(1, 5).Draw(t, "runs"), Failures: rapid.IntRange(0, 3).Draw(t, "failures"), Bytes: 1 << 20}
		h, w := NewHistory(limits), &twin{limits, map[Key][]Run{}}
		keys := []Key{{"web", "v1", "buy"}, {"web", "v2", "buy"}, {"web", "v2", "look"}, {"api", "v1", "buy"}}
		for range rapid.IntRange(0, 40).Draw(t, "acts") {
			key := rapid.SampledFrom(keys).Draw(t, "key")
			if rapid.IntRange(0, 20).Draw(t, "forget") == 20 {
				h.Forget(key.Service, func(k Key) bool { return k.Place() == key.Place() })
				for k := range w.runs {
					if k.Place() == key.Place() {
						delete(w.runs, k)
					}
				}
				continue
			}
			run := Run{Began: epoch.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "at")) * time.Second), Steps: []Step{{Name: "login"}}}
			if rapid.Bool().Draw(t, "fails") {
				run = failed(run.Began, rapid.IntRange(0, 50).Draw(t, "bytes"))
			}
			h.Add(key, run)
			w.runs[key] = append(w.runs[key], run)
			if len(w.shown(key)) < len(w.runs[key]) { // what is dropped can't come back into sight
				kept := slices.Clone(w.shown(key))
				slices.Reverse(kept)
				w.runs[key] = kept
			}
		}
		bytes := 0
		for _, key := range keys {
			cell, has := h.Cell(key)
			if want := w.shown(key); has != (len(want) > 0) || has && !reflect.DeepEqual(cell.Runs, want) {
				t.Fatalf("%v\ngot  %+v\nwant %+v", key, cell.Runs, want)
			}
			for i := range cell.Runs {
				bytes += cell.Runs[i].exchanged()
			}
			if newest, ok := h.Newest(key); ok != has || ok && !reflect.DeepEqual(newest, cell.Runs[0]) {
				t.Fatalf("%v: newest %+v", key, newest)
			}
		}
		if h.bytes != bytes {
			t.Fatalf("counts %d bytes of %d", h.bytes, bytes)
		}
	})
}

// The messages of all cells together are bounded: the oldest go, the runs stay.
func TestHistoryBytes(t *testing.T) {
	h := NewHistory(Limits{Runs: 20, Failures: 5, Bytes: 1000})
	for i := range 100 {
		h.Add(Key{"web", string(rune('a' + i)), "buy"}, failed(epoch.Add(time.Duration(i)*time.Second), 100))
		if h.bytes > 1000 {
			t.Fatalf("%d bytes", h.bytes)
		}
	}
	cells := h.Cells("", 1)
	if len(cells) != 100 || len(h.Cells("web", 20)) != 100 || len(h.Cells("api", 20)) != 0 {
		t.Fatalf("%d cells", len(cells))
	}
	for i, c := range cells {
		if kept := c.Runs[0].exchanged() > 0; kept != (i >= 90) {
			t.Errorf("%s keeps its messages: %t", c.Version, kept)
		}
		if c.Runs[0].Failure == "" || c.Runs[0].FailedStep() != "cart" || c.Failed != 1 || c.Passed != 0 {
			t.Errorf("%+v", c)
		}
	}
	h.Add(Key{"web", "huge", "buy"}, failed(epoch.Add(time.Hour), 2000))
	if h.bytes != 0 {
		t.Errorf("%d bytes", h.bytes)
	}
}

// What somebody holds of a history does not change when it goes on.
func TestHistoryIsNotSharedWithReaders(t *testing.T) {
	h, key := NewHistory(Limits{Runs: 2, Failures: 1, Bytes: 1 << 20}), Key{"web", "v1", "buy"}
	h.Add(key, failed(epoch, 10))
	before, _ := h.Cell(key)
	for i := range 3 {
		h.Add(key, failed(epoch.Add(time.Duration(i+1)*time.Second), 10))
	}
	if before.Runs[0].exchanged() != 10 || !before.Runs[0].Began.Equal(epoch) {
		t.Errorf("%+v", before.Runs)
	}
}

// A run at many endpoints tells of the first that failed, or of the slowest.
func TestGather(t *testing.T) {
	result := func(endpoint string, took time.Duration, err error) Result {
		steps := []journey.StepResult{{Name: "login", Took: took, Tries: 2, Request: "GET /", Response: "200", Err: err}}
		return Result{endpoint, journey.Result{Began: epoch.Add(took), Took: took, Steps: steps, Err: err}}
	}
	boom := errors.New("boom " + strings.Repeat("o", MaxFailure))
	run := Gather(Demand, []Result{result("a", 3, nil), result("b", 5, nil), result("c", 4, nil)})
	if !run.Passed() || run.Endpoint != "b" || run.Took != 5 || run.Asked != 3 || run.Failed != 0 || !run.Began.Equal(epoch.Add(3)) ||
		run.Cause != Demand || run.FailedStep() != "" || run.exchanged() != 0 || run.Steps[0].Tries != 2 {
		t.Errorf("%+v", run)
	}
	run = Gather(Scheduled, []Result{result("a", 9, nil), result("b", 5, boom), result("c", 6, boom)})
	if run.Passed() || run.Endpoint != "b" || run.Took != 9 || run.Asked != 3 || run.Failed != 2 || run.FailedStep() != "login" ||
		run.exchanged() != len("GET /200") || len(run.Failure) > MaxFailure || !strings.HasPrefix(run.Failure, "boom o") || !strings.HasSuffix(run.Failure, "o…") {
		t.Errorf("%+v", run)
	}
	if run = None(Rollout, epoch, errors.New("no endpoint is healthy")); run.Passed() || run.FailedStep() != "" || cmp.Or(run.Failure) != "no endpoint is healthy" {
		t.Errorf("%+v", run)
	}
}
