package replay

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"sluice/proxy/h1"
)

// The bounds of what is remembered.
const (
	maxBadLines = 10
	maxFailures = 10
	maxChanges  = 50
	maxSlots    = 240
	firstSlot   = 250 * time.Millisecond // doubled whenever there are too many
)

// tally counts what happens. All workers share it.
type tally struct {
	mu        sync.Mutex
	tolerance Tolerance
	began     time.Time
	now       func() time.Time
	at        time.Time // in the log

	lines, bad, unwanted, forbidden, unchecked int64
	badLines                                   []BadLine
	errors                                     int64
	failures                                   []Failure
	lag                                        time.Duration
	target, against                            side
	changes                                    map[change]*Change
	patterns                                   map[string]*pattern
	slots                                      []Slot
	width                                      time.Duration
}

// side is what is counted of one target.
type side struct {
	took     histogram
	statuses map[int]int64
	lost     map[string]int64 // requests without an answer, by reason
	bytes    int64
}

// change is a status in the log and what it is now.
type change struct{ logged, got int }

// pattern is what is counted of the paths of one pattern.
type pattern struct {
	took   histogram
	errors int64
}

func newTally(cfg *Config) *tally {
	t := &tally{tolerance: cfg.Tolerance, began: cfg.Now(), now: cfg.Now, changes: map[change]*Change{}, patterns: map[string]*pattern{}, width: firstSlot}
	for _, s := range []*side{&t.target, &t.against} {
		s.statuses, s.lost = map[int]int64{}, map[string]int64{}
	}
	return t
}

// malformed counts a line that is no request.
func (t *tally) malformed(where string, number int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines++
	t.bad++
	if len(t.badLines) < maxBadLines {
		t.badLines = append(t.badLines, BadLine{where, number, err.Error()})
	}
}

// take counts a line and reports whether its request is to be sent.
func (t *tally) take(r *Request, w why) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines++
	if r.At.After(t.at) {
		t.at = r.At
	}
	switch w {
	case unwanted:
		t.unwanted++
	case forbidden:
		t.forbidden++
	}
	return w == wanted
}

// record counts an answer and reports whether there are too many errors now.
func (t *tally) record(r *Request, a, baseline *Answer, lag time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lag = max(t.lag, lag)
	t.target.count(a)
	if baseline != nil {
		t.against.count(baseline)
	}
	failed := a.Err != nil || a.Status >= 500 && r.Status < 500
	t.fail(r, a, failed)
	t.compareStatus(r, a)
	t.patternFor(r.Method+" "+patternOf(r.Target)).add(a.Took, failed)
	t.slot(failed)
	return failed && t.tolerance.stops(t.errors, t.target.took.count)
}

func (s *side) count(a *Answer) {
	s.took.add(a.Took)
	s.bytes += a.Size
	if a.Err != nil {
		s.lost[reasonOf(a.Err)]++
		return
	}
	s.statuses[a.Status]++
}

func (p *pattern) add(took time.Duration, failed bool) {
	p.took.add(took)
	if failed {
		p.errors++
	}
}

// fail remembers the first errors.
func (t *tally) fail(r *Request, a *Answer, failed bool) {
	if !failed {
		return
	}
	t.errors++
	if len(t.failures) == maxFailures {
		return
	}
	f := Failure{Request: brief(r), Status: a.Status, Logged: r.Status}
	if a.Err != nil {
		f.Error = explain(a.Err)
	}
	if !slices.Contains(t.failures, f) { // ten times the same tells nothing
		t.failures = append(t.failures, f)
	}
}

// compareStatus counts an answer whose status is not the log's.
func (t *tally) compareStatus(r *Request, a *Answer) {
	if r.Status == 0 || a.Err != nil {
		t.unchecked++
		return
	}
	if r.Status == a.Status {
		return
	}
	k := change{r.Status, a.Status}
	c := t.changes[k]
	if c == nil {
		if len(t.changes) >= maxChanges {
			k = change{}
		}
		if c = t.changes[k]; c == nil {
			c = &Change{Logged: k.logged, Got: k.got, Example: brief(r)}
			t.changes[k] = c
		}
	}
	c.Count++
}

func (t *tally) patternFor(name string) *pattern {
	p := t.patterns[name]
	if p == nil {
		if len(t.patterns) >= maxPatterns {
			name = otherPatterns
		}
		if p = t.patterns[name]; p == nil {
			p = new(pattern)
			t.patterns[name] = p
		}
	}
	return p
}

// slot counts in the course of time. When there are too many slots, each two
// become one.
func (t *tally) slot(failed bool) {
	i := int(t.now().Sub(t.began) / t.width)
	for i >= maxSlots {
		half := t.slots[:0]
		for j, s := range t.slots {
			if j%2 == 0 {
				half = append(half, s)
			} else {
				half[j/2].Sent += s.Sent
				half[j/2].Errors += s.Errors
			}
		}
		t.slots, t.width, i = half, 2*t.width, i/2
	}
	for len(t.slots) <= i {
		t.slots = append(t.slots, Slot{})
	}
	t.slots[i].Sent++
	if failed {
		t.slots[i].Errors++
	}
}

// progress returns how far the replay is.
func (t *tally) progress(now time.Time) Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Progress{Sent: t.target.took.count, Errors: t.errors, Elapsed: now.Sub(t.began), At: t.at, Malformed: t.bad, LeftOut: t.unwanted + t.forbidden}
}

// brief names a request, without its query, which may hold secrets.
func brief(r *Request) string {
	s := r.Method + " " + r.Target
	for i := range len(s) {
		if s[i] == '?' {
			s = s[:i]
			break
		}
	}
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}

// explain says why there is no answer: of one that can't be read, what was wrong
// with it.
func explain(err error) string {
	var malformed *h1.Error
	if errors.As(err, &malformed) {
		return reasonOf(err) + ": " + malformed.Reason
	}
	return reasonOf(err)
}

// reasonOf names a failure in a word or two, of which there are few.
func reasonOf(err error) string {
	var lookup *net.DNSError
	var timeout net.Error
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errEndless):
		return "body too long"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.As(err, &lookup):
		return "name not found"
	case errors.As(err, &untrusted):
		return "no trusted certificate"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case wasClosed(err):
		return "connection closed"
	}
	return "no valid answer"
}
