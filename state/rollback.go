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
	Rollback       // its Service, To, Force, Evidence and Kind; its Pins and Streams resolved
	Ways     []way // that of the service first, where it flips
	// Ends is the rollout that ends by it; "": none.
	Ends string
	// Held is set while the store lacks it: the rollout is rolling back until
	// then.
	Held bool
}

// way is how a rollback goes back in one service.
type way struct {
	Service string
	Weights map[string]int // versions gone since are left out
	Undoes  uint64         // see Flip.Undoes
	Rollout string         // see Flip.Rollout
	// Epoch is the least epoch of the service afterwards, so that pins made
	// under a rollback that was held never come from the future.
	Epoch uint64
}

// resolve finds the weights to which a rollback goes.
//
// With To, these are all for that version. Without, on a service with a rollout
// that has given its candidate sessions, they are those before it; else those
// before the newest raise: the newest flip that
//
//   - raised some version's share and had weights before it,
//   - is not itself a rollback,
//   - was not rolled back already, and
//   - split sessions otherwise before it than they are split now.
//
// The flips of one rollout count as one. A rollback takes back that flip and all
// after it, so the next one goes back further and never forth again. One with To
// takes back the flips down to the newest that led away from To alone; where none
// did, all of them.
//
// What a rollout brought to several services goes back in all of them.
func (c Rollback) resolve(s State) (restore, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return restore{}, err
	}
	r, err := c.ending(s)
	if err != nil {
		return restore{}, err
	}
	fixed := restore{Rollback: c}
	if r != nil {
		fixed.Ends = r.ID
		fixed.Force = c.Force || r.Force
	}
	if err := fixed.handle(r); err != nil {
		return restore{}, err
	}
	if c.To != "" {
		return fixed, fixed.goTo(svc, r)
	}
	if r != nil && (r.shifted() || c.Rollout != "") {
		fixed.Ways = r.waysBack(s, c.Service)
		return fixed, nil
	}
	back, err := svc.beforeRaise()
	if err != nil && r != nil {
		return fixed, nil // the rollout ends, which is something
	}
	if err != nil {
		return restore{}, err
	}
	fixed.Ways = append(fixed.Ways, back)
	if all := s.Rollouts[back.Rollout]; r == nil && all != nil {
		fixed.Ways = append(fixed.Ways, all.togetherWith(s, back)...)
	}
	return fixed, nil
}

// ending returns the rollout that a rollback ends; nil: none.
func (c Rollback) ending(s State) (*Rollout, error) {
	if c.Rollout == "" {
		if r := s.Under(c.Service); r != nil && r.Phase != PhaseRollingBack {
			return r, nil
		}
		return nil, nil
	}
	r, err := s.rollout(c.Rollout)
	switch {
	case err != nil:
		return nil, err
	case r.leg(c.Service) == nil:
		return nil, r.conflict("service", fmt.Sprintf("does not concern service %q", c.Service), "")
	case !r.UnderWay() || r.Phase == PhaseRollingBack:
		return nil, r.conflict("rollout", fmt.Sprintf("is not under way but %s", r.Phase), "")
	}
	return r, nil
}

// handle resolves what becomes of pins and streams: as asked for, else as the
// policy of the rollout that ends says.
func (c *restore) handle(r *Rollout) (err error) {
	if r != nil && c.Pins == (Pins{}) {
		c.Pins = r.Policy.OnRollback.Pins
	}
	if r != nil && c.Streams == "" {
		c.Streams = r.Policy.OnRollback.Streams
	}
	if c.Pins, err = c.Pins.resolve(PinsMove); err != nil {
		return err
	}
	c.Streams, err = c.Streams.resolve()
	return err
}

// goTo settles a rollback to a named version.
func (c *restore) goTo(svc *Service, r *Rollout) error {
	if _, err := svc.version(c.To, "to"); err != nil {
		return err
	}
	if r != nil && r.leg(svc.Name).Candidate == c.To {
		return r.refuse("to", fmt.Sprintf("has version %q on trial, and that is no way back", c.To), "promote it instead, or name another version")
	}
	back := way{Service: svc.Name, Weights: map[string]int{c.To: 100}}
	back.Undoes = svc.ledAwayFrom(back.Weights)
	c.Ways = append(c.Ways, back)
	if r == nil {
		return nil
	}
	for _, leg := range r.Legs {
		if leg.Service != svc.Name && leg.Since > 0 {
			c.Ways = append(c.Ways, way{Service: leg.Service, Weights: leg.Before, Undoes: leg.Since, Rollout: r.ID})
		}
	}
	return nil
}

