package state

import (
	"cmp"
	"slices"
	"strings"
)

// clear takes the versions out of an edited service that a new rollout leaves
// behind: registered by the API, dark, and neither among the newest MaxClear of
// those nor named by the file, a rollout or the way back.
func (s State) clear(e edit, meta Meta) edit {
	named, known := meta.namedBy(e.service)
	if !known {
		return e
	}
	var old []*Version
	for _, v := range e.next.Versions {
		if v.Origin == FromAPI && v.Mode(meta.At) == Dark && v.Weight == 0 {
			old = append(old, v)
		}
	}
	slices.SortFunc(old, func(a, b *Version) int { return cmp.Or(cmp.Compare(b.Added, a.Added), strings.Compare(b.Name, a.Name)) })
	var gone []string
	for _, v := range old[min(len(old), MaxClear):] {
		if !slices.Contains(named, v.Name) && !s.usedByRollouts(e.service, v.Name) && !s.isWayBack(e.service, v.Name) {
			gone = append(gone, v.Name)
		}
	}
	if len(gone) == 0 {
		return e
	}
	if e.next == s.Services[e.service] {
		e.next = e.next.copy()
	}
	for _, name := range gone {
		delete(e.next.Versions, name)
	}
	slices.Sort(gone)
	e.detail += "; old versions removed: " + list(gone)
	return e
}

// namedBy returns the versions that the file's rules lead to, if that is known.
func (m Meta) namedBy(service string) (named []string, known bool) {
	if m.Facts == nil {
		return nil, false
	}
	named, known = m.Facts.Named[service]
	return named, known
}

// usedByRollouts tells whether a rollout that has not ended relies on a version.
func (s State) usedByRollouts(service, version string) bool {
	for _, r := range s.Rollouts {
		if leg := r.leg(service); leg != nil && !r.Phase.Over() && (leg.Candidate == version || leg.Before[version] > 0) {
			return true
		}
	}
	return false
}

// isWayBack tells whether a rollback without a target would go to a version.
func (s State) isWayBack(service, version string) bool {
	back, err := Rollback{Service: service}.resolve(s)
	return err == nil && slices.ContainsFunc(back.Ways, func(w way) bool { return w.Service == service && w.Weights[version] > 0 })
}
