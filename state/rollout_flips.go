package state

import (
	"fmt"
	"maps"
	"slices"
)

// meetRollouts holds what a command would do to services against their rollouts,
// and orders the edits. Commands that speak of rollouts know what they do.
func meetRollouts(s State, edits []edit, cmd Command, meta Meta) ([]edit, error) {
	var follow []edit
	switch cmd.(type) {
	case SetWeights, Declare, PutVersion, RemoveVersion:
		for _, r := range s.open() {
			more, err := r.meet(s, edits, cmd, meta)
			if err != nil {
				return nil, err
			}
			follow = append(follow, more...)
		}
	}
	edits = append(edits, follow...)
	slices.SortStableFunc(edits, edit.compare)
	return edits, nil
}

// meet finds what edits that come from elsewhere mean for a rollout:
//
//   - While it shifts or bakes, weights are its own: they are refused. While it is
//     paused they count, and end it.
//   - Before that, it ends when its candidate gets weight by other means.
//   - Versions that it needs stay, with endpoints. A file that drops the candidate
//     before it has sessions ends the rollout.
func (r *Rollout) meet(s State, edits []edit, cmd Command, meta Meta) ([]edit, error) {
	why := ""
	for _, e := range edits {
		leg := r.leg(e.service)
		if leg == nil {
			continue
		}
		if gone := leg.lost(e.next); gone != "" {
			if _, byFile := cmd.(Declare); !byFile || r.shifted() {
				return nil, r.protects(e.service, gone)
			}
			why = fmt.Sprintf("the file dropped %s of service %q", gone, e.service)
			continue
		}
		before, after := weightsChange(s.Services[e.service], e.next)
		switch {
		case maps.Equal(before, after):
		case r.Phase.shifts():
			return nil, r.keepsWeights(e.service)
		case r.UnderWay() && (r.shifted() || after[leg.Candidate] > 0):
			why = fmt.Sprintf("%s set the weights of service %q by hand: %s", meta.By, e.service, format(weighted(after)))
		}
	}
	if why == "" {
		return nil, nil
	}
	meta.Why = why
	ended := r.become(PhaseAborted, r.Stage, meta, nil)
	return s.unshift(ended, r.Policy.OnRollback, meta, edits)
}

// lost says what a leg relies on that its service no longer has; "": nothing.
func (l *Leg) lost(svc *Service) string {
	if svc == nil {
		return "all"
	}
	for _, name := range slices.Concat([]string{l.Candidate}, slices.Sorted(maps.Keys(l.Before))) {
		switch v := svc.Versions[name]; {
		case v == nil:
			return fmt.Sprintf("version %q", name)
		case len(v.Spec.Endpoints) == 0:
			return fmt.Sprintf("the endpoints of version %q", name)
		}
	}
	return ""
}

func (r *Rollout) protects(service, what string) error {
	err := r.refuse("version", fmt.Sprintf("needs %s of service %q", what, service), "abort it first, or wait for its end")
	err.(*Refusal).Service = service
	return err
}

func (r *Rollout) keepsWeights(service string) error {
	err := r.refuse("weights", fmt.Sprintf("is %s and sets the weights of service %q itself", r.Phase, service),
		"pause it first, which your weights then end, or abort it")
	err.(*Refusal).Service = service
	return err
}
