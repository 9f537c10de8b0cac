package rollout

import (
	"time"

	"sluice/state"
)

// Observation is what is to be seen of a rollout at a moment.
type Observation struct {
	Now time.Time
	// Facts are what the safety rules ask for; nil: they hold nobody back.
	Facts *state.Facts
	// Legs are its parts; one that is missing has not been looked at.
	Legs []Leg
}

// Leg is what is to be seen of one leg.
type Leg struct {
	Service string
	// Evidence is the judge's view, with the decision "promote", "hold" or
	// "roll_back"; nil: the judge has not spoken. It must be no older than At says.
	Evidence *state.Evidence
	// Healthy of the Known endpoints of the candidate take requests. Known 0: not
	// looked at.
	Healthy, Known int
	// FailuresInARow are the candidate's newest requests, as far as all failed.
	FailuresInARow int
	// Alarm says that the service as a whole fails past its objective; "": it
	// doesn't.
	Alarm  string
	Probes Probes
	// Shadow is how copies of requests are answered; nil: nobody sends any.
	Shadow *Shadow
}

// Probes are the synthetic requests of a probe stage.
type Probes struct {
	Passed int    // in a row, up to the newest
	Failed string // why the newest that failed did; "": none did
}

// Shadow is how a shadow stage goes.
type Shadow struct {
	Done   bool   // enough was compared, and it was alike
	Failed string // enough differed, and how; "": it did not
	Text   string // what there is to say, whatever it is; may be empty
}

// leg returns what is seen of a service.
func (o *Observation) leg(service string) Leg {
	for _, l := range o.Legs {
		if l.Service == service {
			return l
		}
	}
	return Leg{Service: service}
}

// evidence returns the judge's views, one of each leg that has one.
func (o *Observation) evidence() []state.Evidence {
	var all []state.Evidence
	for _, l := range o.Legs {
		if l.Evidence != nil {
			all = append(all, *l.Evidence)
		}
	}
	return all
}
