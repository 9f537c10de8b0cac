package state

import "time"

// exposure is how much traffic is at the mercy of a broken rule. It orders two
// states in which the same rule is broken: more is worse. The zero value is
// none.
type exposure struct {
	mode exposed
	// share is the part of new sessions, 0 to 1; of two versions, the product of
	// theirs.
	share float64
	until time.Time // while draining: its end; the zero time: none
}

// exposed is what kind of traffic there is, the lesser first.
type exposed int

const (
	byNobody   exposed = iota
	byPinned           // by the sessions that drain
	byNewcomer         // by new sessions
)

// presence is the traffic of a version.
func (s *Service) presence(v *Version, now time.Time) exposure {
	switch v.Mode(now) {
	case Live:
		return exposure{mode: byNewcomer, share: float64(v.Weight) / float64(s.totalWeight())}
	case Draining:
		return exposure{mode: byPinned, until: v.Drain.Until}
	}
	return exposure{}
}

// totalWeight is the sum of the versions' weights.
func (s *Service) totalWeight() int64 {
	var n int64
	for _, v := range s.Versions {
		n += int64(v.Weight)
	}
	return n
}

// with is the traffic that two versions have at the same time.
func (e exposure) with(f exposure) exposure {
	switch {
	case e.mode > f.mode:
		return f.with(e)
	case e.mode == byNewcomer:
		return exposure{mode: byNewcomer, share: e.share * f.share}
	case f.mode == byPinned && e.mode == byPinned && f.endsBefore(e):
		return f
	}
	return e
}

// scaled is the exposure where only a part of what it meets is at fault. The
// sessions that drain count as one.
func (e exposure) scaled(part float64) exposure {
	if e.mode == byNewcomer {
		part *= e.share
	}
	e.share = part
	return e
}

func (e exposure) less(f exposure) bool {
	switch {
	case e.mode != f.mode:
		return e.mode < f.mode
	case e.share != f.share:
		return e.share < f.share
	}
	return e.mode == byPinned && e.endsBefore(f)
}

// endsBefore compares the ends of two drains.
func (e exposure) endsBefore(f exposure) bool {
	if f.until.IsZero() {
		return !e.until.IsZero()
	}
	return !e.until.IsZero() && e.until.Before(f.until)
}