// waysBack are the ways of all legs that have begun, that of one service first.
func (r *Rollout) waysBack(s State, first string) []way {
	var ways []way
	for _, leg := range r.Legs {
		svc := s.Services[leg.Service]
		if leg.Since == 0 || svc == nil {
			continue
		}
		w := way{Service: leg.Service, Weights: svc.surviving(leg.Before), Undoes: leg.Since, Rollout: r.ID}
		if leg.Service == first {
			ways = slices.Insert(ways, 0, w)
		} else {
			ways = append(ways, w)
		}
	}
	return ways
}

// togetherWith are the ways of the other legs of a rollout that has ended, as far
// as it is still what was raised last there.
func (r *Rollout) togetherWith(s State, one way) []way {
	var ways []way
	for _, leg := range r.Legs {
		svc := s.Services[leg.Service]
		if leg.Service == one.Service || svc == nil {
			continue
		}
		if w, err := svc.beforeRaise(); err == nil && w.Rollout == r.ID {
			ways = append(ways, w)
		}
	}
	return ways
}

// beforeRaise is the way back before the newest raise.
func (s *Service) beforeRaise() (way, error) {
	standing := s.standing()
	for i, f := range standing {
		if sum(f.Before) == 0 || !raises(f.Before, f.After) {
			continue
		}
		for _, earlier := range standing[i+1:] {
			if f.Rollout == "" || earlier.Rollout != f.Rollout {
				break
			}
			f = earlier
		}
		w := way{Service: s.Name, Weights: s.surviving(f.Before), Undoes: f.Epoch, Rollout: f.Rollout}
		if sameShares(w.Weights, s.Weights()) {
			continue
		}
		if sum(w.Weights) == 0 {
			return way{}, s.noWayBack(fmt.Sprintf("the versions that had weight before the newest raise (%s) are gone", format(f.Before)))
		}
		return w, nil
	}
	return way{}, s.noWayBack("no raise is left to take back")
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
	var edits []edit
	for i, w := range c.Ways {
		svc := s.Services[w.Service]
		if svc == nil && i > 0 {
			continue
		}
		if svc == nil {
			_, err := s.service(w.Service)
			return nil, err
		}
		want := svc.surviving(w.Weights)
		if sum(want) == 0 {
			return nil, svc.noWayBack(fmt.Sprintf("its versions (%s) are gone", format(w.Weights)))
		}
		f := meta.flip(c.Kind(), c.Pins)
		f.Undoes, f.Streams, f.Rollout = w.Undoes, c.Streams, w.Rollout
		if next := svc.flip(want, f, w.Epoch); next != nil {
			edits = append(edits, edit{service: w.Service, next: next, version: c.version(w), detail: svc.flipDetail(next, f), force: c.Force, back: true})
		}
	}
	return c.end(s, edits, meta), nil
}

// version is the version that a rollback names, in its own service.
func (c restore) version(w way) string {
	if w.Service == c.Service {
		return c.To
	}
	return ""
}

// end adds the end of the rollout, if there is one and it has not ended already.
func (c restore) end(s State, edits []edit, meta Meta) []edit {
	r := s.Rollouts[c.Ends]
	if r == nil || !r.UnderWay() {
		return edits
	}
	to := PhaseRolledBack
	if c.Held {
		to = PhaseRollingBack
	}
	if r.Phase == to {
		return edits
	}
	r = r.become(to, r.Stage, meta, c.Evidence)
	for _, e := range s.about(r, r.told()) {
		if at := slices.IndexFunc(edits, func(f edit) bool { return f.service == e.service }); at >= 0 {
			edits[at].rollout = r
			edits[at].detail = e.detail + ": " + edits[at].detail
		} else {
			edits = append(edits, e)
		}
	}
	return edits
}
