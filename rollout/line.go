package rollout

import (
	"cmp"
	"slices"
	"time"

	"sluice/state"
)

// Place is where a rollout stands in the queue.
type Place struct {
	// Place is its place in line, 1 being next; 0: it does not wait.
	Place int
	// Behind are the IDs of the rollouts that come before it in its services, those
	// under way first.
	Behind []string
	// For are the IDs of the rollouts that are to bring what it requires.
	For []string
	// Wait is a guess of how long it waits, and Guessed whether there is one: there
	// is none where something before it waits for a person, or can't be judged for
	// lack of traffic.
	Wait    time.Duration
	Guessed bool
}

// judging is how long a judge may take for one stage, where no past rollout tells.
const judging = time.Minute

// Line returns a rollout's place in line; false: there is no such rollout. The
// guess goes by the time that past rollouts of the services took under the same
// policy, else by what the stages say. rates are the requests a second of
// services; nil: not known.
func Line(s state.State, id string, now time.Time, rates map[string]float64) (Place, bool) {
	r := s.Rollouts[id]
	if r == nil || r.Phase != state.PhaseQueued {
		return Place{}, r != nil
	}
	before := ahead(s, r)
	p := Place{Place: 1, Guessed: true}
	for _, q := range before {
		p.Behind = append(p.Behind, q.ID)
		if q.Phase == state.PhaseQueued {
			p.Place++
		}
	}
	for _, q := range providers(s, r) {
		p.For = append(p.For, q.ID)
		if !slices.Contains(before, q) {
			before = append(before, q)
		}
	}
	for _, q := range everyoneBefore(s, before) {
		left, known := remaining(s, q, now, rates)
		p.Wait += left
		p.Guessed = p.Guessed && known
	}
	if !p.Guessed {
		p.Wait = 0
	}
	return p, true
}

// everyoneBefore adds to some rollouts those for which they wait themselves.
func everyoneBefore(s state.State, some []*state.Rollout) []*state.Rollout {
	all := slices.Clone(some)
	for i := 0; i < len(all); i++ {
		if all[i].Phase != state.PhaseQueued {
			continue
		}
		for _, q := range slices.Concat(ahead(s, all[i]), providers(s, all[i])) {
			if !slices.Contains(all, q) {
				all = append(all, q)
			}
		}
	}
	return all
}

// remaining guesses how long a rollout still takes; false: nobody can say.
func remaining(s state.State, q *state.Rollout, now time.Time, rates map[string]float64) (time.Duration, bool) {
	if q.Phase == state.PhasePaused || q.Phase == state.PhaseGated {
		return 0, false
	}
	needsTraffic := false
	var stages time.Duration
	for i, stage := range q.Policy.Stages {
		waits := i > q.Stage || q.Phase == state.PhaseQueued
		if i < q.Stage && !waits {
			continue
		}
		if waits && q.Policy.Gated(i) {
			return 0, false
		}
		takes := expected(stage)
		if !waits {
			takes = max(0, takes-q.Elapsed(now))
		}
		stages += takes
		needsTraffic = needsTraffic || stage.Kind == state.StageShift && stage.Share < whole
	}
	if needsTraffic && rates != nil && slices.ContainsFunc(q.Legs, func(l state.Leg) bool { return rates[l.Service] == 0 }) {
		return 0, false
	}
	past, known := usual(s, q)
	if !known {
		return stages, true
	}
	if q.Phase == state.PhaseQueued {
		return past, true
	}
	return max(past-now.Sub(q.Began), 0), true
}

// expected is how long a stage takes if all goes well.
func expected(stage state.Stage) time.Duration {
	switch stage.Kind {
	case state.StageProbe:
		return time.Duration(cmp.Or(stage.Passes, defaultPasses)) * cmp.Or(stage.Every, 2*time.Second)
	case state.StageShift:
		if stage.Share < whole {
			return max(stage.Hold, judging)
		}
	}
	return stage.Hold
}

// usual is the median time that promoted rollouts of the same services took under
// the same policy, of the newest five.
func usual(s state.State, q *state.Rollout) (time.Duration, bool) {
	var past []*state.Rollout
	for _, p := range s.Rollouts {
		if p.Phase == state.PhasePromoted && p.Policy.Name == q.Policy.Name && meet(p, q) {
			past = append(past, p)
		}
	}
	if len(past) == 0 {
		return 0, false
	}
	slices.SortFunc(past, func(a, b *state.Rollout) int { return cmp.Or(b.Ended.Compare(a.Ended), cmp.Compare(a.ID, b.ID)) })
	past = past[:min(len(past), 5)]
	took := make([]time.Duration, len(past))
	for i, p := range past {
		took[i] = p.Ended.Sub(p.Began)
	}
	slices.Sort(took)
	return took[len(took)/2], true
}
