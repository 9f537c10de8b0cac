package state

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// can tells whether a version of this shape reads what is written in another. It
// always reads what it writes.
func (s *Shape) can(read string) bool {
	return s.Writes == read || slices.Contains(s.Reads, read)
}

// agrees tells whether versions of two shapes can share data: each reads what
// the other writes. One that is not declared says nothing, and holds nobody
// back.
func (s *Shape) agrees(t *Shape) bool {
	return s == nil || t == nil || s.can(t.Writes) && t.can(s.Writes)
}

// String writes the shape for people.
func (s *Shape) String() string {
	if s == nil {
		return "declares no shape"
	}
	reads := s.Reads
	if !slices.Contains(reads, s.Writes) {
		reads = append([]string{s.Writes}, reads...)
	}
	return fmt.Sprintf("writes %s, reads %s", s.Writes, list(reads))
}

// passes tells whether a version may have traffic behind the barrier of its
// service. One that declares no shape can't be shown to read the level.
func (s *Service) passes(v *Version) bool {
	return !s.Barrier || s.Level == "" || v.Spec.Shape != nil && v.Spec.Shape.can(s.Level)
}

// againstBarrier says that a version can't read the level.
func (s *Service) againstBarrier(prev *Service, v *Version, now time.Time) *Refusal {
	r := &Refusal{
		Reason: ErrRefused, Rule: RuleBarrier, Service: s.Name, Version: v.Name, Field: "weights." + v.Name,
		Message: fmt.Sprintf("version %q of service %q can't read level %s, at which its barrier stands: it %s", v.Name, s.Name, s.Level, v.Spec.Shape),
	}
	if prev != nil && prev.Versions[v.Name] != nil && !prev.presence(prev.Versions[v.Name], now).less(s.presence(v, now)) {
		r.Field = "level"
		r.Remedy = fmt.Sprintf("first end its drain: it is %s", v.standing(now))
		if v.Weight > 0 {
			r.Remedy = fmt.Sprintf("first give its weight, which is %d, to others, with pins move", v.Weight)
		}
		return r
	}
	var able []string
	for _, name := range s.VersionNames() {
		if w := s.Versions[name]; s.passes(w) && len(w.Spec.Endpoints) > 0 {
			able = append(able, name)
		}
	}
	r.Remedy = fmt.Sprintf("no version that has endpoints reads %s: register one that does", s.Level)
	if len(able) > 0 {
		r.Remedy = "versions that can: " + list(able)
	}
	return r
}

// againstShapes says that two versions can't share data.
func (s *Service) againstShapes(v, w *Version, now time.Time) *Refusal {
	var cant []string
	for _, pair := range [][2]*Version{{v, w}, {w, v}} {
		if !pair[0].Spec.Shape.can(pair[1].Spec.Shape.Writes) {
			cant = append(cant, fmt.Sprintf("%s can't read what %s writes", pair[0].Name, pair[1].Name))
		}
	}
	r := &Refusal{
		Reason: ErrRefused, Rule: RuleShape, Service: s.Name, Version: w.Name, Field: "weights." + w.Name,
		Message: fmt.Sprintf("versions %q (%s) and %q (%s) of service %q can't serve together: %s",
			v.Name, v.Spec.Shape, w.Name, w.Spec.Shape, s.Name, strings.Join(cant, ", and ")),
		Remedy: "move all weight from one to the other in one step, with pins move",
	}
	for _, drains := range []*Version{v, w} {
		if drains.Mode(now) == Draining {
			r.Version, r.Field = drains.Name, "pins"
			r.Remedy = fmt.Sprintf("with pins move version %q would not drain", drains.Name)
		}
	}
	return r
}

// unreadable warns of versions that get more traffic and can't read the level
// where no barrier keeps them from it.
func unreadable(prev, next *Service, now time.Time) []string {
	if next.Barrier || next.Level == "" {
		return nil
	}
	var doubts []string
	for _, v := range next.serving(now) {
		var before exposure
		if prev != nil && prev.Versions[v.Name] != nil {
			before = prev.presence(prev.Versions[v.Name], now)
		}
		if v.Spec.Shape != nil && !v.Spec.Shape.can(next.Level) && before.less(next.presence(v, now)) {
			doubts = append(doubts, fmt.Sprintf("version %q can't read level %s (it %s), and there is no barrier", v.Name, next.Level, v.Spec.Shape))
		}
	}
	return doubts
}

// cutOff warns where a barrier, set or moved, stands in the way back of a rollout
// that is under way.
func (s State) cutOff(prev, next *Service) []string {
	if prev == nil || !next.Barrier || prev.Barrier && prev.Level == next.Level {
		return nil
	}
	r := s.Under(next.Name)
	if r == nil {
		return nil
	}
	var cut []string
	for _, name := range slices.Sorted(maps.Keys(r.leg(next.Name).Before)) {
		if v := next.Versions[name]; v != nil && !next.passes(v) {
			cut = append(cut, name)
		}
	}
	if len(cut) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("rollout %s is under way and can't go back any more: the barrier keeps traffic from %s", r.ID, list(cut))}
}
