// Package trial gathers, on the data path, the evidence by which a candidate is
// compared with its baseline. It counts only requests of the matched cohort,
// sessions assigned since the trial began, in both versions alike; a session's
// event is its first bad request by each metric, with which it leaves that
// metric's risk set. What was counted is drained by whoever judges.
//
// A request costs about 0.1 µs, without a lock or an allocation, which is lost in
// the 40 µs that it takes to be proxied; the first bad one of a session takes a
// lock. BenchmarkArm and, in proxy, BenchmarkProxyGetOnTrial have the numbers.
package trial

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"sluice/stats"
)

// Metric is what a session may be bad by.
type Metric uint8

// The metrics.
const (
	Errors Metric = iota
	P95           // slower than the baseline's 95th percentile, and than Config.Slower allows
	P99           // slower than its 99th

	metrics = int(iota)
)

var metricNames = [metrics]string{"errors", "p95", "p99"}

// String returns "errors", "p95" or "p99".
func (m Metric) String() string {
	if int(m) < metrics {
		return metricNames[m]
	}
	return "unknown"
}

// Config is what a Trial is made of.
type Config struct {
	Bad Bad
	// Since is the epoch from which on sessions count, those pinned in it or
	// later. 0: that of the first Flip that gives the candidate a share.
	Since uint64
	// History is the baseline's latencies before the trial, the reference until
	// the trial has seen enough of its own; nil: none.
	History *stats.Histogram
	// Slower is how many times as slow as the baseline the candidate may be, as at
	// rollout/judge: its latencies count as so much shorter for P95 and P99. Below 1:
	// 1, the same.
	Slower float64
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Shards is how many sets of counters there are, rounded up to a power of
	// two, at most 16; 0 or less: one for each core that Go may use.
	Shards int
}

// Trial is one rollout in one service, as this instance sees it. It is safe for
// concurrent use; Flip and Drain wait for one another, the data path for neither.
type Trial struct {
	now    func() time.Time
	rules  rules
	shards int
	born   int64

	since     atomic.Uint64 // math.MaxUint64: no session counts yet
	window    atomic.Pointer[window]
	exposure  atomic.Pointer[exposure]
	slow      atomic.Pointer[slowness]
	units     units
	arms      [2]Arm
	wake      chan struct{}
	lost      atomic.Int64
	reference reference // of Drain

	turn sync.Mutex // of Flip and Drain

	mu      sync.Mutex
	events  []Event
	spare   []Event // the list that was drained last, to be used again
	clients dispersion
}

// The arms by their index.
const (
	candidate = iota
	baseline
)

// New returns a Trial without evidence. Nothing counts until Flip has told of an
// epoch.
func New(cfg Config) *Trial {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	t := &Trial{
		now: cfg.Now, rules: cfg.Bad.compile(), shards: shardsOf(cfg.Shards), born: cfg.Now().UnixNano(),
		wake: make(chan struct{}, 1), clients: newDispersion(),
	}
	t.events, t.spare = make([]Event, 0, maxEvents), make([]Event, 0, maxEvents)
	t.since.Store(math.MaxUint64)
	if cfg.Since > 0 {
		t.since.Store(cfg.Since)
	}
	t.exposure.Store(newExposure(0, t.born, t.shards))
	t.units.init()
	for i := range t.arms {
		t.arms[i].init(t, i)
	}
	t.reference.begin(cfg.History, t.born)
	t.reference.tolerated = bucketsOf(cfg.Slower)
	t.slow.Store(t.reference.slowness())
	return t
}

// bucketsOf returns how many buckets of stats.Histogram, of which 16 double a
// latency, a ratio of latencies is.
func bucketsOf(ratio float64) int {
	if !(ratio > 1) {
		return 0
	}
	return int(math.Round(16 * math.Log2(min(ratio, 1<<16))))
}

// Arms returns what the data path counts in.
func (t *Trial) Arms() (candidate, baseline *Arm) { return &t.arms[0], &t.arms[1] }

// Flip tells of the epoch that begins, before the first request is decided in it,
// and of the candidate's share of the weights of both versions together, 0 to 1.
// A share that is another than before begins the trailing exposure anew. An epoch
// that was told of already changes nothing.
func (t *Trial) Flip(epoch uint64, share float64) {
	share = min(max(share, 0), 1)
	t.turn.Lock()
	defer t.turn.Unlock()
	now := t.window.Load()
	if now != nil && epoch <= now.epoch {
		return
	}
	if now == nil || share != now.share {
		t.exposure.Store(newExposure(share, t.now().UnixNano(), t.shards))
	}
	next := &window{epoch: epoch, share: share}
	next.before.Store(now)
	t.window.Store(next)
	if share > 0 && t.since.Load() == math.MaxUint64 {
		t.since.Store(epoch)
	}
}

// CountFrom lets only sessions pinned in an epoch or later count from now on; an
// earlier one than before, or 0, changes nothing.
func (t *Trial) CountFrom(epoch uint64) {
	t.turn.Lock()
	defer t.turn.Unlock()
	if since := t.since.Load(); epoch > 0 && (since == math.MaxUint64 || epoch > since) {
		t.since.Store(epoch)
	}
}

// Wake gets a value when there is something that should not wait for the next
// tick: an event, a failure of the candidate, or memory that runs short.
func (t *Trial) Wake() <-chan struct{} { return t.wake }

func (t *Trial) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// window is what is counted of the sessions that one epoch assigned.
type window struct {
	epoch  uint64
	share  float64
	drawn  begun
	joined begun // that came from another service of a release set
	// seen is how many latencies of joined were drained, by arm.
	seen   [2]float64
	before atomic.Pointer[window]
}

// begun counts sessions that begin, by arm.
type begun struct {
	first    [2][stats.Buckets]atomic.Uint32 // the latencies of requests that began sessions
	sessions [2]atomic.Uint64
}

// maxWindows bounds how many epochs are counted at once: requests of one before
// may be under way for long. The latencies of those from before these are not
// told.
const maxWindows = 4

// windowOf returns that of an epoch; nil if it is none of the latest.
func (t *Trial) windowOf(epoch uint64) *window {
	w := t.window.Load()
	for w != nil && w.epoch > epoch {
		w = w.before.Load()
	}
	if w == nil || w.epoch != epoch {
		return nil
	}
	return w
}
