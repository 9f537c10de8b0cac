package rollout

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"sluice/state"
)

// The defaults of policies.
const (
	defaultPasses         = 3
	defaultFailuresInARow = 20
)

// suspicion is the judge's threshold for "suspicious" (its decision table, row 2):
// a deadline does not promote past it.
const suspicion = math.Ln10

// grace is how long the alarm is not heeded after a person has resumed a rollout:
// it looks back over the last minute.
const grace = time.Minute

// whole is all new sessions, as state.Stage.Share.
const whole = 10_000

// abort carries out a person's order to end it.
func (m *machine) abort() (proposal, bool) {
	o := m.r.Order
	if o == nil || o.Action != state.ActionAbort {
		return proposal{}, false
	}
	return m.move(state.PhaseAborted, m.r.Stage, o.By, asked(o)), true
}

func asked(o *state.Order) string {
	return cmp.Or(o.Why, fmt.Sprintf("%s asked to %s it", o.By, o.Action))
}

// judge rolls back on the judge's word, in a pause too.
func (m *machine) judge() (proposal, bool) {
	if m.r.Share() == 0 {
		return proposal{}, false
	}
	for _, l := range m.o.Legs {
		if l.Evidence != nil && l.Evidence.Decision == "roll_back" {
			return m.back("judge", m.of(l, l.Evidence.Text)), true
		}
	}
	return proposal{}, false
}

// of puts the service before a reason, where there are several.
func (m *machine) of(l Leg, why string) string {
	if len(m.r.Legs) == 1 {
		return why
	}
	return l.Service + ": " + why
}

// guards roll back without a judge: where the candidate can't serve at all.
func (m *machine) guards() (proposal, bool) {
	if m.r.Share() == 0 {
		return proposal{}, false
	}
	limit := cmp.Or(m.r.Policy.Guards.FailuresInARow, defaultFailuresInARow)
	for _, l := range m.o.Legs {
		switch {
		case l.Known > 0 && l.Healthy == 0:
			return m.back("guard", m.of(l, fmt.Sprintf("the candidate has no healthy endpoint of %d", l.Known))), true
		case limit > 0 && l.FailuresInARow >= limit:
			return m.back("guard", m.of(l, fmt.Sprintf("the candidate's last %d requests have failed, and %d in a row are the limit", l.FailuresInARow, limit))), true
		}
	}
	return proposal{}, false
}

// order carries out what else a person asked for.
func (m *machine) order() (proposal, bool) {
	o := m.r.Order
	if o == nil {
		return proposal{}, false
	}
	switch o.Action {
	case state.ActionPause:
		return m.pause(o.By, asked(o)), true
	case state.ActionResume:
		return m.move(m.r.Was, m.r.Stage, o.By, asked(o)), true
	case state.ActionPromote:
		return m.forward(o.By, asked(o), true), true
	}
	return proposal{}, false
}

// alarm pauses where the service as a whole fails past its objective: a candidate
// that breaks a database which both versions share fails both, and no comparison
// sees that. Where the candidate has all new sessions there is no other that could
// be to blame, and it is rolled back.
func (m *machine) alarm() (proposal, bool) {
	if m.r.Share() == 0 || m.r.Phase == state.PhasePaused || m.resumedLately() {
		return proposal{}, false
	}
	for _, l := range m.o.Legs {
		switch {
		case l.Alarm == "":
		case m.r.Share() == whole:
			return m.back("alarm", m.of(l, l.Alarm)), true
		default:
			return m.pause("alarm", m.of(l, l.Alarm)), true
		}
	}
	return proposal{}, false
}

// resumedLately tells whether a pause ended within grace.
func (m *machine) resumedLately() bool {
	last := m.r.Moves[len(m.r.Moves)-1]
	return last.From == state.PhasePaused && m.o.Now.Sub(last.At) < grace
}

// stage ends a stage that has reached its aim in every leg.
func (m *machine) stage() (proposal, bool) {
	stage := m.r.Policy.Stages[m.r.Stage]
	held := m.r.Elapsed(m.o.Now) >= stage.Hold
	by, why := "", ""
	switch m.r.Phase {
	case state.PhaseProbing:
		by, why = m.probed(stage)
	case state.PhaseShadowing:
		if bad := m.differs(); bad != "" {
			return m.back("shadow", bad), true
		}
		by, why = m.shadowed(held)
	case state.PhaseShifting:
		if stage.Share == whole {
			by, why = "stage", fmt.Sprintf("nothing went wrong with all new sessions for %v", stage.Hold)
		} else {
			by, why = m.promoted()
		}
	case state.PhaseBaking:
		by, why = "stage", fmt.Sprintf("nothing went wrong for %v", stage.Hold)
	}
	if by == "" || !held {
		return proposal{}, false
	}
	p := m.forward(by, why, false)
	p.patient = true
	return p, true
}

