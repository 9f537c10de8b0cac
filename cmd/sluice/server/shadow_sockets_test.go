package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// origin serves a version by a handler and returns its address.
func origin(t testing.TB, serve http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// orders answers as shops do: most of it says the same each time, some never does.
// total is the JSON of a field that is to stay a number.
func orders(total func() string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, rand.Uint64()))
		var views []string
		for range rand.IntN(4) {
			views = append(views, fmt.Sprintf(`{"at":%d,"who":"u%d"}`, time.Now().UnixNano(), rand.IntN(3)))
		}
		hint := ""
		if rand.IntN(5) == 0 {
			hint = `"hint":"only a few left",`
		}
		fmt.Fprintf(w, `{"request":"%016x","at":"%s",%s"path":%q,"total":%s,"left":%d,"views":[%s],"items":[{"sku":"a1","price":10},{"sku":"b2","price":2}],"%08x":true}`,
			rand.Uint64(), time.Now().Format(time.RFC3339Nano), hint, r.URL.Path, total(), rand.IntN(10), strings.Join(views, ","), rand.Uint32())
	}
}

func twelve() string { return "12" }

// often returns total as a string in one of n answers, as a number in the others.
func often(n uint64) func() string {
	var count atomic.Uint64
	return func() string {
		if count.Add(1)%n == 0 {
			return `"12"`
		}
		return "12"
	}
}

// ask sends requests to a server until done says so, checking that each has its
// answer.
func ask(t *testing.T, s *sluice, path string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	visitors := stranger(t)
	var clients sync.WaitGroup
	var ended atomic.Bool
	for i := range 8 {
		clients.Go(func() {
			for n := 0; !ended.Load() && ctx.Err() == nil; n++ {
				if a, err := visitors.try(s.url("", fmt.Sprintf("%s/%d", path, 1000*i+n%1000))); err != nil || a.status != 200 {
					t.Errorf("a client got %d, %v", a.status, err)
					return
				}
			}
		})
	}
	for !done() && ctx.Err() == nil && !t.Failed() {
		time.Sleep(20 * time.Millisecond)
	}
	ended.Store(true)
	clients.Wait()
	if ctx.Err() != nil {
		t.Fatal("it did not come about")
	}
}

// fieldsIn returns the fields of a report that are in a state, with their kinds.
func fieldsIn(r *api.Shadow, states ...string) []string {
	var all []string
	for _, p := range r.Patterns {
		for _, f := range p.Fields {
			for _, s := range states {
				if f.State == s {
					all = append(all, p.Name+" "+f.Name+" "+f.Kind)
				}
			}
		}
	}
	return all
}

// What changes from one answer to the next is no difference, in ten thousand
// requests; what has another type in one answer of a hundred is.
func TestShadowsTellDifferenceFromNoise(t *testing.T) {
	enough := int64(10_000)
	if testing.Short() {
		enough = 3000
	}
	for _, c := range []struct {
		name, decision string
		enough         int64
		total          func() string
		differ         []string
	}{
		{"alike", "pass", 1500, twelve, nil},
		{"one in a hundred", "fail", enough, often(100), []string{"GET /orders/{id} $.total retyped"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := run(t, fmt.Sprintf(`services:
  web:
    versions:
      v1: {endpoints: [%q], weight: 1}
      v2: {endpoints: [%q]}
    shadow: {to: v2, share: 100%%}
`, origin(t, orders(twelve)), origin(t, orders(c.total))))
			ask(t, s, "/orders", func() bool { return s.report().Whole >= c.enough })
			r := s.report()
			if r.Decision != c.decision || fmt.Sprint(fieldsIn(&r, "different", "untested")) != fmt.Sprint(c.differ) {
				t.Errorf("%s %q: %q", r.Decision, r.Reasons, fieldsIn(&r, "different", "suspect", "untested"))
			}
			if noise := fieldsIn(&r, "noise"); len(noise) < 4 {
				t.Errorf("noise: %q", noise)
			}
			if r.Copies["answered"] < uint64(c.enough) || len(r.NotCompared) > 0 {
				t.Errorf("%+v", r.Copies)
			}
		})
	}
}

