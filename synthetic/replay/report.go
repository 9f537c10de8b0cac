package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Report is what came of a replay.
type Report struct {
	Target    string    `json:"target"`
	Against   string    `json:"against,omitempty"`
	Began     time.Time `json:"began"`
	Seconds   float64   `json:"seconds"`
	Passed    bool      `json:"passed"`
	Reasons   []string  `json:"reasons,omitempty"` // why it did not pass
	Stopped   string    `json:"stopped,omitempty"` // what ended it before the end of the logs
	Sent      int64     `json:"sent"`
	Rate      float64   `json:"rate"`       // requests a second
	Errors    int64     `json:"errors"`     // no answer, or a 5xx that the log did not have
	MaxLag    Millis    `json:"max_lag_ms"` // how late the latest request was sent
	Sessions  int64     `json:"sessions"`
	Forgotten int64     `json:"sessions_forgotten,omitempty"` // that may have lost their cookies

	Lines     int64     `json:"lines"`
	LeftOut   int64     `json:"left_out"`        // by the filter
	NotSafe   int64     `json:"not_safe"`        // left out, since their method may change something
	Malformed int64     `json:"malformed_lines"` // that are no request
	BadLines  []BadLine `json:"first_malformed,omitempty"`

	Answers  Answers    `json:"answers"`
	Baseline *Answers   `json:"baseline,omitempty"` // of Against
	Changes  []Change   `json:"status_changes,omitempty"`
	Failures []Failure  `json:"first_errors,omitempty"`
	Patterns []Pattern  `json:"patterns"`
	Timeline []Slot     `json:"timeline"`
	SlotSecs float64    `json:"slot_seconds"`
	Compared Comparison `json:"comparison,omitempty"`
}

// Comparison is what a Comparer found: it is in the JSON, and tells the rest.
type Comparison interface {
	Passed() (bool, []string)
	WriteText(io.Writer) error
}

// BadLine is a line that is no request.
type BadLine struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// Answers are those of one target.
type Answers struct {
	Statuses map[int]int64    `json:"statuses"`
	Lost     map[string]int64 `json:"lost,omitempty"`
	Bytes    int64            `json:"bytes"`
	Latency  Latency          `json:"latency_ms"`
}

// Change is a status that is not the log's; 0 and 0 are all for which there was
// no room.
type Change struct {
	Logged  int    `json:"logged"`
	Got     int    `json:"got"`
	Count   int64  `json:"count"`
	Example string `json:"example"`
}

// Failure is a request that failed.
type Failure struct {
	Request string `json:"request"`
	Status  int    `json:"status,omitempty"`
	Logged  int    `json:"logged,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Pattern is the requests of one method whose paths look alike.
type Pattern struct {
	Name    string  `json:"pattern"`
	Sent    int64   `json:"sent"`
	Errors  int64   `json:"errors"`
	Latency Latency `json:"latency_ms"`
}

// Slot is a stretch of time.
type Slot struct {
	Sent   int64 `json:"sent"`
	Errors int64 `json:"errors"`
}

// report makes the report of a replay that ended for a reason, or at the end of
// the logs.
func (r *runner) report(why error) *Report {
	t := r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	begun, forgotten := r.sessions.counts()
	elapsed := r.cfg.Now().Sub(t.began)
	rep := &Report{
		Target: r.cfg.Target.Name, Began: t.began.UTC(), Seconds: elapsed.Seconds(),
		Sent: t.target.took.count, Errors: t.errors, MaxLag: millis(t.lag), Sessions: begun, Forgotten: forgotten,
		Lines: t.lines, LeftOut: t.unwanted, NotSafe: t.forbidden, Malformed: t.bad, BadLines: t.badLines,
		Answers: t.target.answers(), Failures: t.failures, Timeline: t.slots, SlotSecs: t.width.Seconds(),
	}
	if elapsed > 0 {
		rep.Rate = float64(rep.Sent) / elapsed.Seconds()
	}
	if r.cfg.Against != nil {
		rep.Against = r.cfg.Against.Name
		baseline := t.against.answers()
		rep.Baseline = &baseline
	}
	for _, c := range t.changes {
		rep.Changes = append(rep.Changes, *c)
	}
	slices.SortFunc(rep.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Logged, b.Logged), cmp.Compare(a.Got, b.Got))
	})
	for _, name := range slices.Sorted(maps.Keys(t.patterns)) {
		p := t.patterns[name]
		rep.Patterns = append(rep.Patterns, Pattern{name, p.took.count, p.errors, p.took.latency()})
	}
	slices.SortStableFunc(rep.Patterns, func(a, b Pattern) int { return cmp.Compare(b.Sent, a.Sent) })
	rep.judge(why, r.cfg.Tolerance)
	return rep
}

func (s *side) answers() Answers {
	return Answers{Statuses: s.statuses, Lost: s.lost, Bytes: s.bytes, Latency: s.took.latency()}
}

// judge says whether the target passed.
func (r *Report) judge(why error, t Tolerance) {
	switch {
	case why == nil, errors.Is(why, errEnough):
	case errors.Is(why, context.Canceled):
		r.Stopped = "interrupted"
	default:
		r.Stopped = why.Error()
	}
	if r.Stopped != "" {
		r.Reasons = append(r.Reasons, r.Stopped)
	}
	if t.exceeded(r.Errors, r.Sent) && !errors.Is(why, errTooMany) {
		r.Reasons = append(r.Reasons, fmt.Sprintf("%d errors: %s", r.Errors, t))
	}
	if r.Sent == 0 {
		r.Reasons = append(r.Reasons, "nothing was sent")
	}
	r.Passed = len(r.Reasons) == 0
}

// SetComparison adds what a Comparer found, and its verdict.
func (r *Report) SetComparison(c Comparison) {
	r.Compared = c
	if ok, reasons := c.Passed(); !ok {
		r.Passed = false
		r.Reasons = append(r.Reasons, reasons...)
	}
}

// isEOF reports whether a connection ended too soon.
func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
