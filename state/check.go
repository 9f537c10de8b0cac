package state

import "fmt"

// check holds the rules that every edit obeys, whichever command made it. Rules
// between versions and between services belong here too. prev is nil for a new
// service.
func check(prev, next *Service) error {
	bad := func(version, field, message, remedy string) error {
		return &Refusal{Reason: ErrRefused, Service: next.Name, Version: version, Field: field, Message: message, Remedy: remedy}
	}
	if !ValidName(next.Name) {
		return bad("", "service", fmt.Sprintf("%q is no name for a service", next.Name), nameRemedy)
	}
	if n := len(next.Versions); n > MaxVersions {
		return bad("", "version", fmt.Sprintf("service %q would have %d versions", next.Name, n), fmt.Sprintf("remove some: there may be %d", MaxVersions))
	}
	if n := len(next.Flips); n > MaxFlips {
		return bad("", "", fmt.Sprintf("service %q would remember %d flips, more than %d", next.Name, n, MaxFlips), "")
	}
	if prev != nil && next.Epoch < prev.Epoch {
		return bad("", "", fmt.Sprintf("the epoch of service %q would fall from %d to %d", next.Name, prev.Epoch, next.Epoch), "")
	}
	for _, name := range next.VersionNames() {
		if err := checkVersion(next, name, bad); err != nil {
			return err
		}
	}
	if prev != nil && sum(prev.Weights()) > 0 && sum(next.Weights()) == 0 {
		return bad("", "weights", fmt.Sprintf("service %q would have no live version", next.Name), "give some version a weight above 0")
	}
	return nil
}

func checkVersion(s *Service, name string, bad func(version, field, message, remedy string) error) error {
	v := s.Versions[name]
	switch {
	case v == nil || v.Name != name || !ValidName(name):
		return bad(name, "version", fmt.Sprintf("%q is no name for a version", name), nameRemedy)
	case v.Weight < 0 || v.Weight > MaxWeight:
		return bad(name, "weights."+name, fmt.Sprintf("%d is no weight for version %q", v.Weight, name), fmt.Sprintf("weights go from 0 to %d", MaxWeight))
	case v.Weight > 0 && len(v.Spec.Endpoints) == 0:
		return bad(name, "weights."+name, fmt.Sprintf("version %q of service %q has no endpoints and can't take weight", name, s.Name), "give it endpoints first")
	case v.Weight > 0 && v.Drain.On:
		return bad(name, "", fmt.Sprintf("version %q of service %q would be live and draining at once", name, s.Name), "")
	case v.LeastEpoch > s.Epoch:
		return bad(name, "", fmt.Sprintf("version %q of service %q would accept pins from epoch %d on only, and it is %d", name, s.Name, v.LeastEpoch, s.Epoch), "")
	}
	return nil
}

// Validate holds a state that comes from outside against the rules that Apply
// keeps, so that nothing behind it meets a service or version it can't handle.
func (s State) Validate() error {
	for name, svc := range s.Services {
		switch {
		case svc == nil:
			return fmt.Errorf("service %q is empty", name)
		case svc.Name != name:
			return fmt.Errorf("service %q calls itself %q", name, svc.Name)
		case svc.Revision > s.Revision:
			return fmt.Errorf("service %q is of revision %d, later than the state's %d", name, svc.Revision, s.Revision)
		}
		if err := check(nil, svc); err != nil {
			return fmt.Errorf("service %q: %w", name, err)
		}
	}
	return s.validateRollouts()
}
