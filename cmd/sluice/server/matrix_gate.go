package server

import (
	"fmt"
	"slices"
	"strings"

	"sluice/state"
	"sluice/synthetic/matrix"
)

// maxWhy bounds what is told of why a journey failed, in bytes.
const maxWhy = 200

// failing returns what stands against the dark versions of a service: journeys
// that fail and, where they are run by themselves, those that were not run yet. The
// caller holds mu.
func (s *Server) failing(service string, svc *state.Service) map[string][]string {
	of := s.suites[service]
	if of == nil || svc == nil || len(of.journeys) == 0 {
		return nil
	}
	all := map[string][]string{}
	for version := range of.builds {
		if v := svc.Versions[version]; v == nil || v.Weight > 0 {
			continue
		}
		for _, j := range of.journeys {
			run, has := s.history.Newest(matrix.Key{Service: service, Version: version, Journey: j.Name()})
			switch {
			case has && !run.Passed():
				all[version] = append(all[version], failureText(j.Name(), &run))
			case !has && of.probe.Every > 0:
				all[version] = append(all[version], j.Name()+" has not been run against it yet")
			}
		}
	}
	return all
}

// unproven says why a rollout waits for journeys of its candidates; "": it doesn't.
func (s *Server) unproven(id string) string {
	st := s.keeper.State()
	r := st.Rollouts[id]
	if r == nil || r.Force || r.Legs[0].Since > 0 || !awaitsWeight(st, r) {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range r.Legs {
		if why := s.failing(l.Service, st.Services[l.Service])[l.Candidate]; len(why) > 0 {
			return fmt.Sprintf("version %q of service %q has not passed its journeys: %s", l.Candidate, l.Service, why[0])
		}
	}
	return ""
}

// awaitsWeight tells whether a rollout comes to its first shift next, as far as
// others are concerned.
func awaitsWeight(st state.State, r *state.Rollout) bool {
	switch r.Phase {
	case state.PhaseProbing, state.PhaseShadowing:
		return true
	case state.PhaseQueued:
		busy := func(l state.Leg) bool { return st.Under(l.Service) != nil }
		first := r.Policy.Stages[0].Kind
		return (first == state.StageShift || first == state.StageBake) && !slices.ContainsFunc(r.Legs, busy)
	}
	return false
}

// failureText says of a journey where and why it failed.
func failureText(journey string, run *matrix.Run) string {
	why := run.Failure
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "…"
	}
	if step := run.FailedStep(); step != "" {
		return fmt.Sprintf("%s fails at step %s: %s", journey, step, why)
	}
	return fmt.Sprintf("%s fails: %s", journey, why)
}
