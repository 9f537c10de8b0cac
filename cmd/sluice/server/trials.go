package server

import (
	"maps"
	"slices"

	"sluice/configs"
	"sluice/proxy"
	"sluice/rollout/driver"
	"sluice/state"
	"sluice/stats"
	"sluice/stats/trial"
)

// leg is what the data path knows of a service's part in the rollout that is
// under way there.
type leg struct {
	rollout             string
	candidate, baseline string
	counts              uint64  // the epoch from which on sessions count; 0: none do yet
	slower              float64 // how many times as slow the candidate may be
}

// legs returns them by service. A rollout that goes back compares no more.
func legs(st state.State) map[string]leg {
	all := map[string]leg{}
	for id, r := range st.Rollouts {
		if !r.UnderWay() || r.Phase == state.PhaseRollingBack {
			continue
		}
		for i := range r.Legs {
			l := &r.Legs[i]
			all[l.Service] = leg{rollout: id, candidate: l.Candidate, baseline: l.Baseline, counts: l.Counts(), slower: driver.Slower(r.Policy.Guards)}
		}
	}
	return all
}

// onTrial is a leg and what its versions count in.
type onTrial struct {
	leg
	trial *trial.Trial
}

// trialOf brings the trial of a service's leg up to date, before the first request
// is decided by the state that has it. The zero leg has none. A trial keeps the
// rules by which requests are bad that it began with.
func (f *fleet) trialOf(service string, of leg, declared *configs.Service, svc *state.Service) *trial.Trial {
	if of.rollout == "" || of.baseline == "" {
		delete(f.trials, service)
		return nil
	}
	now, has := f.trials[service]
	if !has || now.rollout != of.rollout || now.candidate != of.candidate || now.baseline != of.baseline {
		now.trial = trial.New(trial.Config{Bad: badOf(&declared.Bad), Since: of.counts, Slower: of.slower, History: f.history(service, of.baseline)})
	}
	now.leg = of
	f.trials[service] = now
	now.trial.CountFrom(of.counts)
	now.trial.Flip(svc.Epoch, shareOf(svc, of))
	return now.trial
}

// history returns the latencies of a version so far.
func (f *fleet) history(service, version string) *stats.Histogram {
	var h stats.Histogram
	f.stats.Version(service, version).Latency(&h)
	return &h
}

// shareOf is the candidate's part of the weights of both versions.
func shareOf(svc *state.Service, of leg) float64 {
	weight := func(name string) float64 {
		if v := svc.Versions[name]; v != nil {
			return float64(v.Weight)
		}
		return 0
	}
	c, b := weight(of.candidate), weight(of.baseline)
	if c == 0 {
		return 0
	}
	return c / (c + b)
}

// arm gives a version's target the arm that it counts in.
func (o *onTrial) arm(version string, t *proxy.Target) {
	candidate, baseline := o.trial.Arms()
	switch version {
	case o.candidate:
		t.Arm = candidate
	case o.baseline:
		t.Arm = baseline
	}
}

// trialOf returns the trial of a rollout in a service; nil: there is none.
func (s *Server) trialOf(rollout, service string) *trial.Trial {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.fleet.trials[service]; now.rollout == rollout {
		return now.trial
	}
	return nil
}

// badOf translates which requests count against a version.
func badOf(b *configs.Bad) trial.Bad {
	out := trial.Bad{Connect: b.Connect, Timeout: b.Timeout, Latency: b.Latency}
	for _, s := range b.Statuses {
		out.Statuses = append(out.Statuses, trial.Statuses{From: s.From, To: s.To})
	}
	for _, s := range b.Except {
		out.Except = append(out.Except, trial.Statuses{From: s.From, To: s.To})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Header)) {
		out.Headers = append(out.Headers, trial.Header{Name: name, Value: b.Header[name]})
	}
	return out
}
