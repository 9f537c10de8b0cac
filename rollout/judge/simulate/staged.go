package main

import "sluice/rollout/judge"

// outcome is how a rollout ends.
type outcome int

const (
	held outcome = iota // still undecided after the longest time
	promoted
	rolledBack
	outcomes
)

// longest is when a rollout that is not decided is given up, in seconds.
const longest = 4 * 3600

// ending is what became of a rollout.
type ending struct {
	outcome outcome
	seconds int
	excess  float64 // bad requests that a baseline would not have had, until then
}

// plan is a way to roll out: it moves the share by itself, and decides.
type plan struct {
	name string
	run  func(t *traffic) ending
}

func plans() []plan {
	return []plan{
		{"the judge", stages(false)},
		{"the judge, one cohort for all stages", stages(true)},
		{"Flagger's sample", flagger},
		{"Argo's sample", argo(0.95)},
		{"Argo's, 99%", argo(0.99)},
	}
}

// stages gives 1, 5, 25 and 50%, each for a minute at least and then until the judge
// promotes.
func stages(oneCohort bool) func(t *traffic) ending {
	const hold, every = 60, 5
	shares := []float64{0.01, 0.05, 0.25, 0.5, 1}
	return func(t *traffic) ending {
		o := newObserver(t, judge.DefaultConfig(), 10)
		o.oneCohort = oneCohort
		var e ending
		stage, since := 0, 0
		for e.seconds < longest {
			if !o.see(e.step(t, shares[stage]), shares[stage]) && e.seconds%every != 0 {
				continue
			}
			v := o.state.Judge(judge.Input{Share: shares[stage], Next: shares[stage+1], HoldOver: e.seconds-since >= hold})
			switch v.Decision {
			case judge.RollBack:
				return e.as(rolledBack)
			case judge.Promote:
				if stage, since = stage+1, e.seconds; stage == len(shares)-1 {
					return e.as(promoted)
				}
			}
		}
		return e
	}
}

// flagger raises the share by 5% each minute whose check passes and promotes after
// that of 50%. Ten failed checks roll back.
func flagger(t *traffic) ending {
	check := threshold(60, 60, 0.99, 1)
	var e ending
	share, failed := 0.05, 0
	for e.seconds < longest {
		bad := check(e.step(t, share))
		switch {
		case e.seconds%60 != 0:
		case bad:
			if failed++; failed == 10 {
				return e.as(rolledBack)
			}
			check = threshold(60, 60, 0.99, 1)
		case share >= 0.5:
			return e.as(promoted)
		default:
			share += 0.05
		}
	}
	return e
}

// argo gives 20, 40, 60 and 80% for ten minutes each and then promotes. From the
// second on, three checks that fall below a limit, one every five minutes, roll back.
func argo(least float64) func(t *traffic) ending {
	return func(t *traffic) ending {
		check := threshold(300, 300, least, 3)
		var e ending
		for e.seconds < 2400 {
			stage := e.seconds / 600
			k := e.step(t, 0.2*float64(stage+1))
			if stage >= 1 && check(k) {
				return e.as(rolledBack)
			}
		}
		return e.as(promoted)
	}
}

// step plays a second and counts it.
func (e *ending) step(t *traffic, share float64) tick {
	ratio := t.ratioAt(t.second)
	k := t.next(share)
	e.excess += k.bad[ofCandidate] * (1 - 1/ratio)
	e.seconds++
	return k
}

func (e *ending) as(o outcome) ending {
	e.outcome = o
	return *e
}

// tally is what became of many rollouts by one plan.
type tally struct {
	Rollouts int
	Count    [outcomes]int
	Minutes  [outcomes][]float64
	Excess   []float64 // of all
}

func (y tally) share(o outcome) float64 { return float64(y.Count[o]) / float64(max(y.Rollouts, 1)) }

// rollOut plays rollouts of services drawn with the seeds from first on, the same
// services for each plan.
func (tr trial) rollOut(plans []plan, first uint64, rollouts int) []tally {
	tallies := make([]tally, len(plans))
	for i := range plans {
		y := &tallies[i]
		for n := range rollouts {
			seed := first + uint64(n)
			e := plans[i].run(newTraffic(tr.service(seed), tr.candidate, seed))
			y.Rollouts++
			y.Count[e.outcome]++
			y.Minutes[e.outcome] = append(y.Minutes[e.outcome], float64(e.seconds)/60)
			y.Excess = append(y.Excess, e.excess)
		}
	}
	return tallies
}
