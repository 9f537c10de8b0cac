package server

import (
	"fmt"
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
