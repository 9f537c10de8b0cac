package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds on what a Meta says, in bytes. Both texts are kept in every line
// of the audit and in every flip.
const (
	MaxBy  = 256
	MaxWhy = 1024
)

// Apply carries out one command. It is pure: the same input gives the same
// output, and s is left as it was. What the command touches is copied, the rest
// is shared between s and the result.
//
// The result has the next revision, which every service and rollout that changed
// carries too, and one event for each such service and for each service of such a
// rollout, in the order of their names. A command that changes nothing returns s and no events. A refused command
// returns s and a *Refusal.
func Apply(s State, cmd Command, meta Meta) (State, []Event, error) {
	meta, err := checkMeta(meta)
	if err != nil {
		return s, nil, err
	}
	edits, err := plan(s, cmd, meta)
	if err == nil {
		edits, err = meetRollouts(s, edits, cmd, meta)
	}
	if err != nil || len(edits) == 0 {
		return s, nil, err
	}

	next, err := s.with(edits)
	if err != nil {
		return s, nil, err
	}
	verdict, err := obey(s, next, edits, meta)
	if err != nil {
		return s, nil, err
	}
	events := make([]Event, 0, len(edits))
	for _, e := range edits {
		ev := e.event(s.Services[e.service], cmd, meta, next.Revision)
		ev.Forced, ev.Warnings = verdict.forced, verdict.warnings[e.service]
		if len(ev.Forced) > 0 {
			ev.Detail += fmt.Sprintf("; forced, against the rules of %s", listRules(ev.Forced))
		}
		events = append(events, ev)
	}
	return next, events, nil
}

// with returns the state after some edits, if it obeys the rules of check.
func (s State) with(edits []edit) (State, error) {
	next := State{Revision: s.Revision + 1, Services: maps.Clone(s.Services), Rollouts: s.Rollouts}
	if next.Services == nil {
		next.Services = make(map[string]*Service, len(edits))
	}
	for _, e := range edits {
		prev := s.Services[e.service]
		switch {
		case e.next == prev:
		case e.next == nil:
			delete(next.Services, e.service)
		default:
			e.next.Revision = next.Revision
			e.next.stamp(prev)
			next.Services[e.service] = e.next
			if err := check(prev, e.next); err != nil {
				return s, err
			}
		}
	}
	next.enroll(edits)
	return next, nil
}

// stamp writes the revision into the versions that prev, which may be nil, did
// not have.
func (s *Service) stamp(prev *Service) {
	for name, v := range s.Versions {
		if prev == nil || prev.Versions[name] == nil {
			v.Added = s.Revision
		}
	}
}

// enroll takes the rollouts that edits changed into a state whose list of them
// is still shared.
func (s *State) enroll(edits []edit) {
	touches := func(e edit) bool { return e.rollout != nil || e.next == nil }
	if !slices.ContainsFunc(edits, touches) {
		return
	}
	s.Rollouts = maps.Clone(s.Rollouts)
	for _, e := range edits {
		if e.rollout == nil {
			continue
		}
		if s.Rollouts == nil {
			s.Rollouts = map[string]*Rollout{}
		}
		e.rollout.Revision = s.Revision
		s.Rollouts[e.rollout.ID] = e.rollout
	}
	s.forgetEnded()
	if len(s.Rollouts) == 0 {
		s.Rollouts = nil // as it is read back
	}
}

// edit is what a command does to one service, or only to a rollout in it.
type edit struct {
	service string
	next    *Service // nil: the service goes; the very same: it stays
	rollout *Rollout // as it is afterwards, where one is concerned
	version string   // the version concerned, where it is one
	detail  string   // one sentence for people
	force   bool     // passes over the safety rules
	back    bool     // goes back to what was: a lack of capacity only warns
}

// compare orders edits: by service, those that change it first.
func (e edit) compare(f edit) int {
	number := func(r *Rollout) uint64 {
		if r == nil {
			return 0
		}
		return r.number()
	}
	return cmp.Or(strings.Compare(e.service, f.service), cmp.Compare(number(e.rollout), number(f.rollout)))
}