// probed says that all legs have passed their probes; "" if not.
func (m *machine) probed(stage state.Stage) (by, why string) {
	passes := cmp.Or(stage.Passes, defaultPasses)
	for _, leg := range m.r.Legs {
		if m.o.leg(leg.Service).Probes.Passed < passes {
			return "", ""
		}
	}
	return "probe", fmt.Sprintf("%d probes in a row have passed", passes)
}

// shadowed says that a shadow stage is over; "" if not.
func (m *machine) shadowed(held bool) (by, why string) {
	var texts []string
	copied := 0
	for _, leg := range m.r.Legs {
		l := m.o.leg(leg.Service)
		switch shadow := l.Shadow; {
		case shadow == nil:
			continue
		case !shadow.Done || !held:
			return "", ""
		case shadow.Text != "":
			texts = append(texts, m.of(l, shadow.Text))
		}
		copied++
	}
	switch {
	case copied == 0:
		return "stage", "nobody sends copies of requests: passed over without a comparison"
	case len(texts) == 0:
		return "shadow", "its answers were like the baseline's"
	}
	return "shadow", "its answers were like the baseline's: " + strings.Join(texts, "; ")
}

// differs says how shadows of some leg have failed.
func (m *machine) differs() string {
	for _, l := range m.o.Legs {
		if l.Shadow != nil && l.Shadow.Failed != "" {
			return m.of(l, l.Shadow.Failed)
		}
	}
	return ""
}

// promoted says that the judge promotes every leg, on evidence of this stage;
// "" if not.
func (m *machine) promoted() (by, why string) {
	var texts []string
	for _, leg := range m.r.Legs {
		l := m.o.leg(leg.Service)
		if e := l.Evidence; e == nil || e.Decision != "promote" || e.At.Before(m.r.StageBegan) {
			return "", ""
		}
		texts = append(texts, m.of(l, l.Evidence.Text))
	}
	return "judge", strings.Join(texts, "; ")
}

// deadline ends a stage that has taken too long. Probes that don't pass are no
// lack of evidence: the candidate does not answer.
func (m *machine) deadline() (proposal, bool) {
	stage := m.r.Policy.Stages[m.r.Stage]
	switch m.r.Phase {
	case state.PhaseProbing, state.PhaseShadowing, state.PhaseShifting, state.PhaseBaking:
	default:
		return proposal{}, false
	}
	if stage.Deadline == 0 || m.r.Elapsed(m.o.Now) < stage.Deadline {
		return proposal{}, false
	}
	why := fmt.Sprintf("undecided after %v", stage.Deadline) + m.lastCompared()
	if m.r.Phase == state.PhaseProbing {
		return m.back("deadline", fmt.Sprintf("%d probes in a row did not pass within %v%s", cmp.Or(stage.Passes, defaultPasses), stage.Deadline, m.lastFailure())), true
	}
	switch m.r.Policy.OnInconclusive {
	case state.InconclusiveRollback:
		return m.back("deadline", why), true
	case state.InconclusivePromote:
		if doubt := m.suspicious(); doubt != "" {
			return m.pause("deadline", why+"; the policy would promote, but "+doubt), true
		}
		return m.forward("deadline", why+"; the policy promotes", false), true
	}
	return m.pause("deadline", why+"; promote, resume or abort it"), true
}

func (m *machine) lastFailure() string {
	for _, leg := range m.r.Legs {
		if l := m.o.leg(leg.Service); l.Probes.Failed != "" {
			return "; the last failure: " + m.of(l, l.Probes.Failed)
		}
	}
	return ""
}

// lastCompared says what a shadow stage has come to; "" in others.
func (m *machine) lastCompared() string {
	text := ""
	for _, leg := range m.r.Legs {
		l := m.o.leg(leg.Service)
		if m.r.Phase == state.PhaseShadowing && l.Shadow != nil && l.Shadow.Text != "" && !l.Shadow.Done {
			text += "; " + m.of(l, l.Shadow.Text)
		}
	}
	return text
}

// suspicious says which leg's evidence is halfway to a rollback.
func (m *machine) suspicious() string {
	for _, l := range m.o.Legs {
		if l.Evidence != nil && l.Evidence.LogR >= suspicion {
			return m.of(l, fmt.Sprintf("the evidence of harm stands at %.3g, and from 10 on it is suspicious", math.Exp(l.Evidence.LogR)))
		}
	}
	return ""
}
