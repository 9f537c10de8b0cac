package state

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// MaxDrain is the longest drain with a deadline; PinsKeep has none.
const MaxDrain = 30 * 24 * time.Hour

// resolve fills in what a command leaves to its default and refuses what makes
// no sense.
func (p Pins) resolve(fallback PinMode) (Pins, error) {
	if p.Mode == "" {
		p.Mode = fallback
	}
	switch p.Mode {
	case PinsMove, PinsKeep:
		if p.For != 0 {
			return p, invalid("pins.for", fmt.Sprintf("pins %q knows no duration", p.Mode), "leave it out or choose drain")
		}
	case PinsDrain:
		if p.For < 0 || p.For > MaxDrain {
			return p, invalid("pins.for", fmt.Sprintf("%v is no time to drain", p.For),
				fmt.Sprintf("drain for at most %v, or choose keep, which has no deadline", MaxDrain))
		}
		if p.For == 0 {
			p.For = DefaultDrain
		}
	default:
		return p, invalid("pins.mode", fmt.Sprintf("%q is no way to treat pins", p.Mode), "choose move, drain or keep")
	}
	return p, nil
}

// String writes the choice for people: "drain for 30m0s".
func (p Pins) String() string {
	if p.Mode == PinsDrain {
		return fmt.Sprintf("drain for %v", p.For)
	}
	return string(p.Mode)
}

// drain is how a version that is brought to 0 treats its pins.
func (p Pins) drain(at time.Time) Drain {
	switch p.Mode {
	case PinsDrain:
		return Drain{On: true, Until: at.Add(p.For)}
	case PinsKeep:
		return Drain{On: true}
	}
	return Drain{}
}

// flip returns s with the wanted weights, 0 for versions not among them, or
// nil if that changes nothing. f says who flips and how; flip fills in the rest
// and records it.
//
// The new epoch is the next one, or least, where that is higher. A flip whose
// weights are those in force can still change something: moving ends drains.
// It begins an epoch, and is not recorded among the flips. One that closes
// streams is, for whoever forgot to say so at the flip before.
func (s *Service) flip(want map[string]int, f Flip, least uint64) *Service {
	next := s.copy()
	next.Epoch = max(s.Epoch+1, least)
	now := s.Weights()
	sumNow, sumWant := sum(now), sum(want)

	reweighted, voided := false, false
	for name, v := range s.Versions {
		lowered := shareOf(want, name, sumWant).less(shareOf(now, name, sumNow))
		drained := v.Mode(f.At) == Draining
		moves := f.Pins.Mode == PinsMove && (lowered || drained && want[name] == 0)
		if want[name] == v.Weight && !moves {
			continue
		}
		reweighted = reweighted || want[name] != v.Weight
		voided = voided || moves
		changed := next.change(name)
		changed.Weight = want[name]
		changed.Drain = Drain{}
		if v.Weight > 0 && want[name] == 0 {
			changed.Drain = f.Pins.drain(f.At)
		}
		if moves {
			changed.LeastEpoch = next.Epoch
		}
	}
	// A rollback that is in force already must stay without effect: one that the
	// store may have taken is tried again (see Keeper).
	closes := f.Streams == StreamsClose && f.Kind != Rollback{}.Kind()
	if !reweighted && !voided && !closes && s.Epoch >= least {
		return nil
	}
	if reweighted || closes {
		f.Epoch = next.Epoch
		f.Before, f.After = weightsChange(s, next)
		next.record(f)
	}
	return next
}

// record appends a flip to a copied service, whose list is still shared.
func (s *Service) record(f Flip) {
	kept := s.Flips[max(0, len(s.Flips)+1-MaxFlips):]
	s.Flips = slices.Concat(kept, []Flip{f})
}

func (s *Service) flipDetail(next *Service, f Flip) string {
	before, after := weightsChange(s, next)
	how := "pins " + f.Pins.String()
	if f.Streams == StreamsClose {
		how += ", streams close"
	}
	if maps.Equal(before, after) {
		return fmt.Sprintf("weights stay %s, %s", format(after), how)
	}
	return fmt.Sprintf("weights from %s to %s, %s", format(before), format(after), how)
}

// plan carries out SetWeights. All weights may be 0 only where they all are
// already: a service that serves never loses its last live version.
func (c SetWeights) plan(s State, meta Meta) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	if c.Match != 0 && c.Match != svc.Revision {
		return nil, &Refusal{
			Reason: ErrConflict, Service: c.Service, Field: "match",
			Message: fmt.Sprintf("service %q is at revision %d, not %d", c.Service, svc.Revision, c.Match),
			Remedy:  "look at it again and repeat the command with its revision",
		}
	}
	pins, err := c.Pins.resolve(PinsDrain)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Weights)) {
		if _, err := svc.version(name, "weights."+name); err != nil {
			return nil, err
		}
	}
	if err := checkWeights(c.Service, c.Weights); err != nil {
		return nil, err
	}
	f := meta.flip(c.Kind(), pins)
	if f.Streams, err = c.Streams.resolve(); err != nil {
		return nil, err
	}
	next := svc.flip(c.Weights, f, 0)
	if next == nil {
		return nil, nil
	}
	return []edit{{service: c.Service, next: next, detail: svc.flipDetail(next, f), force: c.Force}}, nil
}

func (m Meta) flip(kind string, pins Pins) Flip {
	return Flip{At: m.At, By: m.By, Why: m.Why, Kind: kind, Pins: pins}
}
