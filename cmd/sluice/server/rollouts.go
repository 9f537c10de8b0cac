package server

import (
	"sluice/configs"
	"sluice/state"
)

// policyOf translates a policy of the file. Where 0 means the default to the
// rollout and never in the file, it becomes negative.
func policyOf(name string, p *configs.Policy) state.Policy {
	out := state.Policy{
		Name: name, Gate: p.Gate, OnInconclusive: state.Inconclusive(p.OnInconclusive), Queue: state.QueueMode(p.Queue),
		OnPromote: handlingOf(p.OnPromote), OnRollback: handlingOf(p.OnRollback), Guards: guardsOf(&p.Guards),
	}
	for _, s := range p.Stages {
		out.Stages = append(out.Stages, stageOf(s))
	}
	for _, h := range p.Hooks {
		hook := state.Hook{URL: h.URL, Secret: h.SecretFile, Command: h.Command, Timeout: h.Timeout}
		for _, phase := range h.On {
			hook.On = append(hook.On, state.Phase(phase))
		}
		out.Hooks = append(out.Hooks, hook)
	}
	return out
}

func stageOf(s configs.Stage) state.Stage {
	switch {
	case s.Probe != nil:
		return state.Stage{Kind: state.StageProbe, Journeys: s.Probe.Journeys, Passes: s.Probe.Passes,
			Every: s.Probe.Every, Deadline: s.Probe.Deadline, Gate: s.Probe.Gate}
	case s.Shadow != nil:
		return state.Stage{Kind: state.StageShadow, Hold: s.Shadow.Hold, Deadline: s.Shadow.Deadline, Gate: s.Shadow.Gate}
	case s.Shift != nil:
		return state.Stage{Kind: state.StageShift, Share: int(s.Shift.Share), Hold: s.Shift.Hold,
			Deadline: s.Shift.Deadline, Gate: s.Shift.Gate}
	}
	return state.Stage{Kind: state.StageBake, Hold: s.Bake.Hold, Deadline: s.Bake.Deadline, Gate: s.Bake.Gate}
}

func handlingOf(h configs.Handling) state.Handling {
	return state.Handling{
		Pins:    state.Pins{Mode: state.PinMode(h.Pins.Mode), For: h.Pins.For},
		Streams: state.Streams(h.Streams),
	}
}

func guardsOf(g *configs.Guards) state.Guards {
	out := state.Guards{Alpha: float64(g.Alpha), Latency: float64(g.Latency), Ceiling: float64(g.Ceiling),
		Objective: float64(g.Objective), FailuresInARow: g.FailuresInARow}
	if out.Objective == 0 {
		out.Objective = -1
	}
	if out.FailuresInARow == 0 {
		out.FailuresInARow = -1
	}
	if len(g.Margins) > 0 {
		out.Margins = make(map[int]float64, len(g.Margins))
	}
	for share, ratio := range g.Margins {
		out.Margins[int(share)] = ratio
	}
	return out
}

// hookSecret returns the secret that a hook of a rollout signs with. A rollout
// names it by its file, since the state holds no secret; the policies in force
// say what the file held when it was read.
func hookSecret(file *configs.File, name string) ([]byte, bool) {
	for _, p := range file.Policies {
		for _, h := range p.Hooks {
			if h.SecretFile == name && name != "" {
				return h.Secret.Bytes(), true
			}
		}
	}
	return nil, false
}
