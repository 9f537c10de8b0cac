package driver

import (
	"time"

	"sluice/rollout"
	"sluice/state"
)

// observe gathers what the machine goes by.
func (r *runner) observe(s state.State, ro *state.Rollout, now time.Time) rollout.Observation {
	o := rollout.Observation{Now: now, Facts: r.seenFacts(ro, now)}
	probes := r.probe(ro)
	for _, of := range ro.Legs {
		seen := r.observeLeg(s, ro, of, now)
		seen.Probes = probes[of.Service]
		if ro.Phase == state.PhaseShadowing || ro.Was == state.PhaseShadowing {
			r.observeShadow(ro, &seen, now)
		}
		o.Legs = append(o.Legs, seen)
	}
	return o
}

// factsFor is for how long facts are taken to hold: they cost more than a look.
const factsFor = time.Second

// seenFacts returns facts that are not much older than now.
func (r *runner) seenFacts(ro *state.Rollout, now time.Time) *state.Facts {
	if age := now.Sub(r.factsAt); age >= 0 && age < factsFor {
		return r.facts
	}
	services := make([]string, len(ro.Legs))
	for i, of := range ro.Legs {
		services[i] = of.Service
	}
	r.facts, r.factsAt = r.d.opts.Facts(services), now
	return r.facts
}

func (r *runner) observeLeg(s state.State, ro *state.Rollout, of state.Leg, now time.Time) rollout.Leg {
	seen := rollout.Leg{Service: of.Service}
	seen.Healthy, seen.Known = r.d.opts.Endpoints(of.Service, of.Candidate)
	t := r.d.opts.Trial(r.id, of.Service)
	r.listen(of.Service, t)
	if !r.loaded {
		return seen
	}
	l := r.legs[of.Service]
	if t != nil {
		if l == nil {
			l = newLeg(of, ro.Policy.Guards, now)
			r.legs[of.Service] = l
		}
		inc := t.Drain(now)
		l.take(inc, now)
		if inc.Lost > 0 {
			r.d.opts.Lost(inc.Lost)
		}
	}
	if l == nil {
		return seen
	}
	share, next := shares(s, ro, of)
	seen.Evidence = l.evidence(of.Service, share, next, held(ro, now), now)
	seen.FailuresInARow = l.inARow
	seen.Alarm = l.recent.alarm(objective(ro.Policy.Guards), now)
	return seen
}

// observeShadow looks at what copies of requests tell. The judge has nothing to say
// in such a stage, so that this is the evidence.
func (r *runner) observeShadow(ro *state.Rollout, seen *rollout.Leg, now time.Time) {
	shadow, told := r.d.opts.Shadow(r.id, ro.Stage, seen.Service)
	seen.Shadow = shadow
	if shadow == nil || told == nil {
		return
	}
	e := &state.Evidence{Service: seen.Service, At: now.Round(0).UTC(), Decision: "hold", Reason: "shadow", Text: shadow.Text, Shadow: told}
	switch {
	case shadow.Failed != "":
		e.Decision = "roll_back"
	case shadow.Done:
		e.Decision = "promote"
	}
	seen.Evidence = e
}

// held tells whether the least time of the rollout's stage is over.
func held(ro *state.Rollout, now time.Time) bool {
	return ro.Elapsed(now) >= ro.Policy.Stages[ro.Stage].Hold
}

// shares returns the candidate's part of new sessions as it is, and as the next
// stage would have it.
func shares(s state.State, ro *state.Rollout, of state.Leg) (share, next float64) {
	if svc := s.Services[of.Service]; svc != nil {
		sum := 0
		for _, v := range svc.Versions {
			sum += v.Weight
		}
		if v := svc.Versions[of.Candidate]; v != nil && sum > 0 {
			share = float64(v.Weight) / float64(sum)
		}
	}
	for _, stage := range ro.Policy.Stages[min(ro.Stage+1, len(ro.Policy.Stages)):] {
		if stage.Kind == state.StageShift {
			return share, float64(stage.Share) / wholeShare
		}
	}
	return share, 1
}
