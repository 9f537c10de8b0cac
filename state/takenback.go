package state

// TakenBack returns the flip that took a version's last weight back: a rollback, by
// whomever, or the end of a rollout that was aborted. It reports false for a version
// that has had weight since, that lost it in another way, above all to its
// successor, that is another build under the name of one whose rollout was taken
// back, or whose flips are forgotten.
func (s State) TakenBack(service, version string) (Flip, bool) {
	svc := s.Services[service]
	if svc == nil || svc.Versions[version] == nil {
		return Flip{}, false
	}
	for i := len(svc.Flips) - 1; i >= 0; i-- {
		f := &svc.Flips[i]
		switch {
		case f.After[version] > 0:
			return Flip{}, false
		case f.Before[version] > 0:
			r := s.Rollouts[f.Rollout]
			another := r != nil && svc.Versions[version].Added > r.Revision
			return *f, !another && (f.Undoes > 0 || f.Kind == Rollback{}.Kind())
		}
	}
	return Flip{}, false
}
