package server

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"sluice/proxy"
	"sluice/proxy/head"
	"sluice/synthetic/compare"
)

// copied is what is known of copies of requests, which outlives a table.
type copied struct {
	compared map[string]comparisons // by service
	begun    uint64                 // counts the comparisons
	now      func() time.Time
	turns    chan struct{} // for each that may compare answers at a time
}

// newCopied leaves half of the CPUs to customers, whatever is compared.
func newCopied() copied {
	return copied{
		compared: map[string]comparisons{}, now: time.Now,
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// comparison is what a version answered to copies of requests, beside what the
// clients got. order, active and share belong to Server.mu.
type comparison struct {
	subject
	*compare.Comparison
	order  uint64
	began  time.Time
	active bool    // copies are sent
	share  float64 // of the requests
	turns  chan struct{}

	mu     sync.Mutex
	seen   compare.Report // a moment ago
	seenAt time.Time
}

func newComparison(about subject, order uint64, now time.Time, turns chan struct{}) *comparison {
	return &comparison{subject: about, Comparison: compare.New(about.config), order: order, began: now, turns: turns}
}

// tell compares the answers to one request. It is called by those who wait for
// copies, and keeps them waiting: where comparing is slow, fewer are sent.
func (c *comparison) tell(p *proxy.ShadowPair) {
	if p.Baseline.Failure != "" {
		return // the client got no answer to compare with
	}
	pair := pairOf(p)
	if conditional(&pair) {
		return
	}
	c.turns <- struct{}{}
	defer func() { <-c.turns }()
	c.Add(pair)
}

func pairOf(p *proxy.ShadowPair) compare.Pair {
	pair := compare.Pair{Method: p.Method, Path: p.Path, Baseline: responseOf(&p.Baseline), Candidate: responseOf(&p.Candidate)}
	if p.Again != nil {
		again := responseOf(p.Again)
		pair.Again = &again
	}
	return pair
}

// conditional reports that a pair has nothing to compare, since the client has asked
// for what it does not hold yet: a client holds what the baseline has sent, so that
// a version whose entity tags and dates are others answers 200 where the baseline
// has 304, or 206 (RFC 9110, section 13.1). Such a 200 is no difference. The two
// copies are treated alike, as the test of noise demands.
func conditional(p *compare.Pair) bool {
	if p.Baseline.Status != http.StatusNotModified && p.Baseline.Status != http.StatusPartialContent {
		return false
	}
	copies := []*compare.Response{&p.Candidate}
	if p.Again != nil {
		copies = append(copies, p.Again)
	}
	told := p.Baseline.Status == http.StatusPartialContent
	for _, r := range copies {
		switch r.Status {
		case p.Baseline.Status:
		case http.StatusOK:
			*r = p.Baseline
		default:
			told = true
		}
	}
	return !told
}

// responseOf translates an answer. One that broke off counts as none.
func responseOf(a *proxy.ShadowAnswer) compare.Response {
	if a.Failure != "" {
		return compare.Response{}
	}
	return compare.Response{Status: a.Status, Header: fieldsOf(a.Fields), Body: a.Body, Cut: a.Cut}
}

func fieldsOf(fields []head.Field) []compare.Field {
	all := make([]compare.Field, len(fields))
	for i, f := range fields {
		all[i] = compare.Field{Name: f.Name, Value: f.Value}
	}
	return all
}

// seenFor is for how long a report is taken to hold by those who ask often: to
// write one may take milliseconds.
const seenFor = time.Second

// lately returns a report that is not much older than now.
func (c *comparison) lately(now time.Time) compare.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.seenAt); age < 0 || age >= seenFor || c.seenAt.IsZero() {
		c.seen, c.seenAt = c.Report(), now
	}
	return c.seen
}