func (e edit) event(prev *Service, cmd Command, meta Meta, revision uint64) Event {
	before, after := weightsChange(prev, e.next)
	ev := Event{
		Revision: revision, At: meta.At, By: meta.By, Why: meta.Why,
		Kind: cmd.Kind(), Service: e.service, Version: e.version,
		Before: before, After: after, Detail: e.detail,
	}
	if e.rollout != nil {
		ev.Rollout = e.rollout.ID
	}
	switch {
	case e.next != nil:
		ev.Epoch = e.next.Epoch
	case prev != nil:
		ev.Epoch = prev.Epoch
	}
	return ev
}

// plan finds what a command changes, without changing it.
func plan(s State, cmd Command, meta Meta) ([]edit, error) {
	switch c := cmd.(type) {
	case Declare:
		return c.plan(s, meta)
	case PutVersion:
		return c.plan(s, meta)
	case RemoveVersion:
		return c.plan(s, meta)
	case SetWeights:
		return c.plan(s, meta)
	case Rollback:
		fixed, err := c.resolve(s)
		if err != nil {
			return nil, err
		}
		return fixed.plan(s, meta)
	case restore:
		return c.plan(s, meta)
	case VoidPins:
		return c.plan(s)
	case SetDrain:
		return c.plan(s, meta)
	case StartRollout:
		return c.plan(s, meta)
	case MoveRollout:
		return c.plan(s, meta)
	case SteerRollout:
		return c.plan(s, meta)
	case QueueRollout:
		return c.plan(s)
	case RenewCohorts:
		return c.plan(s)
	case SetLevel:
		return c.plan(s)
	case SetBarrier:
		return c.plan(s)
	}
	return nil, &Refusal{Reason: ErrInvalid, Message: fmt.Sprintf("%T is not a command that this build knows", cmd)}
}

// checkMeta returns meta as it is stored: the moment in UTC without a
// monotonic reading, so that a state read back equals the state written.
func checkMeta(m Meta) (Meta, error) {
	switch {
	case m.By == "":
		return m, invalid("by", "a change needs a name behind it", "say who asks for it")
	case len(m.By) > MaxBy || !printable(m.By):
		return m, invalid("by", fmt.Sprintf("the name behind a change must be printable text of at most %d bytes", MaxBy), "")
	case len(m.Why) > MaxWhy:
		return m, invalid("why", fmt.Sprintf("the reason has %d bytes", len(m.Why)), fmt.Sprintf("keep it within %d", MaxWhy))
	case !utf8.ValidString(m.Why):
		return m, invalid("why", "the reason is not valid UTF-8", "")
	case !storable(m.At):
		return m, invalid("at", fmt.Sprintf("%v is no moment at which a change can happen", m.At), "")
	}
	m.At = m.At.Round(0).UTC()
	return m, nil
}

// storable tells whether a moment and any deadline counted from it can be
// written as JSON, which knows the years to 9999 only.
func storable(t time.Time) bool { return t.Year() >= 1970 && t.Year() <= 9900 }

func invalid(field, message, remedy string) error {
	return &Refusal{Reason: ErrInvalid, Field: field, Message: message, Remedy: remedy}
}

// copy returns a service that shares nothing with s that an edit would change:
// its own map of versions, though not its own versions (see change).
func (s *Service) copy() *Service {
	c := *s
	c.Versions = maps.Clone(s.Versions)
	if c.Versions == nil {
		c.Versions = map[string]*Version{}
	}
	return &c
}

// change gives a copied service its own copy of a version, to be changed.
func (s *Service) change(name string) *Version {
	v := *s.Versions[name]
	s.Versions[name] = &v
	return &v
}

// service finds a service or refuses.
func (s State) service(name string) (*Service, error) {
	if svc := s.Services[name]; svc != nil {
		return svc, nil
	}
	return nil, &Refusal{
		Reason: ErrNotFound, Service: name, Field: "service",
		Message: fmt.Sprintf("there is no service %q", name),
		Remedy:  known("services", maps.Keys(s.Services)),
	}
}

// version finds a version or refuses, blaming a field of the command.
func (s *Service) version(name, field string) (*Version, error) {
	if v := s.Versions[name]; v != nil {
		return v, nil
	}
	return nil, &Refusal{
		Reason: ErrNotFound, Service: s.Name, Version: name, Field: field,
		Message: fmt.Sprintf("service %q has no version %q", s.Name, name),
		Remedy:  known("versions", maps.Keys(s.Versions)),
	}
}
