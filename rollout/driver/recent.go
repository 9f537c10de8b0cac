package driver

import (
	"fmt"
	"math"
	"time"

	"sluice/rollout/judge"
	"sluice/stats/trial"
)

// recent is the requests of about the last minute, in a ring of seconds. The
// zero value is empty.
type recent struct{ seconds [recentSeconds]second }

const recentSeconds = 60

// second is the requests of one second of Unix time.
type second struct {
	at                  int64
	candidate, baseline requests
}

type requests struct{ all, bad int64 }

func (r *requests) add(o requests) { r.all += o.all; r.bad += o.bad }

// clearly tells whether more of the requests are bad than chance makes of a part:
// by four standard deviations, since it is asked each second, and one client's
// requests fail together.
func (r requests) clearly(part float64) bool {
	n := float64(r.all)
	return float64(r.bad) > n*part+4*math.Sqrt(n*part*(1-part))
}

// part is how many of the requests are bad; 0 of none.
func (r requests) part() float64 { return float64(r.bad) / float64(max(r.all, 1)) }

func (r *recent) add(inc trial.Increments, now time.Time) {
	at := now.Unix()
	s := &r.seconds[at%recentSeconds]
	if s.at != at {
		*s = second{at: at}
	}
	s.candidate.add(requests{inc.Candidate.Requests, inc.Candidate.Bad})
	s.baseline.add(requests{inc.Baseline.Requests, inc.Baseline.Bad})
}

func (r *recent) sum(now time.Time) (candidate, baseline requests) {
	for _, s := range r.seconds {
		if age := now.Unix() - s.at; age >= 0 && age < recentSeconds {
			candidate.add(s.candidate)
			baseline.add(s.baseline)
		}
	}
	return candidate, baseline
}

// leastForAlarm is how many requests a minute must have had to say anything
// about an objective, and leastOfBaseline how many of them the baseline's.
const (
	leastForAlarm   = 100
	leastOfBaseline = 20
)

// alarm says that both versions fail past an objective, the part of bad requests
// that a service may have, and together clearly; "": they don't. A candidate that breaks a shared
// database fails both, and no comparison sees it. Where the baseline is hardly
// asked any more, there is nobody to compare with, and the candidate alone counts.
func (r *recent) alarm(objective float64, now time.Time) string {
	candidate, baseline := r.sum(now)
	both := candidate
	both.add(baseline)
	compared := baseline.all >= leastOfBaseline
	switch {
	case objective <= 0 || both.all < leastForAlarm || !both.clearly(objective):
		return ""
	case candidate.part() <= objective || compared && baseline.part() <= objective:
		return ""
	}
	return fmt.Sprintf("in the last minute %d of the candidate's %d requests were bad and %d of the baseline's %d, and %.3g%% is the objective",
		candidate.bad, candidate.all, baseline.bad, baseline.all, 100*objective)
}

// rates are how many events a second each metric has, those of long ago counting
// less: by half after ln 2 times rateSpan. The zero value has seen nothing.
type rates struct {
	began, last time.Time
	sums        [judge.Metrics]float64
}

const rateSpan = 3 * time.Minute

func (r *rates) add(events [judge.Metrics]int, now time.Time) {
	if r.began.IsZero() {
		r.began, r.last = now, now
	}
	fade := r.fade(now)
	for m := range r.sums {
		r.sums[m] = r.sums[m]*fade + float64(events[m])
	}
	r.last = now
}

// fade is what is left now of the weight that sums had.
func (r *rates) fade(now time.Time) float64 {
	return math.Exp(-max(0, now.Sub(r.last).Seconds()) / rateSpan.Seconds())
}

func (r *rates) perSecond(now time.Time) (all [judge.Metrics]float64) {
	// What a steady rate of one would have summed up to since it began.
	span := rateSpan.Seconds()
	one := span * (1 - math.Exp(-now.Sub(r.began).Seconds()/span))
	if r.began.IsZero() || one < 1 {
		return all
	}
	for m := range all {
		all[m] = r.sums[m] * r.fade(now) / one
	}
	return all
}
