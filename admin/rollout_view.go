package admin

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// viewRollout joins what was decided about a rollout with what is known of it
// now.
func (s *Server) viewRollout(r *state.Rollout) api.Rollout {
	out := s.listed(r)
	for i := range r.Moves {
		m := &r.Moves[i]
		out.Moves = append(out.Moves, api.RolloutMove{At: m.At, By: m.By, From: m.From, To: m.To, Stage: m.Stage,
			Share: portion(m.Share), Why: m.Why, Evidence: m.Evidence})
	}
	if s.opts.Rollouts != nil && !out.Over {
		out.Evidence = s.opts.Rollouts.Evidence(r.ID)
	}
	return out
}

// listed is viewRollout without moves and evidence.
func (s *Server) listed(r *state.Rollout) api.Rollout {
	out := api.Rollout{
		ID: r.ID, Set: r.Set, Legs: r.Legs, Policy: viewPolicy(&r.Policy), Phase: r.Phase, Was: r.Was, Over: r.Phase.Over(),
		Stage: r.Stage, Share: portion(r.Share()), Seq: r.Seq, Order: r.Order, Force: r.Force, By: r.By, Why: r.Why,
		Created: r.Created, Began: r.Began, StageBegan: r.StageBegan, Ended: r.Ended,
	}
	if n := len(r.Moves); out.Over && n > 0 {
		out.Text = strings.ReplaceAll(string(r.Phase), "_", " ") + ": " + r.Moves[n-1].Why
	}
	if !out.Over {
		if s.opts.Rollouts != nil {
			out.Trouble = s.opts.Rollouts.Trouble(r.ID)
			line := s.opts.Rollouts.Line(r.ID)
			out.Place, out.Behind, out.For, out.Expected = line.Place, line.Behind, line.For, line.Expected
		}
		out.Text = standing(&out)
	}
	return out
}

// portion makes a fraction of hundredths of a percent.
func portion(share int) float64 { return float64(share) / 10_000 }

func viewPolicy(p *state.Policy) api.RolloutPolicy {
	out := api.RolloutPolicy{Name: p.Name, Gate: p.Gate, Stages: make([]api.RolloutStage, len(p.Stages)),
		OnInconclusive: cmp.Or(p.OnInconclusive, state.InconclusiveHold), Queue: cmp.Or(p.Queue, state.QueueSupersede)}
	for i, st := range p.Stages {
		out.Stages[i] = api.RolloutStage{Kind: st.Kind, Share: portion(st.Share), Hold: api.Duration(st.Hold),
			Deadline: api.Duration(st.Deadline), Passes: st.Passes, Gate: st.Gate}
	}
	return out
}

// standing says where a rollout stands that is not over. What the judge sees says
// the evidence.
func standing(r *api.Rollout) string {
	stage := fmt.Sprintf("stage %d of %d", r.Stage+1, len(r.Policy.Stages))
	var text string
	switch r.Phase {
	case state.PhaseQueued:
		text = "queued"
		if r.Place > 0 {
			text = fmt.Sprintf("queued, number %d in line", r.Place)
		}
		if len(r.Behind) > 0 {
			text += ", behind " + strings.Join(r.Behind, ", ")
		}
		if len(r.For) > 0 {
			text += ", for what " + strings.Join(r.For, ", ") + " is to bring"
		}
	case state.PhaseGated:
		text = "gated: waits for a person to promote it"
	case state.PhasePaused:
		text = fmt.Sprintf("paused while %s, with %s of new sessions", r.Was, api.Percent(r.Share))
	case state.PhaseShifting, state.PhaseBaking:
		text = fmt.Sprintf("%s, %s of new sessions (%s)", r.Phase, api.Percent(r.Share), stage)
	case state.PhaseRollingBack:
		text = "rolling back, not durable yet"
	default:
		text = fmt.Sprintf("%s (%s)", r.Phase, stage)
	}
	if r.Trouble != "" {
		text += "; it does not move: " + r.Trouble
	}
	if r.Order != nil {
		text += fmt.Sprintf("; %s was ordered by %s", r.Order.Action, r.Order.By)
	}
	if !r.Expected.IsZero() {
		text += fmt.Sprintf("; begins about %s, at a guess", r.Expected.UTC().Truncate(time.Second).Format(time.RFC3339))
	}
	return text
}
