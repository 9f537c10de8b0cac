package state

// lackingFor is lacking as one version of a service meets it. The services of a
// release set split their sessions alike, so that a session gets the candidates of
// the whole set or none: a candidate meets the set's candidate, and the others meet
// the others.
func (s State) lackingFor(svc *Service, v *Version, provider string, names []string) float64 {
	r := s.setOf(svc, provider)
	if r == nil {
		return s.lacking(provider, names)
	}
	there := r.leg(provider)
	p := s.Services[provider]
	if r.leg(svc.Name).Candidate == v.Name {
		if r.Phase == PhasePromoted { // others may have been given weight since
			return s.lacking(provider, names)
		}
		return p.without(names, map[string]int{there.Candidate: 1})
	}
	others := p.Weights()
	delete(others, there.Candidate)
	if sum(others) == 0 { // they drain together
		others = there.Before
	}
	return p.without(names, others)
}

// setOf returns the rollout that splits the sessions of two services alike: the
// newest in both that has shifted, unless it went back; nil: there is none.
func (s State) setOf(svc *Service, other string) *Rollout {
	r, p := s.Rollouts[svc.Salt], s.Services[other]
	if r == nil || p == nil || p.Salt != svc.Salt || r.leg(svc.Name) == nil || r.leg(other) == nil {
		return nil
	}
	if r.UnderWay() && r.shifted() || r.Phase == PhasePromoted {
		return r
	}
	return nil
}

// without is the part of some weights that is on versions which don't provide all
// these names; 1 of none.
func (s *Service) without(names []string, weights map[string]int) float64 {
	total := sum(weights)
	if total == 0 {
		return 1
	}
	var lacking int64
	for name, weight := range weights {
		if v := s.Versions[name]; v == nil || len(v.Spec.missing(names)) > 0 {
			lacking += int64(weight)
		}
	}
	return float64(lacking) / float64(total)
}
