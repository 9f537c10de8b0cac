package state

import "fmt"

// plan carries out SetLevel. Behind a barrier the level can rise only where no
// version that has traffic is left behind; and it can't be taken back.
func (c SetLevel) plan(s State) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	if err := checkLevel(c.Service, c.Level); err != nil {
		return nil, err
	}
	switch {
	case c.Level == svc.Level:
		return nil, nil
	case c.Level == "" && svc.Barrier:
		return nil, &Refusal{
			Reason: ErrRefused, Service: c.Service, Field: "level", Rule: RuleBarrier,
			Message: fmt.Sprintf("service %q has a barrier at level %s, which can't be without a level", c.Service, svc.Level),
			Remedy:  "lift the barrier first",
		}
	}
	return []edit{svc.guarded(svc.Barrier, c.Level)}, nil
}

// plan carries out SetBarrier.
func (c SetBarrier) plan(s State) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	if err := checkLevel(c.Service, c.Level); err != nil {
		return nil, err
	}
	level := svc.Level
	if c.Level != "" {
		level = c.Level
	}
	switch {
	case c.On && level == "":
		return nil, &Refusal{
			Reason: ErrInvalid, Service: c.Service, Field: "level",
			Message: fmt.Sprintf("a barrier stands at a level, and service %q has none", c.Service),
			Remedy:  "say which shape is in the database now",
		}
	case c.On == svc.Barrier && level == svc.Level:
		return nil, nil
	}
	return []edit{svc.guarded(c.On, level)}, nil
}

func checkLevel(service, level string) error {
	if level == "" || ValidName(level) {
		return nil
	}
	return &Refusal{
		Reason: ErrInvalid, Service: service, Field: "level",
		Message: fmt.Sprintf("%q is no name for a shape", level), Remedy: nameRemedy,
	}
}

// guarded is the edit that gives a service a level and a barrier, or none.
func (s *Service) guarded(barrier bool, level string) edit {
	next := s.copy()
	next.Barrier, next.Level = barrier, level
	detail := "no level, no barrier"
	switch {
	case barrier:
		detail = fmt.Sprintf("barrier at level %s", level)
	case level != "":
		detail = fmt.Sprintf("level %s, no barrier", level)
	}
	return edit{service: s.Name, next: next, detail: detail}
}
