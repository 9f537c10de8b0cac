package stats

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the moment at which the tests' clock stands.
const start = int64(1_800_000_000_000_000_000)

func newRegistry(opts Options) *Registry {
	if opts.Reasons == nil {
		opts.Reasons = []string{"pin", "split", "failover"}
	}
	if opts.Now == nil {
		opts.Now = func() int64 { return start }
	}
	opts.Seed = 1
	return New(opts)
}

// twin counts one version in the plainest way.
type twin struct {
	VersionStats
	begun    uint64
	latency  Histogram
	sessions map[uint64]bool
}

func (w *twin) end(reasons []string, o Outcome) {
	w.Requests++
	class := "none"
	if o.Status != 0 {
		class = fmt.Sprintf("%dxx", o.Status/100)
	}
	if o.Status != 0 && (o.Status < 100 || o.Status > 599) {
		class = "5xx"
	}
	reason := "unknown"
	if int(o.Reason) < len(reasons) {
		reason = reasons[o.Reason]
	}
	w.addCount(class, reason)
	w.latency.Record(o.Nanos)
	w.BytesIn += uint64(max(o.BytesIn, 0))
	w.BytesOut += uint64(max(o.BytesOut, 0))
	w.Retries += uint64(o.Retries)
	kinds := []string{"", "connect", "reset", "timeout", "malformed", "truncated"}
	if o.UpstreamError > 0 && int(o.UpstreamError) < len(kinds) {
		w.UpstreamErrors[kinds[o.UpstreamError]]++
	}
	if o.Flags&Aborted != 0 {
		w.Aborted++
	}
	if o.Flags&Failover != 0 {
		w.FailoversTaken++
	}
	if o.Session != 0 {
		w.sessions[o.Session] = true
	}
}

func (w *twin) addCount(class, reason string) {
	for i := range w.Counts {
		if w.Counts[i].Class == class && w.Counts[i].Reason == reason {
			w.Counts[i].Count++
			return
		}
	}
	w.Counts = append(w.Counts, RequestCount{class, reason, 1})
}

func drawOutcome(t *rapid.T) Outcome {
	return Outcome{
		Status:        rapid.OneOf(rapid.IntRange(100, 599), rapid.SampledFrom([]int{0, -1, 42, 600, 999})).Draw(t, "status"),
		Reason:        rapid.Uint8Range(0, 5).Draw(t, "reason"),
		Nanos:         rapid.Int64Range(-10, 200e9).Draw(t, "nanos"),
		Session:       rapid.Uint64Range(0, 20).Draw(t, "session"),
		Now:           rapid.SampledFrom([]int64{0, start}).Draw(t, "now"),
		Retries:       rapid.Uint8Range(0, 3).Draw(t, "retries"),
		UpstreamError: rapid.Uint8Range(0, 7).Draw(t, "error"),
		BytesIn:       rapid.Int64Range(-1, 1e12).Draw(t, "in"),
		BytesOut:      rapid.Int64Range(-1, 1e12).Draw(t, "out"),
		Flags:         Flags(rapid.Uint8Range(0, 3).Draw(t, "flags")),
	}
}

func TestShardsAddUpToThePlainTwin(t *testing.T) {
	reasons := []string{"pin", "split", "failover"}
	rapid.Check(t, func(t *rapid.T) {
		r := newRegistry(Options{Reasons: reasons, Shards: rapid.IntRange(1, 9).Draw(t, "shards")})
		v := r.Version("web", "v1")
		w := twin{sessions: map[uint64]bool{}}
		w.UpstreamErrors = map[string]uint64{}
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			shard := rapid.Uint32().Draw(t, "shard")
			switch rapid.IntRange(0, 8).Draw(t, "act") {
			case 0:
				v.Begin(shard)
				w.begun++
			case 1:
				v.PinMade(shard)
				w.PinsMade++
			case 2:
				v.PinMoved(shard)
				w.PinsMoved++
			case 3:
				v.PinsVoided(shard)
				w.PinsVoided++
			case 4:
				v.FailedOver(shard)
				w.FailedOver++
			case 5:
				n := rapid.IntRange(-1, 3).Draw(t, "ejected")
				v.Ejected(n)
				w.Ejections += uint64(max(n, 0))
			case 6:
				v.TunnelOpened(shard)
				w.TunnelsOpened++
				if rapid.Bool().Draw(t, "closed") {
					v.TunnelClosed(shard)
				} else {
					w.TunnelsActive++
				}
			default:
				o := drawOutcome(t)
				v.Begin(shard)
				v.End(shard, &o)
				w.begun++
				w.end(reasons, o)
			}
		}
		compare(t, r.Snapshot()[0], &w)
	})
}

