package state

import (
	"errors"
	"slices"
)

// Possibility is where one rollback would lead, or why it is refused.
type Possibility struct {
	// To is the version named; "": none, which means the weights before the newest
	// raise.
	To string
	// Weights are those after it, of the versions that have some; nil where it is
	// refused.
	Weights map[string]int
	// Leaves are the versions whose pinned sessions would move, by name.
	Leaves []string
	// Warnings tell what the rules would doubt and let pass.
	Warnings []string
	// Refusal says why not; nil: it would be done.
	Refusal *Refusal
}

// CanRollback says where a rollback of a service could go at a moment, with the
// default for pins: first without a target, then to each version by name but one
// that has all weight already. A service that is not there is a *Refusal.
func CanRollback(s State, service string, meta Meta) ([]Possibility, error) {
	svc, err := s.service(service)
	if err != nil {
		return nil, err
	}
	all := []Possibility{Preview(s, Rollback{Service: service}, meta)}
	for _, name := range svc.VersionNames() {
		if sameShares(svc.Weights(), map[string]int{name: 1}) {
			continue
		}
		all = append(all, Preview(s, Rollback{Service: service, To: name}, meta))
	}
	return all, nil
}

// Preview carries a rollback out and drops the outcome.
func Preview(s State, c Rollback, meta Meta) Possibility {
	p := Possibility{To: c.To}
	next, events, err := Apply(s, c, meta)
	if err != nil {
		if !errors.As(err, &p.Refusal) {
			p.Refusal = &Refusal{Reason: ErrRefused, Service: c.Service, Message: err.Error()}
		}
		return p
	}
	before, after := s.Services[c.Service], next.Services[c.Service]
	p.Weights = weighted(after.Weights())
	for _, name := range after.VersionNames() {
		if old := before.Versions[name]; old != nil && old.LeastEpoch < after.Versions[name].LeastEpoch && old.Mode(meta.At) != Dark {
			p.Leaves = append(p.Leaves, name)
		}
	}
	for _, e := range events {
		p.Warnings = slices.Concat(p.Warnings, e.Warnings)
	}
	return p
}
