package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/admin"
	"sluice/configs"
	"sluice/rollout"
	"sluice/state"
)

// rollouts tells the admin API what rollouts need and show beside the state.
type rollouts struct{ s *Server }

// Evidence implements admin.Rollouts.
func (r rollouts) Evidence(id string) []state.Evidence { return r.s.driver.Evidence(id) }

// Trouble implements admin.Rollouts.
func (r rollouts) Trouble(id string) string {
	return cmp.Or(r.s.driver.Trouble(id), r.s.unproven(id))
}

// Policy implements admin.Rollouts.
func (r rollouts) Policy(name string, services []string) (state.Policy, error) {
	r.s.mu.Lock()
	file := r.s.file
	r.s.mu.Unlock()
	return policy(file, name, services)
}

// Line implements admin.Rollouts.
func (r rollouts) Line(id string) admin.Line {
	st := r.s.keeper.State()
	if ro := st.Rollouts[id]; ro == nil || ro.Phase != state.PhaseQueued {
		return admin.Line{}
	}
	services := []string{}
	for _, ro := range st.Rollouts {
		for i := 0; i < len(ro.Legs) && !ro.Phase.Over(); i++ {
			services = append(services, ro.Legs[i].Service)
		}
	}
	now := r.s.now()
	p, _ := rollout.Line(st, id, now, r.s.rates(services))
	line := admin.Line{Place: p.Place, Behind: p.Behind, For: p.For}
	if p.Guessed && p.Wait > 0 {
		line.Expected = now.Add(p.Wait)
	}
	return line
}

// defaultPolicy is that of services which name none.
const defaultPolicy = "standard"

// policy finds a policy among those of the file and those built in; "" is that
// which all of the services have by themselves.
func policy(file *configs.File, name string, services []string) (state.Policy, error) {
	if name == "" {
		var err error
		if name, err = ownPolicy(file, services); err != nil {
			return state.Policy{}, err
		}
	}
	if p := file.Policies[name]; p != nil {
		return policyOf(name, p), nil
	}
	for _, p := range rollout.Policies() {
		if p.Name == name {
			return p, nil
		}
	}
	known := append(configs.BuiltinPolicies(), slices.Sorted(maps.Keys(file.Policies))...)
	return state.Policy{}, &state.Refusal{Reason: state.ErrInvalid, Field: "policy",
		Message: fmt.Sprintf("there is no policy %q", name), Remedy: "known policies: " + strings.Join(known, ", ")}
}

// ownPolicy returns the name of the policy that services have by themselves, or
// refuses where they differ.
func ownPolicy(file *configs.File, services []string) (string, error) {
	var names []string
	for _, service := range services {
		name := defaultPolicy
		if svc := file.Services[service]; svc != nil && svc.Rollout != "" {
			name = svc.Rollout
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 1 {
		return "", &state.Refusal{Reason: state.ErrInvalid, Field: "policy",
			Message: "the services have the policies " + strings.Join(names, ", ") + ", and a release set has one", Remedy: "name the one that is meant"}
	}
	return strings.Join(names, ""), nil
}

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
		return state.Stage{Kind: state.StageShadow, Share: int(s.Shadow.Share), Hold: s.Shadow.Hold, Deadline: s.Shadow.Deadline, Gate: s.Shadow.Gate}
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
	if out.Latency == 0 {
		out.Latency = -1
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
