package server

import (
	"strings"

	"sluice/rollout"
	"sluice/state"
	"sluice/synthetic/compare"
)

// shadowSeen returns how a candidate does in a shadow stage of its rollout; nil if
// nobody could be compared with.
func (s *Server) shadowSeen(id string, stage int, service string) (*rollout.Shadow, *state.ShadowEvidence) {
	r := s.keeper.State().Rollouts[id]
	if r == nil || !hasBaseline(r, service) {
		return nil, nil
	}
	c := s.comparisonOf(service, id, stage)
	if c == nil {
		return &rollout.Shadow{Text: "no request is copied yet"}, nil
	}
	report := c.lately(s.now())
	out := &rollout.Shadow{Done: report.Verdict.Decision == compare.Pass, Text: strings.Join(report.Verdict.Reasons, "; ")}
	if report.Verdict.Decision == compare.Fail {
		out.Failed = "its answers differ from the baseline's: " + out.Text
	}
	if healthy, known := s.endpoints(service, c.to); known > 0 && healthy == 0 {
		out.Text += "; the candidate has no healthy endpoint"
	}
	return out, shadowEvidence(&report, c.config.Least)
}

func hasBaseline(r *state.Rollout, service string) bool {
	for _, l := range r.Legs {
		if l.Service == service {
			return l.Baseline != ""
		}
	}
	return false
}

// comparisonOf returns the comparison of a rollout's stage; nil: there is none.
func (s *Server) comparisonOf(service, rollout string, stage int) *comparison {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.fleet.compared[service] {
		if c.rollout == rollout && c.stage == stage {
			return c
		}
	}
	return nil
}

// shadowEvidence sums a report up.
func shadowEvidence(r *compare.Report, least int) *state.ShadowEvidence {
	e := &state.ShadowEvidence{Comparisons: r.Comparisons, Second: r.Second, Whole: r.Whole, Least: int64(least)}
	for _, n := range r.NotCompared {
		e.NotCompared += n
	}
	for i := range r.Patterns {
		for j := range r.Patterns[i].Fields {
			switch r.Patterns[i].Fields[j].State {
			case compare.Different:
				e.Different++
			case compare.Suspect:
				e.Suspect++
			}
		}
	}
	return e
}
