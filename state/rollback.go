package state

import (
	"fmt"
	"maps"
	"slices"
)

// restore is a Rollback whose outcome is settled: the weights to go to. It is
// what the Keeper holds while the store is down, since asking for "before the
// newest raise" a second time would go back further.
type restore struct {
	Rollback                // its Service, Pins, Streams and Kind
	Weights  map[string]int // versions gone since are left out
	Undoes   uint64         // see Flip.Undoes
	// Epoch is the least epoch of the service afterwards, so that pins made
	// under a rollback that was held never come from the future.
	Epoch uint64
}

// resolve finds the weights to which a rollback goes.
//
// With To, these are all for that version. Without, they are those before the
// newest raise: the newest flip that
//
//   - raised some version's share and had weights before it,
//   - is not itself a rollback,
//   - was not rolled back already, and
//   - split sessions otherwise before it than they are split now.
//
// A rollback takes back that flip and all after it, so the next one goes back
// further and never forth again. One with To takes back the flips down to the
// newest that led away from To alone; where none did, all of them.
func (c Rollback) resolve(s State) (restore, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return restore{}, err
	}
	fixed := restore{Rollback: c}
	if fixed.Pins, err = c.Pins.resolve(PinsMove); err != nil {
		return restore{}, err
	}
	if fixed.Streams, err = c.Streams.resolve(); err != nil {
		return restore{}, err
	}
	if c.To != "" {
		if _, err := svc.version(c.To, "to"); err != nil {
			return restore{}, err
		}
		fixed.Weights = map[string]int{c.To: 100}
		fixed.Undoes = svc.ledAwayFrom(fixed.Weights)
		return fixed, nil
	}
	for _, f := range svc.standing() {
		if sum(f.Before) == 0 || !raises(f.Before, f.After) {
			continue
		}
		fixed.Weights = svc.surviving(f.Before)
		if sameShares(fixed.Weights, svc.Weights()) {
			continue
		}
		fixed.Undoes = f.Epoch
		if sum(fixed.Weights) == 0 {
			return restore{}, svc.noWayBack(fmt.Sprintf("the versions that had weight before the newest raise (%s) are gone", format(f.Before)))
		}
		return fixed, nil
	}
	return restore{}, svc.noWayBack("no raise is left to take back")
}

// standing returns the flips that are neither rollbacks nor rolled back, newest
// first.
func (s *Service) standing() []Flip {
	var flips []Flip
	undone := s.Epoch + 1 // flips of this epoch and later are taken back
	for _, f := range slices.Backward(s.Flips) {
		switch {
		case f.Epoch >= undone:
		case f.Undoes > 0:
			undone = f.Undoes
		default:
			flips = append(flips, f)
		}
	}
	return flips
}

// ledAwayFrom returns the epoch of the newest standing flip before which
// sessions were split as by weights; 1, the first epoch, if there is none.
func (s *Service) ledAwayFrom(weights map[string]int) uint64 {
	for _, f := range s.standing() {
		if sum(f.Before) > 0 && sameShares(f.Before, weights) {
			return f.Epoch
		}
	}
	return 1
}

// surviving leaves out the weights of versions that are no more.
func (s *Service) surviving(weights map[string]int) map[string]int {
	w := make(map[string]int, len(weights))
	for name, weight := range weights {
		if s.Versions[name] != nil {
			w[name] = weight
		}
	}
	return w
}

// noWayBack refuses a rollback and lists where one could go by name.
func (s *Service) noWayBack(why string) error {
	only := ""
	if live := weighted(s.Weights()); len(live) == 1 {
		only = slices.Collect(maps.Keys(live))[0]
	}
	var able []string
	for _, name := range s.VersionNames() {
		if v := s.Versions[name]; name != only && len(v.Spec.Endpoints) > 0 && s.passes(v) {
			able = append(able, name)
		}
	}
	remedy := "no other version of it has endpoints and passes its barrier: register one first"
	if len(able) > 0 {
		remedy = "name the version to go to (--to): " + list(able)
	}
	return &Refusal{
		Reason: ErrRefused, Service: s.Name, Field: "to",
		Message: fmt.Sprintf("service %q has nothing to go back to: %s", s.Name, why),
		Remedy:  remedy,
	}
}

func (c restore) plan(s State, meta Meta) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	want := svc.surviving(c.Weights)
	if sum(want) == 0 {
		return nil, svc.noWayBack(fmt.Sprintf("its versions (%s) are gone", format(c.Weights)))
	}
	f := meta.flip(c.Kind(), c.Pins)
	f.Undoes, f.Streams = c.Undoes, c.Streams
	next := svc.flip(want, f, c.Epoch)
	if next == nil {
		return nil, nil
	}
	return []edit{{service: c.Service, next: next, version: c.To, detail: svc.flipDetail(next, f), force: c.Force, back: true}}, nil
}
