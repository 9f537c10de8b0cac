package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sluice/state"
)

// Title names a rollout by what it does: "web v42", or for a release set "shop
// (api v8, web v42)".
func (r *Rollout) Title() string {
	parts := make([]string, len(r.Legs))
	for i, leg := range r.Legs {
		parts[i] = leg.Service + " " + leg.Candidate
	}
	if r.Set == "" {
		return strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%s (%s)", r.Set, strings.Join(parts, ", "))
}

// Since returns the moves after one that was seen; nil: all.
func (r *Rollout) Since(seen *RolloutMove) []RolloutMove {
	for i := len(r.Moves) - 1; seen != nil && i >= 0; i-- {
		if m := &r.Moves[i]; m.At.Equal(seen.At) && m.From == seen.From && m.To == seen.To {
			return r.Moves[i+1:]
		}
	}
	return r.Moves
}

// Progress tells of one transition, as a line and, below it and indented, one
// for each service whose evidence decided.
func (r *Rollout) Progress(m *RolloutMove) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s: %s", clock(m.At), r.Title(), r.position(m))
	if m.By != "" {
		b.WriteString(", by " + m.By)
	}
	if m.Why != "" {
		b.WriteString(": " + m.Why)
	}
	for i := range m.Evidence {
		if e := &m.Evidence[i]; e.CandidateRequests == 0 && e.Shadow == nil {
			continue // before its first request, nothing decided by evidence
		}
		fmt.Fprintf(&b, "\n    %s", Account(&m.Evidence[i]))
	}
	return b.String()
}

// position says where a transition leads: "shifting, 5% of new sessions (stage 3
// of 6)".
func (r *Rollout) position(m *RolloutMove) string {
	text := strings.ReplaceAll(string(m.To), "_", " ")
	switch m.To {
	case state.PhaseShifting, state.PhaseBaking:
		text += fmt.Sprintf(", %s of new sessions (stage %d of %d)", Percent(m.Share), m.Stage+1, len(r.Policy.Stages))
	case state.PhaseProbing, state.PhaseShadowing, state.PhaseGated:
		text += fmt.Sprintf(" (stage %d of %d)", m.Stage+1, len(r.Policy.Stages))
	}
	return text
}

// Now tells where a rollout stands, with what the judge sees, as Progress does, and
// says of it.
func (r *Rollout) Now(at time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s: %s", clock(at), r.Title(), r.Text)
	for i := range r.Evidence {
		e := &r.Evidence[i]
		fmt.Fprintf(&b, "\n    %s", Account(e))
		if e.Text != "" {
			fmt.Fprintf(&b, "\n    %s: %s", e.Service, e.Text)
		}
	}
	return b.String()
}

// Result is the last line of a rollout's progress. Its second word is the
// outcome, as the phase is written.
func (r *Rollout) Result() string {
	text := fmt.Sprintf("%s %s: %s", r.ID, r.Phase, r.Title())
	if !r.Ended.IsZero() && !r.Created.IsZero() {
		text += fmt.Sprintf(", after %v", r.Ended.Sub(r.Created).Round(time.Second))
	}
	if n := len(r.Moves); n > 0 && r.Over {
		text += ": " + r.Moves[n-1].Why
	}
	return text
}

// Account tells in one line what the judge, or a shadow stage, saw of a service.
func Account(e *state.Evidence) string {
	if s := e.Shadow; s != nil {
		return fmt.Sprintf("%s: %d copies of requests compared, %d count of %d needed; %d fields differ, %d may", e.Service, s.Comparisons, s.Whole, s.Least, s.Different, s.Suspect)
	}
	text := fmt.Sprintf("%s: %d of %d requests bad on the candidate, %d of %d on the baseline; e-value %s against no harm",
		e.Service, e.CandidateBad, e.CandidateRequests, e.BaselineBad, e.BaselineRequests, Exp(e.LogR))
	for _, m := range e.Metrics {
		if m.Events > 0 && m.Name == "errors" {
			text += fmt.Sprintf("; failing sessions ×%.3g (95%%: %.3g to %.3g)", m.Ratio, m.Low, m.High)
		}
	}
	switch {
	case e.MinutesToRollBack != nil && e.LogR > 0 && e.Decision == "hold":
		text += "; would roll back in about " + minutes(*e.MinutesToRollBack)
	case e.MinutesToPromote != nil && e.Decision == "hold":
		text += "; would go on in about " + minutes(*e.MinutesToPromote)
	}
	return text
}

// minutes writes a number of minutes in words.
func minutes(m float64) string {
	switch {
	case math.IsNaN(m) || m > 60*24*365:
		return "years"
	case m < 1:
		return "a minute"
	}
	return strings.TrimSuffix(time.Duration(m*float64(time.Minute)).Round(time.Minute).String(), "0s")
}

// Exp writes an e-value from its natural logarithm: "132", "0.05", "1e+20".
func Exp(log float64) string {
	if math.IsNaN(log) {
		return "unknown"
	}
	if log > 700 || log < -700 { // beyond what a float64 can hold
		return fmt.Sprintf("1e%+.0f", log/math.Ln10)
	}
	return strconv.FormatFloat(math.Exp(log), 'g', 3, 64)
}

// Percent writes a share with at most two decimals: "5%", "0.01%".
func Percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*10_000)/100, 'f', -1, 64) + "%"
}

// clock writes a moment as logs do that are read in many places.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