func compare(t *rapid.T, got VersionStats, w *twin) {
	for _, want := range w.Counts {
		var n uint64
		for _, c := range got.Counts {
			if c.Class == want.Class && c.Reason == want.Reason {
				n += c.Count
			}
		}
		if n != want.Count {
			t.Errorf("%s %s: %d, want %d", want.Class, want.Reason, n, want.Count)
		}
	}
	if len(got.Counts) != len(w.Counts) {
		t.Errorf("counts %v, want %v", got.Counts, w.Counts)
	}
	// Up to 20 sessions in 2048 registers: two share one now and then.
	if n := uint64(len(w.sessions)); got.LiveSessions > n+1 || got.LiveSessions+2 < n {
		t.Errorf("live sessions %d, want about %d", got.LiveSessions, n)
	}
	want := w.VersionStats
	want.Service, want.Version = "web", "v1"
	want.InFlight = w.begun - w.Requests
	want.RequestsMinute = w.Requests
	want.Latency = latencyOf(&w.latency)
	want.Shares = got.Shares
	want.Counts, want.LiveSessions = got.Counts, got.LiveSessions
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); a != b {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func TestCountsAreWholeUnderConcurrency(t *testing.T) {
	const workers, each = 8, 2000
	r := newRegistry(Options{Shards: 4})
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for {
			for _, s := range r.Snapshot() {
				if s.InFlight > workers {
					t.Errorf("in flight %d, want at most %d", s.InFlight, workers)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for w := range uint32(workers) {
		writers.Go(func() {
			for i := range each {
				v := r.Version("web", "v1")
				v.Begin(w)
				v.PinMade(w)
				v.End(w, &Outcome{Status: 200, Reason: 1, Nanos: int64(i) * 1000, Session: uint64(w) + 1, Now: start})
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	s := r.Snapshot()[0]
	if s.Requests != workers*each || s.RequestsMinute != s.Requests || s.PinsMade != s.Requests || s.InFlight != 0 || s.LiveSessions != workers {
		t.Errorf("after %d requests of %d sessions: %+v", workers*each, workers, s)
	}
}

func TestVersionKeepsItsPointerUntilForgotten(t *testing.T) {
	r := newRegistry(Options{})
	v := r.Version("web", "v1")
	if r.Version("web", "v1") != v {
		t.Error("another pointer for the same names")
	}
	if r.Version("web", "v2") == v || r.Version("api", "v1") == v {
		t.Error("the same pointer for other names")
	}
	v.Begin(0)
	r.Forget("web", "v1")
	r.Forget("web", "v1")
	r.Forget("nosuch", "v1")
	v.End(0, &Outcome{Status: 200}) // whoever holds the pointer may go on
	if again := r.Version("web", "v1"); again == v {
		t.Error("the forgotten version came back")
	}
	for _, s := range r.Snapshot() {
		if s.Requests != 0 || s.InFlight != 0 {
			t.Errorf("%s %s has counts of the forgotten version", s.Service, s.Version)
		}
	}
}

func TestSharesThreeWays(t *testing.T) {
	now := start
	weights := map[string]int{"v1": 95, "v2": 5}
	r := newRegistry(Options{
		Now: func() int64 { return now },
		Describe: func(service, version string) (Description, bool) {
			w, ok := weights[version]
			return Description{Weight: w}, ok && service == "web"
		},
	})
	end := func(version string, session uint64) {
		v := r.Version("web", version)
		v.Begin(0)
		v.End(0, &Outcome{Status: 200, Session: session})
	}
	r.Version("api", "v7")
	for i := range uint64(30) {
		end("v1", i%3+1)
	}
	now += 120 * second
	for range 9 {
		end("v1", 1)
	}
	end("v2", 9)
	r.Version("web", "old")
	got := map[string]Shares{}
	for _, s := range r.ServiceSnapshot("web") {
		got[s.Version] = s.Shares
		if known := s.Weight != nil; known != (s.Version != "old") {
			t.Errorf("%s: weight known is %v", s.Version, known)
		}
	}
	want := map[string]Shares{
		"v1":  {Weight: 0.95, Sessions: 0.75, Requests: 0.9, RequestsTotal: 39.0 / 40},
		"v2":  {Weight: 0.05, Sessions: 0.25, Requests: 0.1, RequestsTotal: 1.0 / 40},
		"old": {},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("shares %v\nwant   %v", got, want)
	}
	if n := len(r.Snapshot()); n != 4 {
		t.Errorf("%d versions in all, want 4", n)
	}
	now += int64(DefaultSessionWindow)
	if s := r.ServiceSnapshot("web")[1]; s.LiveSessions != 0 || s.RequestsMinute != 0 || s.Requests != 39 {
		t.Errorf("long after: %+v", s)
	}
}

func TestReasonsWithOneNameAreOne(t *testing.T) {
	r := newRegistry(Options{Reasons: []string{"pin", "", "pin", "unknown", "\xff"}})
	v := r.Version("web", "v1")
	for _, n := range []uint8{0, 1, 2, 3, 4, 255} {
		v.End(0, &Outcome{Status: 200, Reason: n})
	}
	s := r.Snapshot()[0]
	for reason, want := range map[string]uint64{"pin": 2, "unknown": 3, "\uFFFD": 1} {
		if got := s.ByReason(reason); got != want {
			t.Errorf("reason %q: %d, want %d", reason, got, want)
		}
	}
	if got := s.ByClass("2xx"); got != 6 {
		t.Errorf("class 2xx: %d, want 6", got)
	}
}

func TestShardCount(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 4, 8: 8, 33: 64, 64: 64, 1000: 64} {
		if got := shardCount(n); got != want {
			t.Errorf("shardCount(%d) = %d, want %d", n, got, want)
		}
	}
	if got := shardCount(0); got < 1 || got&(got-1) != 0 {
		t.Errorf("shardCount(0) = %d, want a power of two", got)
	}
}

func TestZeroOptionsWork(t *testing.T) {
	r := New(Options{})
	v := r.Version("web", "v1")
	v.Begin(7)
	v.End(7, &Outcome{Status: 204, Nanos: int64(time.Millisecond), Session: 5})
	s := r.Snapshot()[0]
	if s.Requests != 1 || s.RequestsMinute != 1 || s.LiveSessions != 1 || s.ByReason("unknown") != 1 {
		t.Errorf("after one request: %+v", s)
	}
	var h Histogram
	v.Latency(&h)
	if h.Count() != 1 || h.Micros != 1000 {
		t.Errorf("latency: %d durations, %d µs", h.Count(), h.Micros)
	}
}

func TestProcessCounts(t *testing.T) {
	r := newRegistry(Options{})
	r.NoRoute("edge")
	r.NoRoute("edge")
	r.Refused(400)
	r.Refused(-7)
	r.Refused(600)
	r.OverrideIgnored("expired")
	r.H2Abuse("rapid_reset")
	r.Reloaded()
	r.ReloadFailed()
	r.SetStatePending(2)
	r.SetTableRevision(17)
	r.HandshakeFailed("edge")
	r.CertificateReloadFailed()
	got, err := json.Marshal(r.Process())
	want := `{"no_route":{"edge":2},"refused":{"400":1,"500":2},"override_ignored":{"expired":1},"h2_abuse":{"rapid_reset":1},"fd_exhausted":0,"reloads":1,"reload_failures":1,"state_pending":2,"table_revision":17,"handshake_failures":{"edge":1},"certificate_failures":1}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestNamesAreBounded(t *testing.T) {
	var n named
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range maxNames + 50 {
				n.count(fmt.Sprint("kind", i))
			}
		})
	}
	wg.Wait()
	counts := n.counts()
	var sum uint64
	for _, c := range counts {
		sum += c
	}
	if len(counts) != maxNames+1 || sum != 4*(maxNames+50) || counts[other] != 4*50 {
		t.Errorf("%d names, %d counts, %d other", len(counts), sum, counts[other])
	}
}