// A rollout's shadow stage rolls back a candidate that retypes a field, and passes
// one that doesn't on to its first session, over real sockets.
func TestShadowStageOverSockets(t *testing.T) {
	for _, c := range []struct {
		name  string
		total func() string
		ends  state.Phase
		why   string
	}{
		{"alike", twelve, state.PhaseShifting, "its answers were like the baseline's"},
		{"retyped", often(3), state.PhaseRolledBack, "GET /orders/{id}: $.total had another type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := run(t, fmt.Sprintf(`services:
  web:
    versions:
      v1: {endpoints: [%q], weight: 1}
      dark: {endpoints: [%q]}
    shadow: {least: 150}
    rollout: ours
policies:
  ours:
    stages: [{shadow: {share: 50%%}}, {shift: {share: 100%%, hold: 1h}}]
`, origin(t, orders(twelve)), origin(t, orders(c.total))))
			ro, err := s.admin.StartRollout(t.Context(), "web", api.RolloutStart{Candidate: api.Candidate{Version: "dark"}})
			if err != nil {
				t.Fatal(err)
			}
			ask(t, s, "/orders", func() bool {
				phase := s.keeper.State().Rollouts[ro.ID].Phase
				return phase != state.PhaseQueued && phase != state.PhaseShadowing
			})
			moves := s.keeper.State().Rollouts[ro.ID].Moves
			last := moves[len(moves)-1]
			if last.To != c.ends || last.By != "shadow" || !strings.Contains(last.Why, c.why) || len(last.Evidence) != 1 || last.Evidence[0].Shadow == nil {
				t.Errorf("%+v", last)
			}
		})
	}
}

// hostile are answers that no program should have to read, and what is told of
// them where the candidate gives them: why their bodies are not compared, or the
// status of none.
var hostile = []struct {
	name, told string
	serve      http.HandlerFunc
}{
	{"deep", "nested too deep", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, strings.Repeat(`{"a":`, 20_000)+"1"+strings.Repeat("}", 20_000))
	}},
	{"wide", "too many fields", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// Few names beside one another, or they would be taken for the keys of a map.
		level := func(inner string) string {
			var b strings.Builder
			for i := range 20 {
				fmt.Fprintf(&b, `,"key_%c":%s`, 'a'+i, inner)
			}
			return "{" + b.String()[1:] + "}"
		}
		io.WriteString(w, level(level(level("1"))))
	}},
	{"endless", "too large", func(w http.ResponseWriter, r *http.Request) { pour(w, r, 1<<62) }},
	{"a gigabyte", "too large", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(1<<30))
		pour(w, r, 1<<30)
	}},
	{"gzip bomb", "too large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(gzipBomb())
	}},
	{"broken off", "no answer", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("a"))
	}},
	{"silent", "no answer", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}},
}

// pour sends zeros until somebody has enough.
func pour(w http.ResponseWriter, r *http.Request, n int64) {
	w.Header().Set("Content-Type", "application/json")
	zeros := make([]byte, 64<<10)
	for n > 0 && r.Context().Err() == nil {
		sent, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if n -= int64(sent); err != nil {
			return
		}
	}
}

// gzipBomb is a few hundred kilobytes that say they are 64 MiB.
var gzipBomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // a level that there is
	zeros := make([]byte, 1<<20)
	for range 64 {
		z.Write(zeros)
	}
	z.Close()
	return b.Bytes()
})

// hostileRig is a server whose service web copies from v1 to v2, of which one gives
// hostile answers. Copies that end are given the time of a busy machine.
func hostileRig(t *testing.T, ends bool, v1, v2 http.HandlerFunc) *sluice {
	timeout := "1m"
	if !ends {
		timeout = "500ms"
	}
	return run(t, fmt.Sprintf(`services:
  web:
    versions:
      v1: {endpoints: [%q], weight: 1}
      v2: {endpoints: [%q]}
    shadow: {to: v2, share: 100%%, timeout: %s, max_body: 256KiB}
`, origin(t, v1), origin(t, v2), timeout))
}

// counted counts how many calls of a handler are under way.
func counted(serve http.HandlerFunc, now *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now.Add(1)
		defer now.Add(-1)
		serve(w, r)
	}
}

// heapAfter runs f and returns by how much more memory was used at most.
func heapAfter(f func()) uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, most := m.HeapAlloc, uint64(0)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-watched
	return most - min(before, most)
}

// hostileMemory is more than all that copies may hold, and far less than what
// hostile answers come to.
const hostileMemory = 192 << 20

// However a candidate answers copies, customers are served, memory is bounded, the
// answers are told as what they are, and nothing goes on afterwards.
func TestHostileCandidates(t *testing.T) {
	gzipBomb() // not to be counted
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			var busy atomic.Int64
			s := hostileRig(t, h.name != "silent", orders(twelve), counted(h.serve, &busy))
			used := heapAfter(func() {
				ask(t, s, "/orders", func() bool {
					r := s.report()
					return r.NotCompared[h.told] >= 50 || h.told == "no answer" && r.Decision == "fail"
				})
			})
			if used > hostileMemory {
				t.Errorf("%d MiB of memory", used>>20)
			}
			r := s.report()
			switch {
			case h.told != "no answer" && (r.Whole > 0 || r.Decision != "hold"):
				t.Errorf("%s %q, %v", r.Decision, r.Reasons, r.NotCompared)
			case h.told == "no answer" && !strings.Contains(r.Reasons[0], "status had another value"):
				t.Errorf("%s %q", r.Decision, r.Reasons)
			}
			await(t, "the end of all copies", func() bool { return busy.Load() == 0 })
		})
	}
}

// However the baseline answers, its customers get as much of that as they want,
// and copies hold no more memory for it.
func TestHostileBaselines(t *testing.T) {
	gzipBomb()
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			var busy atomic.Int64
			s := hostileRig(t, true, counted(h.serve, &busy), orders(twelve))
			patience := time.Minute
			if h.name == "silent" {
				patience = time.Second / 2
			}
			used := heapAfter(func() {
				var clients sync.WaitGroup
				for range 8 {
					clients.Go(func() {
						for range 3 {
							sip(t, s.url("", "/orders/1"), 8<<20, patience)
						}
					})
				}
				clients.Wait()
			})
			if used > hostileMemory {
				t.Errorf("%d MiB of memory", used>>20)
			}
			await(t, "the end of all requests", func() bool { return busy.Load() == 0 })
			// What ends is told; what the customer left, or broke off, is not compared.
			ends := h.name == "deep" || h.name == "wide" || h.name == "gzip bomb"
			await(t, "the copies", func() bool {
				r := s.report()
				return ends && r.NotCompared[h.told] == 24 || !ends && r.Copies["baseline"] == 24 && r.Comparisons == 0
			})
		})
	}
}

// sip reads some of an answer and leaves, after some time at most.
func sip(t *testing.T, url string, most int64, patience time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Errorf("no answer: %v", err)
		return
	}
	defer res.Body.Close()
	io.CopyN(io.Discard, res.Body, most) // however that ends
}
